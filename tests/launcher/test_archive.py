"""An old study is moved aside whole, or not at all."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launcher.test_save_in_the_way import everything

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudyPaths
from journal_launcher.launcher.archive import move_aside

MOUNT = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]


@pytest.fixture
def paths(tmp_path: Path) -> StudyPaths:
    paths = StudyPaths(tmp_path, "s")
    (paths.directory / "best_model").mkdir(parents=True)
    paths.workers.mkdir()
    for path in (paths.lease, paths.sidecar, paths.directory / "best_model" / "a"):
        path.write_text(path.name)
    (paths.directory / "dangling").symlink_to("nowhere")
    for path in (paths.journal, Path(f"{paths.journal}.torn")):
        path.write_text(path.name)
    return paths


def test_all_but_the_lease_and_the_logs_is_moved(paths: StudyPaths) -> None:
    aside = move_aside(paths)
    assert {path.name for path in paths.folder.iterdir()} == {"s", aside.name}
    assert {path.name for path in paths.directory.iterdir()} == {"lease.lock", "workers"}
    there = {"best_model", "best_model.meta.json", "dangling", "s.log", "s.log.torn"}
    assert {path.name for path in aside.iterdir()} == there


def test_the_data_of_the_new_study_stay_and_the_old_ones_go(paths: StudyPaths) -> None:
    for name in ("old", "new"):
        paths.frame(f"{name:0<64}").write_text(name)
    aside = move_aside(paths, str(paths.frame(f"{'new':0<64}")))
    assert {path.name for path in paths.directory.glob("frame-*")} == {
        "frame-new0000000000000.safetensors"
    }
    assert {path.name for path in aside.glob("frame-*")} == {"frame-old0000000000000.safetensors"}


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EBUSY, errno.EACCES])
def test_what_cannot_be_moved_is_named_and_nothing_is_lost(
    paths: StudyPaths, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """NAME/, or best_model/ in it, may be another file system."""
    before, real = everything(paths.folder), Path.rename
    for last in ("best_model", "best_model.meta.json", "s.log"):

        def rename(path: Path, target: Path, last: str = last) -> Path:
            if path.name == last and path.parent in (paths.directory, paths.folder):
                raise OSError(error, os.strerror(error), str(path))
            return real(path, target)

        monkeypatch.setattr(Path, "rename", rename)
        with pytest.raises(UsageError) as caught:
            move_aside(paths)
        said = str(caught.value)
        assert (
            said.startswith("--overwrite: expected to move") and f"{last} to {paths.folder}" in said
        )
        assert os.strerror(error) in said and "choose another --study-name" in said
        assert everything(paths.folder) == before


ASIDE = """
import sys
from pathlib import Path
from journal_launcher.base.paths import StudyPaths
from journal_launcher.launcher.archive import move_aside
move_aside(StudyPaths(Path(sys.argv[1]), "s"))
"""


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(MOUNT, capture_output=True).returncode != 0,
    reason="needs the right to mount in a private mount namespace",
)
def test_a_file_system_that_is_mounted_in_it_is_named(paths: StudyPaths) -> None:
    before = everything(paths.folder)
    mounted = paths.directory / "best_model"
    ended = subprocess.run(
        [
            *(
                "unshare",
                "--mount",
                "sh",
                "-c",
                f"mount -t tmpfs none '{mounted}' && exec \"$@\"",
                "",
            ),
            *(sys.executable, "-P", "-c", ASIDE, str(paths.folder)),
        ],
        capture_output=True,
        text=True,
    )
    assert f"UsageError: --overwrite: expected to move {mounted} to" in ended.stderr
    assert everything(paths.folder) == before
