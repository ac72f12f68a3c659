"""What is left of a launch that bad input ended."""

from pathlib import Path

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.launcher.trouble import nothing_left_of_bad_input
from journal_launcher.study.lease import Lease, holder_of


@pytest.mark.parametrize("another", [True, False])
def test_the_new_folder_goes_unless_another_launch_has_it_by_now(
    tmp_path: Path, another: bool
) -> None:
    paths = StudiesFolder.at(tmp_path / "studies").study("study")
    with pytest.raises(UsageError, match="bad input"), nothing_left_of_bad_input(paths):
        with Lease(paths.lease, paths.name, "first"):
            pass
        next_one = Lease(paths.lease, paths.name, "second")
        if another:
            next_one.__enter__()
        raise UsageError("bad input")
    assert paths.folder.exists() == another
    if another:
        assert holder_of(paths.lease) is not None
        next_one.__exit__()


def test_only_what_a_launch_made_goes(tmp_path: Path) -> None:
    """The user may have put something into the new folder meanwhile."""
    paths = StudiesFolder.at(tmp_path / "studies").study("study")
    with pytest.raises(UsageError, match="bad input"), nothing_left_of_bad_input(paths):
        with Lease(paths.lease, paths.name, "first"):
            paths.workers.mkdir()
            paths.worker_log(0).touch()
        for theirs in (paths.directory / "thesis.tex", paths.workers / "code.py"):
            theirs.write_text("theirs")
        raise UsageError("bad input")
    left = {path.name for path in paths.directory.rglob("*")}
    assert left == {"thesis.tex", "workers", "code.py"}
