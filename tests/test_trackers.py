"""The trackers of examples/: their commands as they stand in its README, on two CPU workers.

They are no dependencies of ours: `.ci/run` installs them, in a step of its own.
"""

import importlib.util
import os
import re
from pathlib import Path

import pytest
from test_examples import COMMANDS, README, TRACKED, result_of

LEFT = {  # of each trial
    "tensorboard_callback.py": "*/trial_*/events.out.tfevents.*",
    "mlflow_callback.py": "*/*/tags/state",
    "wandb_callback.py": "wandb/offline-run-*/run-*.wandb",
}


@pytest.mark.parametrize("name", TRACKED)
def test_a_tracker_has_a_run_of_each_trial(name: str, tmp_path: Path) -> None:
    package = TRACKED[name]
    if importlib.util.find_spec(package) is None and "CI" not in os.environ:
        pytest.skip(f"{package} is not installed")
    (command,) = (command for command in COMMANDS if f"examples/{name}" in command)
    runs, studies = tmp_path / "runs", tmp_path / "studies"
    runs.mkdir()
    places = {
        "TENSORBOARD_DIR": str(runs),
        "WANDB_DIR": str(runs),
        "MLFLOW_TRACKING_URI": runs.as_uri(),
    }
    assert result_of(command, 4, studies, **places)["n_finished"] == 4
    assert len({found.parent for found in runs.glob(LEFT[name])}) == 4, [*runs.rglob("*")]


def test_ci_installs_the_trackers_that_the_readme_names() -> None:
    ci = (Path(__file__).parents[1] / ".ci/run").read_text()
    (installed,) = re.findall(r"^trackers=\((.+)\)$", ci, flags=re.M)
    line = README.partition("no dependencies of ours: ")[2].partition(". ")[0]
    named = {*re.findall(r"`(?:pip install )?([a-z-]+)`", line)}
    assert {*installed.split()} == named - {"mlflow"}  # which is mlflow-skinny and a server
