"""`best`: which trial, its scores, and what trains it again."""

import json
import math
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from views.listed import PARAMS, Listed, of_every_kind

from journal_launcher.base.artifacts.scores import Confirmation
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.settings.config_file import read_config
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.attributes import ARGUMENTS, arguments_mark
from journal_launcher.study.confirmation import keep_confirmation
from journal_launcher.study.study import NOTED_ATTRIBUTE
from journal_launcher.views.best import BestTrials
from journal_launcher.views.status import Status

TABLE = {"kind": "table", "directions": ["maximize"], "metric": "r2", "seed": 0}
TABLE |= {"split": {"kind": "kfold"}}
SCORED = {"jl_fold_scores": [0.25, 0.75], "jl_train_scores": [1.0, 1.0], "jl_steps": 3}
SCRIPT = {"kind": "command", "directions": ["minimize"], "seed": 0}
SCRIPT |= {"command": "python train.py --lr {lr} --out {dir}/x"}
OBJECTIVE = {"kind": "objective", "objective": "../o.py:f", "directions": ["minimize"], "seed": 0}


@pytest.fixture
def paths(tmp_path: Path) -> StudyPaths:
    return StudiesFolder.at(tmp_path / "my studies").study("mine")


def shown(paths: StudyPaths, asked: int | None = None) -> dict[str, str]:
    """What stands behind each label."""
    lines = BestTrials(paths, asked).lines(None)
    return {line[:12].strip(): line[12:] for line in lines if line[:12].strip()}


def typed(paths: StudyPaths, command: str) -> str:
    return f"journal-launcher {command} --studies-dir {shlex.quote(str(paths.folder))}"


def table(paths: StudyPaths) -> Listed:
    """Trial 1 is chosen; trial 0 is the best on fresh folds; trial 2 has no third candidate."""
    settings = {"data": "houses.csv", "target": "y", "dropout": 0.1}
    settings |= {"spaces": {"neural_net": {"width": [8, 16]}}, "callback": ["c.py:c"]}
    made = Listed(paths, TABLE, settings)
    for value in (0.5, 0.625, 0.25):
        made.add(value, **SCORED)
    return made


def confirm(made: Listed, number: int, score: float) -> None:
    keep_confirmation(made.record, number, Confirmation(score, [score, score + 0.5]))


def test_a_table_before_and_after_its_confirmation_and_its_save(paths: StudyPaths) -> None:
    made = table(paths)
    found = shown(paths)
    assert found["trial"] == "1" and "model" not in found and "confirmed" not in found
    assert found["best"] == "r2 0.625 ± 0.35 (standard deviation over 2 folds)"
    confirm(made, 0, 0.375)
    confirm(made, 1, 0.125)
    found = shown(paths)
    assert found["study"] == "mine, 3 trials finished" and found["trial"] == "0"
    assert found["chosen"] == "r2 0.5 ± 0.35 (standard deviation over 2 folds)"
    assert found["confirmed"] == (
        "r2 0.375 ± 0.35 (standard deviation over 2 fresh folds), the best of trials 1, 0"
    )
    # `status` names the same trial in the same words.
    assert "best          r2 0.5 chosen, 0.375 confirmed (trial 0)" in [*Status(paths).lines()]
    assert Status(paths).to_json()["best_trial"] == {"number": 0, "value": 0.5, "confirmed": 0.375}
    assert "hold-out" not in found and found["again"] == typed(paths, "replay mine 0")
    toml = typed(paths, "best mine --toml")
    assert found["config"] == f"{toml} > best.toml && {typed(paths, '--config best.toml')}"
    identity = made.record.identity
    assert identity is not None
    sidecar = {"schema_version": 1, "study": "mine", "trial": 0, "metric": "r2"}
    sidecar |= {"identity_sha256": identity.sha256, "files": {"best_model.cbm": "0"}}
    sidecar |= {"holdout_metrics": {"r2": 0.3125}, "holdout_interval": [0.25, 0.375]}
    paths.directory.mkdir()
    paths.sidecar.write_text(json.dumps(sidecar))
    found = shown(paths)
    assert found["hold-out"] == "r2 0.3125, 95 % interval 0.25 to 0.375"
    assert found["model"] == str(paths.directory / "best_model.cbm")
    other = shown(paths, 1)
    assert "hold-out" not in other and other["model"].endswith(" (of trial 0)")
    assert other["confirmed"].endswith("fresh folds)") and other["chosen"].startswith("r2 0.625")
    assert "best mine --trial 1 --toml" in other["config"]
    content = BestTrials(paths).to_json()
    assert content["holdout"]["metrics"] == {"r2": 0.3125} and content["model_trials"] == [0]
    assert content["confirmed"]["score"] == 0.375 and content["best_trial"]["value"] == 0.5
    paths.sidecar.write_text(json.dumps(sidecar | {"identity_sha256": "another study's"}))
    assert "hold-out" not in shown(paths), "a model of an earlier study of this name"
    paths.sidecar.write_text("{")
    assert "expected a JSON object" in shown(paths)["model"]


def test_all_metrics_of_the_trial_are_shown_before_and_after_its_confirmation(
    paths: StudyPaths,
) -> None:
    made = Listed(paths, TABLE)
    made.add(0.5, **SCORED, jl_metrics={"r2": 0.5, "rmse": 2.0, "mae": None})
    assert shown(paths)["also"] == "rmse 2 (folds)"
    metrics = {"r2": 0.25, "rmse": 3.0, "mae": 1.0}
    keep_confirmation(made.record, 0, Confirmation(0.25, [0.25, 0.25], metrics=metrics))
    assert shown(paths)["also"] == "rmse 3, mae 1 (fresh folds)"
    found = BestTrials(paths).to_json()
    assert found["confirmed"]["metrics"] == found["scores"]["fresh_folds"] == metrics
    assert found["best_trial"]["metrics"] == found["scores"]["folds"]
    assert found["scores"]["holdout"] is None


def config(paths: StudyPaths, tmp_path: Path, **asked: Any) -> LaunchSettings:
    file = tmp_path / "best.toml"
    file.write_text(BestTrials(paths, **asked).to_toml())
    return LaunchSettings(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in read_config(file).items()}
    )


def test_the_config_file_of_a_table_fixes_the_parameters(paths: StudyPaths, tmp_path: Path) -> None:
    table(paths)
    assert config(paths, tmp_path, asked=2) == LaunchSettings(
        data="houses.csv",
        target="y",
        n_trials=1,
        study_name="mine_trial_2",
        spaces={"neural_net": PARAMS},
    )


def test_a_script_is_typed_with_its_parameters(paths: StudyPaths, tmp_path: Path) -> None:
    settings = {"command": SCRIPT["command"], "space": {"lr": [1, 2], "loss": ["mae"]}}
    made = Listed(paths, SCRIPT, settings)
    made.add(0.5, params={"lr": 0.125, "loss": "mse"})
    found = shown(paths)
    assert found["script"] == "JL_LOSS=mse python train.py --lr 0.125 --out DIR/x"
    assert found["best"] == "value 0.5" and found["again"] == typed(paths, "replay mine 0")
    assert config(paths, tmp_path) == LaunchSettings(
        command=str(SCRIPT["command"]),
        space={"lr": 0.125, "loss": "mse"},
        n_trials=1,
        study_name="mine_trial_0",
    )


def test_an_objective_says_that_its_arguments_are_nowhere(paths: StudyPaths) -> None:
    made = Listed(paths, OBJECTIVE, {"objective": "o.py:f"})
    made.add(0.5)
    for arguments, ending, needed in (((), "", False), (("--key", "s3cret"), " -- …", True)):
        made.record.set_attribute(NOTED_ATTRIBUTE, {ARGUMENTS: arguments_mark(arguments)})
        assert shown(paths)["again"] == typed(paths, "replay mine 0") + ending
        assert BestTrials(paths).to_json()["arguments_needed"] is needed
    assert "config" not in shown(paths) and "script" not in shown(paths)
    with pytest.raises(UsageError, match=r"no file can say .* journal-launcher replay mine 0"):
        BestTrials(paths).to_toml()


def test_a_study_of_stock_optuna_does_not_say_how_it_ran(paths: StudyPaths) -> None:
    of_every_kind(paths)
    found = shown(paths)
    assert found["best"] == "r2 0.5 ± 0.35 (standard deviation over 2 folds)"
    assert found["again"] == "the study does not say how its trials ran"
    assert BestTrials(paths).to_json()["best_trial"]["again"] is None
    with pytest.raises(UsageError, match="does not say how its trials ran; repeat its command"):
        BestTrials(paths).to_toml()


def test_a_parameter_that_no_config_file_holds_is_named(paths: StudyPaths) -> None:
    made = Listed(paths, SCRIPT, {"command": SCRIPT["command"], "space": {"lr": 1}})
    made.add(0.5, params={"lr": 0.125, "loss": None})
    made.add(1.0, params={"lr": 0.125, "loss": math.inf})
    for number, found in ((0, "found None"), (1, "expected a finite number, found inf")):
        with pytest.raises(UsageError, match=rf"\[space\] loss: .*{found}"):
            BestTrials(paths, number).to_toml()


def test_a_pareto_front_is_a_list(paths: StudyPaths, tmp_path: Path) -> None:
    both = {"directions": ["minimize", "maximize"]}
    settings = {
        "command": SCRIPT["command"],
        "space": {"lr": [1, 2]},
        "direction": both["directions"],
    }
    made = Listed(paths, SCRIPT | both, settings)
    for values in ((1.0, 1.0), (2.0, 1.0), (3.0, 2.0)):
        made.add(*values, params={"lr": 0.5})
    lines = list(BestTrials(paths).lines(80))
    assert lines[:3] == [
        "study       mine, 3 trials finished",
        "best        2 Pareto-optimal trials of 2 objectives",
        f"again       {typed(paths, 'replay mine NUMBER')}",
    ]
    assert lines[3].startswith("config ") and "--trial NUMBER --toml" in lines[3]
    assert [line.split()[:4] for line in lines[-2:]] == [
        ["0", "complete", "1", "1"],
        ["2", "complete", "3", "2"],
    ]
    content = BestTrials(paths).to_json()
    assert content["best_trial"] is None
    assert [trial["values"] for trial in content["pareto_front"]] == [[1.0, 1.0], [3.0, 2.0]]
    with pytest.raises(UsageError, match=r"2 Pareto-optimal trials: choose one .* \(0, 2\)"):
        BestTrials(paths).to_toml()
    assert config(paths, tmp_path, asked=2).direction == ("minimize", "maximize")
    assert shown(paths, 2)["values"] == "value 3, 2"


def test_nothing_to_show_says_why(paths: StudyPaths) -> None:
    made = Listed(paths, OBJECTIVE)
    made.add(state=TrialState.FAIL)
    with pytest.raises(UsageError, match=r"none of its 1 trials is COMPLETE; see .* trials mine"):
        BestTrials(paths)
    with pytest.raises(UsageError, match="trial 0 is FAIL; only a COMPLETE one"):
        BestTrials(paths, 0)
    for number in (1, -1):
        with pytest.raises(UsageError, match=r"no trial -?1; its trials are 0 to 0"):
            BestTrials(paths, number)


def test_of_a_comparison_it_is_the_study_that_won(paths: StudyPaths) -> None:
    home = StudiesFolder.at(paths.folder).study("houses")
    identity = table(paths).record.identity
    assert identity is not None
    home.directory.mkdir()
    won = {"schema_version": 1, "study": "mine", "trial": 1, "files": {"best_model.cbm": "0"}}
    won |= {"identity_sha256": identity.sha256, "metric": "r2", "holdout_metrics": {"r2": 0.5}}
    home.sidecar.write_text(json.dumps(won))
    found = shown(home)
    assert found["study"].startswith("mine, ") and found["hold-out"] == "r2 0.5"
    assert found["model"] == str(home.directory / "best_model.cbm")
    assert found["again"] == typed(paths, "replay mine 1")
    home.sidecar.write_text(json.dumps(won | {"study": "../mine"}))
    with pytest.raises(UsageError, match="no study houses in"):
        BestTrials(home)


@pytest.mark.parametrize("arguments", [["best", "mine", "--toml"], ["trials", "mine"]])
def test_in_a_process_it_needs_no_heavy_library(paths: StudyPaths, arguments: list[str]) -> None:
    table(paths)
    code = (
        "import sys; from journal_launcher.cli.program import run; "
        f"code = run([*{arguments!r}, '--studies-dir', {str(paths.folder)!r}]); "
        "print(code, {'torch', 'sklearn', 'catboost', 'pandas', 'rich.table'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "0 set()", result.stderr
    assert result.stderr == "" and len(result.stdout.splitlines()) > 3
