import os
from pathlib import Path

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudiesFolder, absolute, check_study_name, slug

GOOD = ["a", "diabetes_neural_net", "2024-05.run", "A" * 100]
BAD = ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\0b", "a\nb", "-x", "ü", "x" * 5000, "a.log"]


@pytest.mark.parametrize("name", GOOD)
def test_valid_names_are_kept(name: str) -> None:
    assert check_study_name(name) == name


@pytest.mark.parametrize("name", BAD)
def test_invalid_names_are_refused_in_one_line_with_a_valid_suggestion(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_study_name(name)
    text = str(caught.value)
    assert "\n" not in text and "\0" not in text and len(text) < 400
    suggestion = text.rpartition("--study-name ")[2]
    assert check_study_name(suggestion) == suggestion


@pytest.mark.parametrize("text", [*GOOD, *BAD, "house prices (2).csv", "....", "a.log.lock"])
def test_a_slug_is_always_a_valid_name(text: str) -> None:
    assert check_study_name(slug(text))


def test_no_file_of_a_study_lies_outside_the_studies_folder(tmp_path) -> None:
    paths = StudiesFolder.at(tmp_path / "studies").study("x")
    for path in (paths.journal, paths.directory, paths.lease, paths.sidecar, paths.worker_log(3)):
        assert path.is_absolute() and path.is_relative_to(tmp_path / "studies")


@pytest.mark.parametrize(
    "folder", ["file", "file/below", "/dev/null", "loop", "x" * 300, "~nobody_of_this_name/x", "\0"]
)
def test_what_can_never_hold_studies_is_refused_in_one_line(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("loop").symlink_to("loop")
    with pytest.raises(UsageError, match=r"expected a (folder|home directory)") as caught:
        StudiesFolder.at(folder)
    assert "\n" not in str(caught.value)


def test_a_removed_current_directory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    with pytest.raises(UsageError, match="the current directory was removed; cd elsewhere and"):
        StudiesFolder.at("optuna_studies")
    assert absolute("/studies") == Path("/studies")
