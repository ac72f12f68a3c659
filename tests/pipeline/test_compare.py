"""Comparing model types: who runs, who wins, what is kept, and what a kill leaves."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.__main__ import main
from journal_launcher.api import launch
from journal_launcher.base import events
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import (
    ExitCode,
    JournalLauncherError,
    ResumableStop,
    StudyInUseError,
    UsageError,
)
from journal_launcher.base.events import ComparedModel, LaunchEnded
from journal_launcher.pipeline import compare
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES


def installed() -> tuple[str, ...]:
    """The model types there are here, the simplest first."""
    return tuple(name for name in compare.SIMPLEST_FIRST if MODEL_TYPES[name].installed)


# --- who wins


def model(name: str, *folds: float) -> ComparedModel:
    score = sum(folds) / len(folds) if folds else None
    return ComparedModel(name, f"x_{name}", score=score, fold_scores=list(folds))


BOOSTED = model("catboost", 0.80, 0.82, 0.81)


@pytest.mark.parametrize(
    ("models", "winner", "said"),
    [
        (
            [BOOSTED, model("neural_net", 0.90, 0.92, 0.905)],
            "neural_net",
            "because its r2 0.90833 is better than the 0.81 of catboost by more than a standard "
            "error (corrected t-test, p =",
        ),
        (
            [BOOSTED, model("neural_net", 0.79, 0.9, 0.8)],
            "catboost",
            "because it is simpler than neural_net, whose r2 0.83 is ahead of its 0.81 by no more "
            "than a standard error (corrected t-test, p = 0.71)",
        ),
        (
            [BOOSTED, model("linear", 0.78, 0.83, 0.80)],
            "linear",
            "because it is simpler than catboost, whose r2 0.81 is ahead of its 0.80333",
        ),
        ([BOOSTED, model("linear"), model("neural_net")], "catboost", "the only one with a score"),
        (
            [BOOSTED, model("neural_net", 0.79, 0.83, 0.80)],
            "catboost",
            "because its r2 0.81 is the best, and neural_net, within a standard error of it with "
            "0.80667 (corrected t-test, p = 0.78), is not simpler",
        ),
        (
            [BOOSTED, model("linear", 0.79, 0.82, 0.80)],
            "catboost",
            "because its r2 0.81 is better than the 0.80333 of linear by more than a standard "
            "error (corrected t-test, p = 0.33)",
        ),
        ([model("xgboost", 0.8, 0.82), model("lightgbm", 0.79, 0.82)], "lightgbm", "simpler"),
        ([BOOSTED, replace(BOOSTED, model_type="linear")], "linear", "p = 1"),
        ([model("linear")], None, "no model type has a score"),
    ],
)
def test_within_a_standard_error_the_simpler_type_wins(
    models: list[ComparedModel], winner: str | None, said: str
) -> None:
    found, _, reason = compare._choose(compare._ranked(models, "maximize"), "r2")
    assert found == winner and said in reason
    assert winner is None or reason.startswith(f"{winner}, ")


def test_ranks_follow_the_metrics_direction_and_failed_types_have_none() -> None:
    models = [model("catboost", 3.0, 3.1), model("linear"), model("neural_net", 2.0, 2.2)]
    ranked = compare._ranked(models, "minimize")
    assert [(m.model_type, m.rank) for m in ranked] == [
        ("neural_net", 1),
        ("catboost", 2),
        ("linear", None),
    ]


# --- the flow, with launches that are told how to end


class Launches:
    """Stands in for `run_launch`: each type ends as `will` says."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ran = folder, list[str]()
        self.will: dict[str, Any] = {}
        self.problems: dict[str, str] = {}
        self.seeds: dict[str, int] = {}
        self.folds: dict[str, str] = {}

    def __call__(self, settings: LaunchSettings, emit: Any, *_: Any, **__: Any) -> LaunchEnded:
        self.ran.append(settings.model_type)
        end = self.will.get(settings.model_type, 0)
        if isinstance(end, Exception):
            raise end
        score = {"confirmed_score": 0.5, "confirmed_fold_scores": [0.4, 0.5, 0.6]}
        sidecar = {"metric": "r2", "holdout_metrics": {"r2": 0.4}, "holdout_interval": [0.3, 0.5]}
        folds = {"seeds": {"study": self.seeds.get(settings.model_type, 0)}, "data_sha256": "x"}
        return LaunchEnded(
            settings.name,
            "complete",
            end,
            n_trials=2,
            journal=self.folder / f"{settings.name}.log",
            n_finished=2,
            directions=("maximize",),
            metric="r2",
            message=None if end == 0 else "too many failures",
            folds=self.folds.get(settings.model_type),
            sidecar=None if end else Sidecar.from_json({**sidecar, **score, **folds}),
        )


@pytest.fixture
def launches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launches:
    found = Launches(tmp_path)
    monkeypatch.setattr(compare, "run_launch", found)
    monkeypatch.setattr(compare, "rehearse", lambda *_: found.problems)
    monkeypatch.setattr(compare._Comparing, "_publish", lambda self, found, name: found)
    return found


def compared(folder: Path, **options: Any) -> events.Comparison:
    settings = LaunchSettings(compare_models=True, studies_dir=str(folder), **options)
    return compare.compare_models(settings, lambda: contextlib.nullcontext(lambda event: None))


def test_a_failed_type_does_not_stop_the_rest(launches: Launches) -> None:
    launches.will = {"hist_gradient_boosting": UsageError("no such thing"), "catboost": 1}
    found = compared(launches.folder)
    assert launches.ran == list(installed())
    assert found.winner == "linear" and (found.exit_code, found.exit_reason) == (1, "failed")
    failed = {m.model_type: m.message for m in found.failed}
    assert failed == {
        "hist_gradient_boosting": "no such thing",
        "catboost": "too many failures",
    }


def test_a_failed_type_may_be_left_out_if_another_one_wins(launches: Launches) -> None:
    launches.will = {"catboost": 1}
    found = compared(launches.folder, leave_out_failed=True)
    assert (found.exit_code, [m.model_type for m in found.failed]) == (0, ["catboost"])
    launches.will = dict.fromkeys(compare.SIMPLEST_FIRST, 1)
    assert compared(launches.folder, leave_out_failed=True).exit_code == 1


def test_where_no_type_can_learn_from_the_table_the_first_one_says_why(launches: Launches) -> None:
    launches.problems = {"catboost": "it is of other data", "linear": "it is, too"}
    said = "^catboost: it is of other data; linear failed too; no trial was run: mend that$"
    with pytest.raises(UsageError, match=said):
        compared(launches.folder, model_types="catboost,linear")
    assert launches.ran == []


def test_a_watched_comparison_leaves_out_what_fails_and_renews_what_is_of_other_data(
    launches: Launches, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[LaunchSettings] = []

    def rehearse(settings: LaunchSettings, *_: Any) -> dict[str, str]:
        asked.append(settings)
        return {"catboost": "no such ranges"}

    monkeypatch.setattr(compare, "rehearse", rehearse)
    settings = LaunchSettings(compare_models=True, studies_dir=str(launches.folder))
    found = compare.compare_models(
        settings, lambda: contextlib.nullcontext(lambda event: None), watched=True
    )
    assert (found.exit_code, [m.model_type for m in found.failed]) == (0, ["catboost"])
    assert asked[0].overwrite and not found.overwrite


def test_a_type_that_is_skipped_has_not_failed(launches: Launches) -> None:
    def skipping(settings: LaunchSettings, emit: Any, *rest: Any, **more: Any) -> LaunchEnded:
        ended = launches(settings, emit, *rest, **more)
        if settings.model_type != "catboost":
            return ended
        return replace(ended, exit_reason="skipped", sidecar=None, message="skipped until then")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "run_launch", skipping)
        found = compared(launches.folder)
    assert (found.exit_code, found.failed) == (0, ())
    assert [m.model_type for m in found.models if m.skipped] == ["catboost"]


def test_a_type_that_cannot_learn_from_the_table_ends_the_comparison_before_it_begins(
    launches: Launches,
) -> None:
    launches.problems = {"catboost": "no such ranges"}
    said = "^catboost: no such ranges; no trial was run: mend that, or leave out what fails with "
    with pytest.raises(UsageError, match=f"{said}--leave-out-failed$"):
        compared(launches.folder / "new")
    assert launches.ran == [] and not (launches.folder / "new").exists()
    found = compared(launches.folder, leave_out_failed=True)
    assert "catboost" not in launches.ran and found.exit_code == 0
    assert [(m.model_type, m.message) for m in found.failed] == [("catboost", "no such ranges")]


def test_a_comparison_says_what_is_left_out_and_why(
    launches: Launches, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = replace(MODEL_TYPES["catboost"], package="no_such_library", extra="boost")
    monkeypatch.setitem(MODEL_TYPES, "catboost", missing)
    seen: list[events.Event] = []
    settings = LaunchSettings(compare_models=True, studies_dir=str(launches.folder))
    found = compare.compare_models(settings, lambda: contextlib.nullcontext(seen.append))
    assert launches.ran == list(installed()) and "catboost" not in launches.ran
    assert found.exit_code == 0
    said = [event.text for event in seen if isinstance(event, events.Note)]
    assert [text for text in said if text.startswith("left out: catboost")] == [
        "left out: catboost: its library no_such_library is not installed; type "
        "pip install 'journal-launcher[boost]'"
    ]


def test_a_stop_ends_the_comparison_and_its_code_is_the_programs(launches: Launches) -> None:
    first, second, *_ = installed()
    launches.will = {second: ExitCode.INTERRUPTED}
    found = compared(launches.folder)
    assert launches.ran == [first, second]
    assert (found.exit_code, found.winner) == (130, None)
    early = JournalLauncherError("stopped by Ctrl-C")  # before the study was open
    early.exit_code = ExitCode.INTERRUPTED
    for stop in (ResumableStop("no room"), early):
        launches.will, launches.ran = {"linear": stop}, []
        with pytest.raises(type(stop)):
            compared(launches.folder)
        assert launches.ran == ["linear"]


def test_a_winner_that_was_left_out_and_cannot_be_refitted_now_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches = Launches(tmp_path)
    monkeypatch.setattr(compare, "run_launch", launches)
    monkeypatch.setattr(compare, "rehearse", lambda *_: {})

    def left_out(self: Any, name: str, told: Any) -> None:
        launches.will = {name: ExitCode.INTERRUPTED}

    monkeypatch.setattr(compare._Comparing, "_republish", left_out)
    found = compared(tmp_path, model_types="linear,catboost")
    assert launches.ran == ["linear", "catboost", "linear"]
    assert (found.exit_code, found.winner) == (130, None)


def test_a_winner_whose_refit_cannot_even_start_is_that_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches = Launches(tmp_path)
    monkeypatch.setattr(compare, "run_launch", launches)
    monkeypatch.setattr(compare, "rehearse", lambda *_: {})

    def left_out(self: Any, name: str, told: Any) -> None:
        launches.will = {name: StudyInUseError("study in use")}

    monkeypatch.setattr(compare._Comparing, "_republish", left_out)
    with pytest.raises(StudyInUseError):
        compared(tmp_path, model_types="linear,catboost")


@pytest.mark.parametrize("other", [{"seeds": {"linear": 7}}, {"folds": {"linear": "former"}}])
def test_a_study_with_other_folds_is_not_compared(launches: Launches, other: Any) -> None:
    vars(launches).update(other)
    found = compared(launches.folder, model_types="catboost,linear,neural_net")
    assert found.winner in ("catboost", "neural_net") and found.exit_code == 1
    messages = {m.model_type: m.message for m in found.models}
    assert "linear has another seed or other data than" in str(messages["linear"])
    assert messages["catboost"] is messages["neural_net"] is None


def test_input_that_is_bad_for_every_type_is_said_once_and_leaves_nothing(
    launches: Launches,
) -> None:
    launches.will = dict.fromkeys(compare.SIMPLEST_FIRST, UsageError("x.csv: no such file"))
    with pytest.raises(UsageError, match=r"^x\.csv: no such file$"):
        compared(launches.folder / "new")
    assert launches.ran == list(installed())[:2]
    assert not (launches.folder / "new").exists()


def test_if_every_type_fails_the_comparison_failed(launches: Launches) -> None:
    launches.will = dict.fromkeys(compare.SIMPLEST_FIRST, 1)
    found = compared(launches.folder)
    assert (found.exit_code, found.winner) == (1, None)
    assert found.reason == "no model type has a score"


def test_a_study_of_that_name_is_not_replaced(launches: Launches) -> None:
    (launches.folder / "diabetes.log").touch()
    with pytest.raises(UsageError, match="is a study of its own"):
        compared(launches.folder)
    assert launches.ran == []


def test_overwrite_moves_the_old_winner_aside_before_anything_runs(launches: Launches) -> None:
    sidecar = launches.folder / "diabetes" / "best_model.meta.json"
    sidecar.parent.mkdir()
    old = '{"comparison": {"name": "diabetes"}}'
    sidecar.write_text(old)
    compared(launches.folder, overwrite=True)
    assert not sidecar.exists()
    assert [path.read_text() for path in launches.folder.glob("diabetes.20*/*.json")] == [old]


def test_scores_that_chose_are_compared_only_if_one_type_has_no_other(launches: Launches) -> None:
    assert compared(launches.folder).confirmed
    selection = {"selection_score": 0.7, "fold_scores": [0.6, 0.7, 0.8]}
    real = launches.__call__

    def unconfirmed(settings: LaunchSettings, *rest: Any, **more: Any) -> LaunchEnded:
        ended = real(settings, *rest, **more)
        sidecar = {**(ended.sidecar or Sidecar()).to_json(), **selection}
        if settings.model_type == "catboost":
            sidecar["confirmed_score"] = None
        return replace(ended, sidecar=Sidecar.from_json(sidecar))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "run_launch", unconfirmed)
        found = compared(launches.folder)
    assert not found.confirmed and found.models[0].score == 0.7


def test_a_comparison_from_python_and_from_the_command_line(
    launches: Launches, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"compare_models": True, "model_types": "linear,catboost"}
    result = launch(studies_dir=launches.folder, **options)
    assert launches.ran == ["linear", "catboost"]
    assert (result.study_name, result.best_trial) == ("diabetes", None)
    assert result.message is not None and "linear, because" in result.message
    monkeypatch.setattr("optuna.logging.set_verbosity", lambda level: None)
    arguments = ["--compare-models", "--model-types", "linear,catboost", "--json"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--studies-dir", str(launches.folder)])
    printed = capsys.readouterr()
    assert ended.value.code == result.exit_code
    assert json.loads(printed.out)["winner"] == "linear"
    assert (
        "2 model types compared" in printed.err and "comparing model types, 2 of 2" in printed.err
    )
