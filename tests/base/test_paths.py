import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudiesFolder, check_study_name, slug

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
