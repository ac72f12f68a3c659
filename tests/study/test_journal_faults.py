"""Kills, full disks and foreign writers. The judge is stock Optuna, which must read everything."""

import errno
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import JournalStorage
from stock_and_ours import (
    ROOT,
    attribute,
    finish,
    keys_by_stock,
    new_journal,
    said,
    start,
    trials_by_stock,
    wait_until,
)

from journal_launcher.base.errors import ResumableStop
from journal_launcher.study.journal.backend import DurableJournalFileBackend
from journal_launcher.study.journal.storage import open_storage


def killed(backend: str, kills: int, *options: str) -> dict[str, Any]:
    """What the kill demonstration reports of one backend."""
    command = [sys.executable, str(ROOT / "benchmarks" / "kill_demo.py"), "--backend", backend]
    done = subprocess.run(
        [*command, "--kills", str(kills), *options], capture_output=True, text=True, check=True
    )
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


class TestKills:
    @pytest.mark.parametrize("kills", [60, pytest.param(1000, marks=pytest.mark.slow)])
    def test_nothing_acknowledged_is_lost_or_doubled(self, kills: int) -> None:
        outcome = killed("ours", kills)
        assert outcome["kills"] >= kills
        assert outcome["acknowledged"] >= kills / 3
        wrong = ("lost", "duplicated", "crashed", "unreadable")
        assert {name: outcome[name] for name in wrong} == dict.fromkeys(wrong, 0)
        if kills == 1000:
            assert outcome["torn"] > 0, "no kill tore a record: this run has proved nothing"

    def test_stock_fails_the_same_harness(self) -> None:
        outcome = killed("stock", 3000, "--stop-at-loss")
        assert outcome["lost"] > 0

    def test_a_writer_that_dies_in_mid_write(self, tmp_path: Path) -> None:
        """The tear that the kills above hit by chance, at a known place."""
        journal = new_journal(tmp_path / "s.log", keys=1)
        code = (
            "import os, signal, sys\n"
            "from stock_and_ours import attribute\n"
            "from journal_launcher.study.journal.backend import DurableJournalFileBackend\n"
            "backend, write = DurableJournalFileBackend(sys.argv[1]), os.write\n"
            "def die_half_way(descriptor, view):\n"
            "    write(descriptor, view[: len(view) // 2])\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "os.write = die_half_way\n"
            "backend.append_logs([attribute('torn', 'x' * 1000)])\n"
        )
        process = start(code, journal)
        process.communicate(timeout=30)
        assert process.returncode == -9
        assert os.path.lexists(f"{journal}.lock")
        started = time.monotonic()
        DurableJournalFileBackend(journal).append_logs([attribute("next")])
        assert time.monotonic() - started < 0.5
        assert keys_by_stock(journal) == ["k0", "next"]


class TestFullDisk:
    CODE = (
        "import errno, resource, sys\n"
        "from stock_and_ours import BACKENDS, attribute\n"
        "backend = BACKENDS[sys.argv[2]](sys.argv[1])\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))\n"
        "for index in range(100):\n"
        "    try:\n"
        "        backend.append_logs([attribute(f'a{index}', 'x' * 100)])\n"
        "    except OSError as error:\n"
        "        print(index, error.errno == errno.EFBIG)\n"
        "        break\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "backend.append_logs([attribute('after')])\n"
    )

    def test_a_record_that_does_not_fit_leaves_nothing(self, tmp_path: Path) -> None:
        journal = new_journal(tmp_path / "s.log")
        written, right_errno = finish(start(self.CODE, journal, "ours"))[0].split()
        assert right_errno == "True"
        assert keys_by_stock(journal) == [f"a{i}" for i in range(int(written))] + ["after"]
        assert not (tmp_path / "s.log.torn").exists()

    def test_stock_loses_the_next_record(self, tmp_path: Path) -> None:
        journal = new_journal(tmp_path / "s.log")
        finish(start(self.CODE, journal, "stock"))
        assert "after" not in keys_by_stock(journal)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a tmpfs")
    def test_a_real_disk_of_64_kb(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("this container may not mount a tmpfs")
        try:
            (disk / "ballast").write_bytes(b"x" * 20_000)
            journal = new_journal(disk / "s.log")
            backend, written = DurableJournalFileBackend(journal), 0
            with pytest.raises(OSError, match="the record was not written") as caught:
                for written in range(100):
                    backend.append_logs([attribute(f"a{written}", "x" * 3000)])
            assert caught.value.errno == errno.ENOSPC
            (disk / "ballast").unlink()
            backend.append_logs([attribute("after")])
            assert keys_by_stock(journal) == [f"a{i}" for i in range(written)] + ["after"]
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def test_of_several_records_the_whole_lines_stay(self, tmp_path: Path) -> None:
        """Somebody may have read them already: cutting them would look like a truncation."""
        journal = new_journal(tmp_path / "s.log")
        backend = DurableJournalFileBackend(journal)
        line = len(json.dumps(attribute("a"), separators=(",", ":"))) + 1
        limit = journal.stat().st_size + line + line // 2
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(OSError, match="not written"):
                backend.append_logs([attribute("a"), attribute("b")])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        backend.append_logs([attribute("c")])
        assert keys_by_stock(journal) == ["a", "c"]
        assert not (tmp_path / "s.log.torn").exists()

    def test_only_a_full_disk_asks_for_room(self, tmp_path: Path) -> None:
        storage = open_storage(new_journal(tmp_path / "s.log"))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(ResumableStop) as caught:
                storage.set_study_user_attr(0, "a", 1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "Too many open files" in str(caught.value)
        assert "make room" not in str(caught.value) and "same command" in str(caught.value)
        storage.set_study_user_attr(0, "b", 1)
        assert keys_by_stock(tmp_path / "s.log") == ["b"]

    def test_after_a_failed_fsync_nothing_is_accepted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = new_journal(tmp_path / "s.log")
        backend = DurableJournalFileBackend(journal)

        def fail(descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(OSError, match="whether the record is on disk is unknown") as caught:
                backend.append_logs([attribute("a")])
        assert caught.value.errno == errno.EIO
        with pytest.raises(OSError, match="no record is accepted since an fsync failed"):
            backend.append_logs([attribute("b")])
        assert keys_by_stock(journal) == ["a"]
        assert not os.path.lexists(f"{journal}.lock")


WRITE_TRIALS = (
    "import sys, optuna\n"
    "from optuna.storages import JournalStorage\n"
    "from stock_and_ours import BACKENDS\n"
    "optuna.logging.set_verbosity(optuna.logging.ERROR)\n"
    "storage = JournalStorage(BACKENDS[sys.argv[2]](sys.argv[1]))\n"
    "study = optuna.load_study(study_name='study', storage=storage)\n"
    "print('ready', flush=True)\n"
    "study.optimize(lambda trial: trial.suggest_float('x', 0, 1), n_trials=int(sys.argv[3]))\n"
)


class TestTogether:
    @pytest.mark.parametrize("trials", [15, pytest.param(400, marks=pytest.mark.slow)])
    def test_stock_writers_ours_and_a_dashboard(self, tmp_path: Path, trials: int) -> None:
        journal = new_journal(tmp_path / "s.log")
        kinds = ["ours", "ours", "stock"]
        writers = [start(WRITE_TRIALS, journal, kind, trials) for kind in kinds]
        dashboard = JournalStorage(DurableJournalFileBackend(journal, read_only=True))
        while any(writer.poll() is None for writer in writers):
            assert len(dashboard.get_all_trials(0)) <= len(trials_by_stock(journal)) <= 3 * trials
            time.sleep(0.01)
        for writer in writers:
            finish(writer, seconds=240)
        found = trials_by_stock(journal)
        assert [trial.number for trial in found] == list(range(3 * trials))
        assert all(trial.state.is_finished() and "x" in trial.params for trial in found)
        assert len(dashboard.get_all_trials(0)) == 3 * trials

    @pytest.mark.parametrize("fault", ["deleted", "renamed", "truncated"])
    def test_writers_stop_within_5_s_when_the_journal_goes(
        self, tmp_path: Path, fault: str
    ) -> None:
        journal = new_journal(tmp_path / "s.log")
        writers = [start(WRITE_TRIALS, journal, "ours", 100_000) for _ in range(2)]
        assert [said(writer) for writer in writers] == ["ready", "ready"]
        wait_until(lambda: journal.stat().st_size > 2000, 30)
        if fault == "deleted":
            journal.unlink()
        elif fault == "renamed":
            journal.rename(tmp_path / "other.log")
        else:
            os.truncate(journal, 100)
        wait_until(lambda: all(writer.poll() is not None for writer in writers), 5)
        for writer in writers:
            assert "journal changed underneath" in writer.communicate()[1]
        assert journal.exists() == (fault == "truncated")
        if fault == "truncated":
            assert journal.stat().st_size == 100


@pytest.mark.slow
def test_a_million_lines(tmp_path: Path) -> None:
    """Read in 15 s or less, in memory that does not grow with the journal."""
    journal = new_journal(tmp_path / "s.log")
    line = json.dumps(attribute("a", "x" * 100), separators=(",", ":")) + "\n"
    with journal.open("a") as file:
        file.writelines(line for _ in range(1_000_000))
    code = (
        "import resource, sys, time\n"
        "from stock_and_ours import BACKENDS\n"
        "backend = BACKENDS[sys.argv[2]](sys.argv[1])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "started = time.perf_counter()\n"
        "lines = sum(1 for _ in backend.read_logs(0))\n"
        "seconds = time.perf_counter() - started\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "print(lines, seconds, grown)\n"
    )
    lines, seconds, grown = finish(start(code, journal, "ours"), 120)[0].split()
    assert int(lines) == 1_000_001
    assert float(seconds) <= 15
    assert int(grown) < 4_000  # kilobytes
    control = finish(start(code, journal, "stock"), 120)[0].split()
    assert int(control[2]) > 50_000, "the control keeps an entry per line: the measure is blind"
