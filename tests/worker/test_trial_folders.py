"""The folders of scripts."""

from pathlib import Path

from journal_launcher.base.paths import StudyPaths
from journal_launcher.worker import trial_folders


def test_a_trial_begins_in_an_empty_folder(tmp_path: Path) -> None:
    """Of a study whose journal alone was removed, the folders are still there."""
    paths = StudyPaths(tmp_path, "study")
    (trial_folders.create(paths, 3) / "weights").write_text("another trial's")
    assert list(trial_folders.create(paths, 3).iterdir()) == []
