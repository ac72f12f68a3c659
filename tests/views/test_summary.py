"""The closing words, for each way in which a launch ends."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from views.ended import OBJECTIVE, SIDECAR, TABLE

from journal_launcher.base.artifacts.scores import Baseline, Baselines
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.events import BestTrial, LaunchEnded
from journal_launcher.base.verdict import Finding, Verdict
from journal_launcher.views.summary import print_summary, result_json, result_line, summary


def rows(ended: LaunchEnded) -> dict[str, str]:
    found = summary(ended)[1]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_a_complete_table() -> None:
    assert summary(TABLE)[0] == ("diabetes_neural_net done: 20 of 20 trials finished in 4:12")
    assert rows(TABLE) == {
        "best": "r2 0.47 ± 0.061 (standard deviation over 3 folds), trial 7",
        "parameters": "n_layers=3  learning_rate=0.0012346  optimizer=adamw",
        "hold-out": "r2 0.431, 95 % interval 0.33 to 0.52",
        "also": "rmse 55.1 (hold-out)",
        "refit": "the model is trained on the training rows; it never saw the hold-out",
        "baselines": "dummy -0.012, linear 0.45 (same folds)",
        "model": "/data/my studies/diabetes_neural_net/best_model.safetensors",
        "predict": "journal-launcher predict diabetes_neural_net --data new.csv "
        "--out predictions.csv --studies-dir '/data/my studies'",
        "dashboard": "journal-launcher dashboard diabetes_neural_net "
        "--studies-dir '/data/my studies'",
    }


@pytest.mark.parametrize("refit", ["train", "all"])
def test_the_mean_of_several_trainings_is_said_to_be_one(refit: str) -> None:
    def told(**more: Any) -> str:
        return rows(replace(TABLE, sidecar=Sidecar.from_json({**SIDECAR, **more})))["refit"]

    assert told(refit=refit, members=5).startswith("the model is the mean of 5 trainings on ")
    assert told(refit=refit, members=1).startswith("the model is trained on ")


def test_all_metrics_are_shown_on_the_folds_that_say_most() -> None:
    folds = {"r2": 0.47, "rmse": 51.25, "mae": None}
    sidecar = {**SIDECAR, "cv_metrics": folds}
    assert rows(replace(TABLE, sidecar=Sidecar.from_json(sidecar)))["also"] == (
        "rmse 51.25 (folds); rmse 55.1 (hold-out)"
    )
    sidecar |= {"confirmed_metrics": {**folds, "rmse": 53.0, "mae": 41.0}, "holdout_metrics": None}
    assert rows(replace(TABLE, sidecar=Sidecar.from_json(sidecar)))["also"] == (
        "rmse 53, mae 41 (fresh folds)"
    )
    assert "also" not in rows(replace(TABLE, sidecar=None))


def test_the_default_folder_needs_no_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = replace(TABLE, journal=Path.cwd() / "optuna_studies" / "diabetes_neural_net.log")
    assert rows(here)["predict"].endswith("--out predictions.csv")


def test_a_refit_on_all_rows_says_what_the_hold_out_score_is_of() -> None:
    everything = rows(replace(TABLE, sidecar=Sidecar.from_json({**SIDECAR, "refit": "all"})))
    assert "scored before" in everything["refit"]


@pytest.mark.parametrize(
    ("direction", "ours", "linear", "beaten"),
    [
        ("maximize", 0.47, 0.49, False),
        ("maximize", 0.49, 0.47, True),
        ("minimize", 0.47, 0.49, True),
        ("minimize", 0.49, 0.47, False),
        ("minimize", 0.47, 0.47, False),
    ],
)
def test_unbeaten_baselines_are_said_plainly(
    direction: str, ours: float, linear: float, beaten: bool
) -> None:
    ended = replace(
        TABLE,
        directions=(direction,),
        sidecar=Sidecar.from_json({**SIDECAR, "cv_score": ours}),
        baselines=Baselines({"linear": Baseline(linear, [linear])}),
    )
    expected = f"neural_net does not beat linear: {ours} against {linear}"
    assert rows(ended).get("warning") == (None if beaten else expected)


def test_before_there_is_a_model_nothing_is_unbeaten() -> None:
    """A stopped launch may be of the linear model itself."""
    stopped = replace(TABLE, sidecar=None, baselines=Baselines({"linear": Baseline(1.0)}))
    assert "warning" not in rows(stopped) and rows(stopped)["baselines"].startswith("linear 1")


def test_every_unbeaten_baseline_is_named_and_a_failed_one_is_left_out() -> None:
    scores = Baselines({"dummy": Baseline(0.48), "linear": Baseline(0.49), "x": Baseline(None)})
    found = rows(replace(TABLE, baselines=scores))
    assert found["baselines"] == "dummy 0.48, linear 0.49 (same folds)"
    assert found["warning"] == (
        "neural_net does not beat dummy: 0.47 against 0.48; "
        "neural_net does not beat linear: 0.47 against 0.49"
    )


def test_a_hold_out_score_that_is_not_finite_is_left_out() -> None:
    nothing = {"holdout_metrics": {"r2": None}, "holdout_interval": [None, None]}
    assert "hold-out" not in rows(replace(TABLE, sidecar=Sidecar.from_json({**SIDECAR, **nothing})))


def test_linear_is_not_compared_with_itself() -> None:
    told = {**SIDECAR, "model_type": "linear", "cv_score": 0.45}
    linear = replace(TABLE, sidecar=Sidecar.from_json(told))
    assert "warning" not in rows(linear)


def test_an_objective_without_a_model() -> None:
    assert rows(OBJECTIVE) == {
        "best": "0.25, trial 3",
        "parameters": "x=0.5",
        "dashboard": "journal-launcher dashboard train_objective --studies-dir '/data/my studies'",
    }


def test_several_objectives() -> None:
    best = BestTrial(3, (0.25, 12.0), {"x": 0.5}, n_pareto=5)
    ended = replace(OBJECTIVE, directions=("minimize", "maximize"), best_trial=best)
    assert rows(ended)["best"] == "5 Pareto-optimal trials of 2 objectives"
    assert rows(ended)["one of them"] == "0.25, 12, trial 3"
    one = replace(ended, best_trial=replace(best, n_pareto=1))
    assert rows(one)["best"] == "1 Pareto-optimal trial of 2 objectives"
    assert result_line(ended) == "0.25,12.0"
    shown = {"number": 3, "values": [0.25, 12.0], "params": {"x": 0.5}}
    assert result_json(ended)["best_trial"] == shown
    assert best.to_json() == {**shown, "n_pareto": 5}


def test_a_failed_launch_counts_the_failures_by_kind() -> None:
    failed = replace(
        OBJECTIVE,
        exit_reason="failure_limit",
        exit_code=1,
        n_finished=0,
        n_failed=5,
        best_trial=None,
        message="5 trials failed in a row",
        failures={"CUDA out of memory": 4, "worker died": 1},
    )
    headline, found = summary(failed)
    assert headline == (
        "train_objective failed (5 trials failed in a row): 0 of 20 trials finished in 4:12"
    )
    assert found[0] == (
        "failed",
        "5 trials; in this launch CUDA out of memory (4), worker died (1)",
    )
    assert found[-1] == (
        "go on",
        "mend what failed, then repeat the same command; finished trials are kept",
    )
    assert [label for label, _ in found] == ["failed", "dashboard", "go on"]
    assert result_line(failed) == ""


@pytest.mark.parametrize(("count", "some"), [(1, "1 trial"), (2, "2 trials")])
def test_an_interrupted_trial_is_no_failure(count: int, some: str) -> None:
    found = rows(replace(OBJECTIVE, n_interrupted=count))
    assert found["interrupted"] == f"{some}, queued again"
    assert "failed" not in found


def test_a_budget_below_what_is_finished_is_named_as_such() -> None:
    assert summary(replace(TABLE, n_trials=3))[0] == (
        "diabetes_neural_net done: 20 trials finished, more than the 3 asked for, in 4:12"
    )


def test_text_is_quoted_only_where_it_could_be_read_as_something_else() -> None:
    params = {"a": "adamw", "b": "two words", "c": "1e-3", "d": "None", "e": None, "f": "", "g": 2}
    found = rows(replace(OBJECTIVE, best_trial=BestTrial(0, (1.0,), params)))
    assert found["parameters"] == "a=adamw  b='two words'  c='1e-3'  d='None'  e=None  f=''  g=2"


@pytest.mark.parametrize(
    ("reason", "code", "message", "ending", "how"),
    [
        ("timeout", 0, None, "done (timeout)", "for the trials that are left"),
        ("signal", 130, "stopped by Ctrl-C", "stopped by Ctrl-C", "finished trials are kept"),
        ("signal", 75, "stopped by SIGTERM", "stopped by SIGTERM", "finished trials are kept"),
        ("disk_full", 75, "disk full", "stopped (disk full)", "finished trials are kept"),
    ],
)
def test_a_stopped_launch_says_how_to_go_on(
    reason: str, code: int, message: str | None, ending: str, how: str
) -> None:
    stopped = replace(OBJECTIVE, exit_reason=reason, exit_code=code, message=message, n_finished=12)
    headline, found = summary(stopped)
    assert headline == f"train_objective {ending}: 12 of 20 trials finished in 4:12"
    assert found[-1][0] == "go on"
    assert found[-1][1].endswith(how)


def test_a_bare_sidecar_is_enough() -> None:
    bare = rows(replace(TABLE, sidecar=Sidecar(), baselines=None))
    assert list(bare) == ["best", "parameters", "model", "dashboard"]


@pytest.mark.parametrize("width", [50, 80, 120])
def test_prose_is_wrapped_and_commands_are_not(width: int) -> None:
    file = io.StringIO()
    print_summary(Console(file=file, width=width), TABLE)
    lines = file.getvalue().splitlines()
    assert f"  model       {TABLE.model_path}" in lines
    assert any(line.endswith("--studies-dir '/data/my studies'") for line in lines)
    wrapped = [line for line in lines if "/" not in line and "predict " not in line]
    assert max(map(len, wrapped)) <= width
    assert all(line == line.rstrip() for line in lines)


def test_a_sick_model_is_one_line_and_a_healthy_one_none() -> None:
    findings = (
        Finding("dead_units", "critical", 0.61, 0.5, "share"),
        Finding("epochs_used", "warning", 0.2, 0.3, "epochs"),
    )
    sick = replace(TABLE, health=Verdict("diabetes_neural_net", "critical", findings))
    assert rows(sick)["health"] == (
        "critical: dead_units 0.61 (limit 0.5); see journal-launcher health diabetes_neural_net "
        "--studies-dir '/data/my studies'"
    )
    assert result_json(sick)["health"] == "critical"
    for level in ("ok", "absent"):
        assert "health" not in rows(replace(TABLE, health=Verdict("s", level)))


def test_a_launch_with_trials_says_how_busy_each_worker_was() -> None:
    assert (
        rows(replace(OBJECTIVE, busy=(0.984, 0.9712)))["busy"]
        == "98 %, 97 % of the time for trials, by worker"
    )
    assert rows(replace(OBJECTIVE, busy=(1.0,)))["busy"] == "100 % of the time for trials"
    assert "busy" not in rows(OBJECTIVE)


def test_what_finished_before_is_not_counted_as_done_now() -> None:
    resumed = replace(OBJECTIVE, n_finished=20, n_trials=20, n_before=12, n_pruned=3)
    headline, found = summary(resumed)
    assert headline == ("train_objective done: 20 of 20 trials finished, 8 of them now, in 4:12")
    assert ("pruned", "3 trials, ended early") in found
    again = replace(resumed, n_before=20, n_pruned=0)
    assert summary(again)[0] == (
        "train_objective done: 20 of 20 trials finished, all of them before, in 4:12"
    )
    assert "pruned" not in rows(again)


def test_a_skipped_launch_is_one_line() -> None:
    message = "neural_net on sklearn:diabetes: skipped until 2030-01-02T12:00:00Z"
    skipped = replace(OBJECTIVE, exit_reason="skipped", n_finished=0, best_trial=None)
    skipped = replace(skipped, message=message)
    assert summary(skipped) == (f"train_objective skipped: {message}", [])
    drawn = io.StringIO()
    print_summary(Console(file=drawn, width=40), skipped)
    assert drawn.getvalue() == f"train_objective skipped: {message}\n"


def test_a_confirmed_score_stands_beside_the_one_that_chose_it_and_is_the_one_compared() -> None:
    scores = {"confirmed_score": 0.44, "confirmed_fold_scores": [0.4, 0.44, 0.48]}
    sidecar = {**SIDECAR, **scores, "confirmed_trials": {"7": 0.44, "2": 0.43}}
    linear = Baseline(0.4, confirmed_score=0.45)
    baselines = Baselines({"dummy": Baseline(-0.012), "linear": linear})
    found = rows(replace(TABLE, sidecar=Sidecar.from_json(sidecar), baselines=baselines))
    assert found["chosen"] == "r2 0.47 ± 0.061 (standard deviation over 3 folds), trial 7"
    assert "best" not in found, "another trial may have been better on those folds"
    assert found["confirmed"] == (
        "r2 0.44 ± 0.04 (standard deviation over 3 fresh folds), the best of trials 7, 2"
    )
    assert found["baselines"] == "linear 0.45 (same fresh folds)"
    assert found["warning"] == "neural_net does not beat linear: 0.44 against 0.45"


def test_what_health_has_judged_is_not_judged_again() -> None:
    baselines = Baselines({"linear": Baseline(0.5)})
    lost = replace(TABLE, baselines=baselines)
    assert rows(lost)["warning"] == "neural_net does not beat linear: 0.47 against 0.5"
    found = Finding("better_than_linear", "warning", 0.47, 0.5, "")
    judged = rows(replace(lost, health=Verdict("x", "warning", (found,))))
    assert "warning" not in judged and "linear 0.5" in judged["baselines"]
    assert judged["health"].startswith("warning: better_than_linear 0.47 (limit 0.5); see ")
    assert not any("does not beat" in text for text in judged.values())


def test_what_chance_explains_is_no_warning_but_said() -> None:
    lost = replace(TABLE, baselines=Baselines({"linear": Baseline(0.5)}))
    found = Finding("better_than_linear", "ok", 0.47, 0.5, "")
    judged = rows(replace(lost, health=Verdict("x", "ok", (found,))))
    assert "warning" not in judged
    assert judged[""] == "neural_net does not beat linear: 0.47 against 0.5, by no more than chance"
