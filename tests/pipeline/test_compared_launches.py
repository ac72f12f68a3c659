"""Whole comparisons of model types: one winner, what a kill leaves, what an ordinary run keeps."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from launcher.harness import ROOT, Ended, Workshop, finish

DEADLY = """
import os, signal
from journal_launcher.{module} import {name} as place
kept = place.{function}
calls = []
def deadly(*arguments, **more):
    calls.append(1)
    if len(calls) == {nth}:
        os.kill(os.getpid(), signal.SIGKILL)
    return kept(*arguments, **more)
place.{function} = deadly
"""
REPORT = (
    "import atexit, json; "
    "atexit.register(lambda: open('modules', 'w').write(json.dumps(sorted(sys.modules))))"
)
KILLS = [
    ("launcher", "course", "save_best_model", 2),  # the second type's trials are done
    ("launcher", "model_store", "republish", 1),
    ("launcher", "model_store", "leave_out", 2),  # one model is left out already
    ("launcher", "model_store", "_remove_file", 3),  # some files of the mean of five are gone
]


@pytest.fixture(scope="module")
def curved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with a curved relation: boosted trees beat a linear model beyond noise."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, size=(300, 2))
    y = x[:, 0] ** 2 + (x[:, 1] > 0) + rng.normal(size=300) / 10
    path = tmp_path_factory.mktemp("tables") / "curved.csv"
    pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y}).to_csv(path, index=False)
    return path


def command(shop: Workshop, data: Path, *options: str, first: str = "") -> Ended:
    code = f"import sys\n{first}\nfrom journal_launcher.__main__ import main; main(sys.argv[1:])"
    given = ["--data", str(data), "--target", "y", "--k-folds", "3", "--gpus", "none", "--json"]
    types = ["--model-types", "linear,hist_gradient_boosting", "--n-trials", "2"]
    where = ["--studies-dir", str(shop.paths.folder)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", "--compare-models", *types, *given, *where, *options],
        cwd=shop.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return finish(process, 120)


def models(shop: Workshop) -> Iterator[str]:
    """The model files below the studies folder."""
    for path in sorted(shop.paths.folder.rglob("best_model*")):
        if path.name != "best_model.meta.json":
            yield str(path.relative_to(shop.paths.folder))


def journals(shop: Workshop) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shop.paths.folder.glob("*.log")}


WINNER, LOSER = "curved_y_hist_gradient_boosting", "curved_y_linear"
MEAN_OF_FIVE = ["best_model.skops", *(f"best_model.variant{n}.skops" for n in range(2, 6))]
OF_WINNER = [f"curved_y/{name}" for name in MEAN_OF_FIVE]


@pytest.mark.slow  # every worker imports scikit-learn
def test_one_winner_is_published_and_the_same_command_computes_nothing(
    workshop: Workshop, curved: Path
) -> None:
    ended = command(workshop, curved, first=REPORT)
    assert ended.code == 0, ended.err
    loaded = json.loads((workshop.folder / "modules").read_text())
    assert not {name.split(".")[0] for name in loaded} & {"torch", "catboost", "sklearn", "pandas"}
    assert ended.json["winner"] == "hist_gradient_boosting" and ended.json["p_value"] < 0.05
    assert list(models(workshop)) == OF_WINNER
    sidecar = json.loads((workshop.paths.folder / "curved_y/best_model.meta.json").read_text())
    assert sidecar["comparison"]["winner"] == "hist_gradient_boosting"
    told = {found["model_type"]: found for found in sidecar["comparison"]["models"]}
    assert told["hist_gradient_boosting"]["score"] == sidecar["confirmed_score"]
    assert told["linear"]["rank"] == 2 and told["linear"]["holdout_interval"][0] is not None
    assert "linear (baseline)" in ended.err and "because its r2" in ended.err
    before, published = journals(workshop), sidecar["published"]
    again = command(workshop, curved)
    assert again.code == 0 and "refitting" not in again.err
    assert journals(workshop) == before and list(models(workshop)) == OF_WINNER
    assert again.json["models"] == ended.json["models"]
    kept = command(workshop, curved, "--save-all-models")
    assert kept.code == 0 and journals(workshop) == before
    of_types = [*(f"{WINNER}/{name}" for name in MEAN_OF_FIVE), f"{LOSER}/best_model.skops"]
    assert list(models(workshop)) == [*OF_WINNER, *of_types]
    sidecar = json.loads((workshop.paths.folder / "curved_y/best_model.meta.json").read_text())
    assert sidecar["published"] != published or sidecar["files"]


@pytest.mark.slow
def test_a_type_that_cannot_run_is_known_before_the_first_trial(
    workshop: Workshop, curved: Path
) -> None:
    config = workshop.folder / "ranges.toml"
    config.write_text("[linear]\nalpha = 1.0\n")
    ended = command(workshop, curved, "--config", str(config))
    assert ended.code == 2 and "linear: [linear] alpha: " in ended.err.splitlines()[-1]
    assert "no trial was run: mend that, or leave out" in ended.err.splitlines()[-1]
    assert not journals(workshop)
    ended = command(workshop, curved, "--config", str(config), "--leave-out-failed")
    assert ended.code == 0 and ended.json["winner"] == "hist_gradient_boosting"
    assert "  failed     linear: [linear] alpha: " in ended.err
    assert list(journals(workshop)) == [f"{WINNER}.log"]


@pytest.mark.slow
@pytest.mark.parametrize(("floor", "module", "function", "nth"), KILLS)
def test_a_kill_at_any_step_is_made_good_by_the_same_command(
    workshop: Workshop, curved: Path, floor: str, module: str, function: str, nth: int
) -> None:
    first = DEADLY.format(module=f"{floor}", name=module, function=function, nth=nth)
    assert command(workshop, curved, first=first).code == -signal.SIGKILL
    before = journals(workshop)
    ended = command(workshop, curved)
    assert ended.code == 0, ended.err
    assert list(models(workshop)) == OF_WINNER
    if function != "save_best_model":
        assert journals(workshop) == before
    finished = {found["model_type"]: found["n_finished"] for found in ended.json["models"]}
    assert finished == {"linear": 2, "hist_gradient_boosting": 2}


@pytest.mark.slow
def test_a_model_of_an_ordinary_run_stays_and_a_left_out_one_is_refitted_by_it(
    workshop: Workshop, curved: Path
) -> None:
    def ordinary() -> Any:
        return workshop.launch(
            objective=None, data=str(curved), target="y", k_folds=3, model_type="linear",
            study_name=LOSER,
        )  # fmt: skip

    own = ordinary()
    assert own.exit_code == 0 and command(workshop, curved).code == 0
    assert list(models(workshop)) == [*OF_WINNER, f"{LOSER}/best_model.skops"]
    boosted = workshop.launch(
        objective=None, data=str(curved), target="y", k_folds=3, study_name=WINNER,
        model_type="hist_gradient_boosting",
    )  # fmt: skip
    assert boosted.exit_code == 0 and boosted.model_path.suffix == ".skops"
    assert len(list(models(workshop))) == 5 + 5 + 1
