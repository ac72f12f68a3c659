"""One launch at a time, by a lock that dies with its holder."""

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest
from stock_and_ours import said, start

from journal_launcher.base.errors import StudyInUseError, UsageError
from journal_launcher.study import lease
from journal_launcher.study.lease import Lease, holder_of

HOLD = """
import sys
from pathlib import Path
from journal_launcher.study.lease import Lease
with Lease(Path(sys.argv[1]), "study", "theirs"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lease_is_exclusive_and_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "study" / "lease.lock"
    assert holder_of(path) is None
    with start(HOLD, path) as process:
        assert said(process) == "held"
        assert f"pid {process.pid} on " in str(holder_of(path))
        with pytest.raises(StudyInUseError, match=f"study study is in use by pid {process.pid}"):
            Lease(path, "study", "ours").__enter__()
        assert holder_of(path) is not None  # asking took nothing
        process.kill()
        process.wait()
    assert holder_of(path) is None
    with Lease(path, "study", "ours"):
        assert f"pid {os.getpid()} " in str(holder_of(path))
    assert holder_of(path) is None


def test_a_requeued_job_waits_for_what_a_file_server_still_holds_for_its_run_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study" / "lease.lock"
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with start(HOLD, path) as process:
        assert said(process) == "held"
        with pytest.raises(StudyInUseError):
            Lease(path, "study", "a second launch in this job").__enter__()
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
        threading.Timer(1.0, process.kill).start()
        with Lease(path, "study", "ours"):
            assert process.wait() == -signal.SIGKILL
        monkeypatch.setenv("SLURM_JOB_ID", "8")
    with start(HOLD, path) as process:
        assert said(process) == "held"
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        with pytest.raises(StudyInUseError):  # another job has it
            Lease(path, "study", "ours").__enter__()
        process.kill()


def test_a_lease_that_was_removed_while_we_waited_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launch with bad input removes its new folder; another may have opened the lease by then."""
    path, lock, removed = tmp_path / "study" / "lease.lock", lease._lock, []

    def removed_first(descriptor: int) -> bool:
        if not removed:
            removed.append(path)
            shutil.rmtree(path.parent)
        return lock(descriptor)

    monkeypatch.setattr(lease, "_lock", removed_first)
    with Lease(path, "study", "ours"):
        assert f"pid {os.getpid()} " in str(holder_of(path))
    assert removed == [path]


def test_a_link_to_somebody_elses_file_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("keep")
    path = tmp_path / "study" / "lease.lock"
    path.parent.mkdir()
    path.symlink_to(theirs)
    with pytest.raises(
        UsageError, match=r"lease\.lock: expected a plain file, found a symbolic link"
    ):
        Lease(path, "study", "ours").__enter__()
    assert holder_of(path) is None
    assert theirs.read_text() == "keep"


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write to the studies folder"):
        Lease(tmp_path / "file" / "study" / "lease.lock", "study", "ours").__enter__()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_an_unreadable_holder_is_still_a_holder(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lease.lock"
    with Lease(path, "study", "ours"):
        path.write_bytes(content)
        assert holder_of(path) == "another launch"
