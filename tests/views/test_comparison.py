"""The table of a comparison and its results for scripts."""

import io
import json
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from journal_launcher.base.artifacts.scores import Baselines
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.events import ComparedModel, Comparison
from journal_launcher.views.comparison import (
    comparison_json,
    comparison_line,
    failures,
    print_comparison,
)

BOOSTED = ComparedModel(
    "hist_gradient_boosting",
    "houses_hist_gradient_boosting",
    score=0.8423,
    fold_scores=[0.83, 0.85, 0.8469],
    holdout=0.8123456,
    holdout_interval=[-0.801234, 0.823456],
    seconds=272.0,
    n_finished=20,
    n_failed=2,
    rank=1,
)
FAILED = ComparedModel("catboost", "houses_catboost", message="no GPU is free")
FOUND = Comparison(
    name="houses",
    metric="r2",
    direction="maximize",
    confirmed=True,
    models=(BOOSTED, FAILED),
    baselines=Baselines.from_json(
        {
            "dummy": {
                "score": -0.01,
                "confirmed_score": -2.4486e-4,
                "confirmed_fold_scores": [0, -4e-4],
            },
            "linear": {"score": 0.6, "confirmed_score": 0.85, "confirmed_fold_scores": [0.8, 0.9]},
        }
    ),
    winner="hist_gradient_boosting",
    p_value=None,
    reason="hist_gradient_boosting, the only one with a score",
    exit_code=1,
    exit_reason="failed",
    seconds=300.0,
    folder=Path("/data/my studies"),
    model_path=Path("/data/my studies/houses/best_model.skops"),
    sidecar=Sidecar(),
)


def shown(found: Comparison) -> str:
    console = Console(file=io.StringIO(), width=80)
    print_comparison(console, found)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_model_type_without_trials_has_no_time() -> None:
    assert shown(FOUND).splitlines()[3].split() == ["-", "catboost", "failed", "0"]


def test_the_table_fits_a_terminal_and_says_all() -> None:
    lines = shown(FOUND).splitlines()
    assert lines[0] == "houses: 2 model types compared on fresh folds in 5:00"
    title = "model type r2 hold-out [95 %] time trials"
    assert " ".join(lines[1].split()) == title
    boosted = "1 hist_gradient_boosting 0.8423 ± 0.011 0.8123 [-0.801, 0.823] 4:32 20"
    assert lines[2].split() == boosted.split()
    assert lines[3].split()[:3] == ["-", "catboost", "failed"]
    assert lines[4].split() == ["dummy", "(baseline)", "-0.0002449", "±", "0.00028"]
    assert "linear (baseline)" in lines[5]
    assert lines[6] == "  hist_gradient_boosting: 2 failed trials"
    assert lines[7] == "  chosen     hist_gradient_boosting, the only one with a score"
    assert lines[8].endswith("does not beat linear (0.85) on the same")
    assert lines[9] == " " * 13 + "folds"
    assert lines[10].endswith("/houses/best_model.skops")
    assert "predict houses --data" in lines[11] and "--studies-dir" in lines[11]
    command = "journal-launcher dashboard houses --studies-dir '/data/my studies'"
    assert lines[12].endswith(f"dashboard  {command}")
    assert lines[13] == "  failed     catboost: no GPU is free"
    assert lines[14].startswith("  next       mend that and type the same command again")
    assert lines[15].endswith("--leave-out-failed, and the others decide")
    assert len(lines) == 16
    assert all(len(line.rstrip()) <= 80 for line in lines[:6])


def test_what_is_left_out_or_skipped_is_no_failure_to_mend() -> None:
    lines = shown(replace(FOUND, exit_code=0)).splitlines()
    assert lines[13] == "  failed     catboost: no GPU is free"
    assert len(lines) == 14
    skipped = replace(FAILED, message="skipped until tomorrow", skipped=True)
    lines = shown(replace(FOUND, models=(BOOSTED, skipped), exit_code=0)).splitlines()
    assert lines[3].split() == ["-", "catboost", "skipped", "0"]
    assert lines[7] == "  catboost: skipped until tomorrow"
    assert not [line for line in lines if "failed  " in line or "next" in line]


def test_if_nothing_won_each_failure_is_a_line() -> None:
    lost = replace(BOOSTED, score=None, rank=None, message="too many\nfailures")
    found = replace(FOUND, models=(lost, FAILED), winner=None, reason="no model type has a score")
    lines = shown(replace(found, model_path=None)).splitlines()
    assert lines[-2:] == [
        "  failed     hist_gradient_boosting: too many\\nfailures",
        "  failed     catboost: no GPU is free",
    ]
    assert not [line for line in lines if "chosen" in line]


def test_a_stopped_comparison_says_how_to_go_on() -> None:
    text = shown(replace(FOUND, exit_code=130, winner=None, model_path=None))
    assert "repeat the same command" in text and "predict" not in text
    assert failures(replace(FOUND, exit_code=130)) == [
        "stopped; type the same command again to go on"
    ]
    assert failures(FOUND) == ["catboost: no GPU is free"]
    assert comparison_line(replace(FOUND, winner=None)) == ""


def test_a_comparison_by_the_folds_that_chose_says_so() -> None:
    text = shown(replace(FOUND, confirmed=False))
    assert "compared on the folds that chose the trials in" in text and "does not beat" not in text


def test_results_for_scripts() -> None:
    assert comparison_line(FOUND) == "0.8423 /data/my studies/houses/best_model.skops"
    content = json.loads(json.dumps(comparison_json(FOUND), allow_nan=False))
    assert content["schema_version"] == 1 and content["winner"] == "hist_gradient_boosting"
    assert content["models"][1]["score"] is None and content["models"][0]["rank"] == 1
    assert content["model_path"] == "/data/my studies/houses/best_model.skops"
