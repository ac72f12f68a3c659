"""Before a comparison every model type is tried on the table, where that is cheap."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tabular.data.tables import ROWS, columns, csv_of

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.settings.comparison import parts_of
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.study import StudyHandle
from journal_launcher.tabular.models.linear import FittedLinear, Linear
from journal_launcher.worker.jobs import make_job
from journal_launcher.worker.jobs.rehearsal import Rehearsal
from journal_launcher.worker.jobs.table import TableJob

TYPES = "linear,hist_gradient_boosting"


def compared(folder: Path, **given: Any) -> LaunchSettings:
    asked = {"data": str(folder / "table.csv"), "target": "y", "k_folds": 3, "model_types": TYPES}
    where = {"studies_dir": str(folder / "studies"), "compare_models": True}
    return LaunchSettings(**where, **{**asked, **given})


def problems(folder: Path, table: dict[str, Any] | None = None, **given: Any) -> dict[str, str]:
    csv_of(folder, table or columns())
    settings = compared(folder, **given)
    paths = StudiesFolder.at(settings.studies_dir).study(settings.name)
    job = make_job(settings, paths, False, 1)
    assert isinstance(job, Rehearsal)
    return dict(job.prepare(0).content)


def begin(folder: Path, model_type: str, seed: int = 0, **given: Any) -> Path:
    """The study of one type, as a launch begins it."""
    settings = parts_of(compared(folder, **given))[model_type]
    paths = StudiesFolder.at(settings.studies_dir).study(settings.name)
    identity = TableJob(settings, paths, False, 1).prepare(seed).identity.to_json()
    storage = open_storage(paths.journal, create=True)
    StudyHandle.create(storage, paths.name, identity)
    return paths.journal


def test_types_that_can_run_have_no_problem_and_leave_no_study(tmp_path: Path) -> None:
    assert problems(tmp_path) == {}
    assert {path.name for path in (tmp_path / "studies").iterdir()} == {".cache"}


def test_ranges_that_a_type_cannot_have_are_its_problem(tmp_path: Path) -> None:
    spaces = {"linear": {"alpha": 1.0}}
    (said,) = problems(tmp_path, spaces=spaces).items()
    assert said[0] == "linear" and "alpha" in said[1]


def test_a_study_that_was_begun_for_something_else_is_found_before_any_trial(
    tmp_path: Path,
) -> None:
    csv_of(tmp_path, columns())
    journal = begin(tmp_path, "hist_gradient_boosting", k_folds=4)
    before = journal.read_bytes()
    (said,) = problems(tmp_path).items()
    assert said[0] == "hist_gradient_boosting"
    assert "(split.k_folds: the study has 4, this launch 3); " in said[1]
    assert journal.read_bytes() == before
    assert problems(tmp_path, overwrite=True) == {}


def test_studies_of_different_seeds_have_different_folds(tmp_path: Path) -> None:
    csv_of(tmp_path, columns())
    begin(tmp_path, "hist_gradient_boosting", seed=7)
    (said,) = problems(tmp_path).values()
    assert "study table_y_hist_gradient_boosting has another seed or rule to divide the" in said
    assert said.endswith(
        "than table_y_linear, and so other folds; begin them anew with --overwrite"
    )
    begin(tmp_path, "linear", seed=7)
    assert problems(tmp_path) == {}


def test_a_study_that_began_without_text_is_compared_with_none_that_has_it(
    tmp_path: Path,
) -> None:
    table = columns(review=[f"a review of several words {place}" for place in range(ROWS)])
    csv_of(tmp_path, table)
    journal = begin(tmp_path, "hist_gradient_boosting")
    assert problems(tmp_path, table) == {}
    content = journal.read_text()
    journal.write_text(content.replace(',"reading":{"review":"text"}', ""))
    assert journal.read_text() != content
    (said,) = problems(tmp_path, table).values()
    assert said == (
        "study table_y_hist_gradient_boosting has other features than table_y_linear; begin them "
        "anew with --overwrite"
    )


def test_a_table_that_no_type_could_read_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"table\.csv: --target z: no such column"):
        problems(tmp_path, target="z")


def unreadable(self: Linear, path: Path, state: dict[str, Any]) -> FittedLinear:
    raise ValueError("cannot reshape\nand more")


def unwritable(self: FittedLinear, path: Path) -> dict[str, Any]:
    raise TypeError("not JSON")


@pytest.mark.parametrize(
    ("where", "name", "does", "said"),
    [
        (Linear, "load", unreadable, "ValueError: cannot reshape"),
        (FittedLinear, "save", unwritable, "TypeError: not JSON"),
    ],
)
def test_what_would_fail_at_the_refit_fails_at_once_but_not_where_trials_are_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: type,
    name: str,
    does: Callable[..., Any],
    said: str,
) -> None:
    monkeypatch.setattr(where, name, does)
    assert problems(tmp_path) == {"linear": said}
    begin(tmp_path, "linear")
    assert problems(tmp_path) == {}


def test_every_class_is_among_the_few_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journal_launcher.tabular.refit._REHEARSED_ROWS", 2)
    labels = ["rare"] * 6 + ["often"] * 54
    assert problems(tmp_path, {**columns(), "y": labels}) == {}
