import os
import sys
from pathlib import Path

import pytest

from journal_launcher.base import paths
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import (
    StudiesFolder,
    absolute,
    check_study_name,
    default_name,
    install_command,
    install_extra,
    slug,
)

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


def test_files_whose_letters_no_name_may_have_make_different_studies() -> None:
    stems = ["数据", "表格", "données", "donnees", "donnäes", "Ω", "\udcff", "naïve 2", "naive 2"]
    stems += ["long_" * 30, "long_" * 30 + "1", "long_" * 30 + "2"]
    data = [default_name(None, f"x/{stem}.csv", "linear") for stem in stems]
    data += [default_name(None, f"{stems[-1]}.csv", "catboost")]
    scripts = [default_name(f"x/{stem}.py:objective", "", "") for stem in stems]
    for names in (data, scripts, [slug(stem) for stem in stems]):
        assert len(set(names)) == len(names)
        assert all(check_study_name(name) == name for name in names)
    assert data[2].startswith("donnees-") and data[2].endswith("_linear")
    assert (
        default_name(None, "数据.csv", "linear") == default_name(None, "数据.csv", "") + "_linear"
    )


def test_names_that_lose_no_letter_are_as_they_always_were() -> None:
    """Their studies are found again."""
    assert default_name(None, "x/a b.csv.gz", "linear") == "a_b_linear"
    assert default_name(None, "y/a_b.parquet", "linear") == "a_b_linear"
    assert default_name(None, "2024-05 (final).csv", "") == "2024-05_final"
    assert default_name(None, "sklearn:iris", "catboost") == "iris_catboost"
    assert default_name(None, f"{'n' * 93}.csv", "linear") == f"{'n' * 93}_linear"
    assert default_name("my train.py:objective", "", "") == "my_train_objective"
    assert default_name("pkg.train:make.one", "", "") == "train_make.one"


def test_targets_of_one_table_make_different_studies() -> None:
    made = {
        "price": "t_price_linear",
        "median price": "t_median_price_linear",
        "price ($)": "t_price-dc99c8fa_linear",
        "price (€)": "t_price-3c131166_linear",
    }
    targets = [*made, "", ".", "%", "größe", "groesse", "q" * 30, "q" * 31, "q" * 32, "a/b", "a\n"]
    names = [default_name(None, "t.csv", "linear", target) for target in targets]
    assert len(set(names)) == len(names)
    assert all(check_study_name(name) == name for name in names)
    assert names[: len(made)] == list(made.values())
    assert default_name(None, "t.csv", "", "price") == "t_price"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("x/a.tsv.zst", "a_linear"),
        ("x/a.txt", "a_linear"),
        ("x/a.txt.csv", "a.txt_linear"),
        ("x/a.xlsx", "a_linear"),
        ("x/a.xlsx#May", "a.xlsx_May_linear"),
        ("x/parts/", "parts_linear"),
        ("x/parts/*.parquet", "parts_linear"),
        ("x/sales-*.csv", "sales-__linear"),
    ],
)
def test_sheets_and_parts_name_their_studies(data: str, name: str) -> None:
    assert default_name(None, data, "linear") == name


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


def test_what_installs_a_package_where_this_python_finds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", "/an env/bin/python")
    assert install_command("a b>=1") == "'/an env/bin/python' -m pip install 'a b>=1'"
    monkeypatch.setattr("shutil.which", lambda name: "/an env/bin/python")
    assert install_command("timm", "yaml") == "python -m pip install timm yaml"
    monkeypatch.setenv("JOURNAL_LAUNCHER_TYPED", "./launch.sh")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))  # an active environment of the user's
    assert install_command("timm") == "python -m pip install timm"
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "journal_launcher/base/paths.py"))
    (tmp_path / ".venv").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert install_command("timm") == "./launch.sh pip install timm"
    assert install_extra("parquet", "pyarrow") == "./launch.sh pip install pyarrow"
    monkeypatch.delenv("JOURNAL_LAUNCHER_TYPED")
    assert install_extra("parquet", "pyarrow") == "pip install 'journal-launcher[parquet]'"
