"""The folders of scripts."""

from pathlib import Path

import pytest

from journal_launcher.base.paths import StudyPaths
from journal_launcher.worker import trial_folders
from journal_launcher.worker.jobs.base import ScriptFailedError


def test_a_trial_begins_in_an_empty_folder(tmp_path: Path) -> None:
    """Of a study whose journal alone was removed, the folders are still there."""
    paths = StudyPaths(tmp_path, "study")
    (trial_folders.create(paths, 3) / "weights").write_text("another trial's")
    assert list(trial_folders.create(paths, 3).iterdir()) == []


@pytest.mark.parametrize("what", ["a folder", "a link", "trials is a link"])
def test_what_no_trial_made_is_neither_cleared_nor_written_to(tmp_path: Path, what: str) -> None:
    paths, theirs = StudyPaths(tmp_path, "study"), tmp_path / "theirs"
    (theirs / "3").mkdir(parents=True)
    (theirs / "3" / "weights").write_text("mine")
    (theirs / ".3").touch()
    paths.directory.mkdir()
    if what == "trials is a link":
        paths.trials.symlink_to(theirs)
    else:
        paths.trials.mkdir()
        if what == "a link":
            paths.trial_folder(3).symlink_to(theirs / "3")
        else:
            (theirs / "3").rename(paths.trial_folder(3))
    with pytest.raises(ScriptFailedError, match="move it away and type the same command again"):
        trial_folders.create(paths, 3)
    assert (paths.trial_folder(3) / "weights").read_text() == "mine"
