"""A night unattended, with real launches: one model type is always critical, one crashes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launcher.harness import ROOT, Ended, Workshop, finish

from journal_launcher.health.decisions import decisions

# Finding overfit_ratio is the network's alone: it is critical whatever it does.
CONFIG = """
data = "t.csv"
target = "y"
n_trials = 1
k_folds = 2
confirm = 0
gpus = "none"
study_name = "night"
studies_dir = "studies"
[neural_net]
width = 32
layers = 1
[health]
overfit_ratio = [0.001, 0.001]
"""
DEADLY = """
import os, signal
from journal_launcher.health import decisions as place
kept = place.Decision.append_to
def deadly(self, path):
    kept(self, path)
    if self.decision == "RETRY":
        os.kill(os.getpid(), signal.SIGKILL)
place.Decision.append_to = deadly
"""


def watch(shop: Workshop, *options: str, first: str = "") -> Ended:
    code = f"import sys\n{first}\nfrom journal_launcher.__main__ import main; main(sys.argv[1:])"
    paths = os.pathsep.join([str(shop.folder / "broken"), str(ROOT)])
    process = subprocess.Popen(
        [sys.executable, "-c", code, *options],
        cwd=shop.folder,
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return finish(process, 240)


def night(shop: Workshop, *options: str, first: str = "") -> Ended:
    types = ["--compare-models", "--model-types", "neural_net,catboost,linear"]
    return watch(shop, "watch", "--config", "my.toml", *types, "--json", *options, first=first)


def decided(shop: Workshop, name: str) -> list[str]:
    return [found.decision for found in decisions(shop.paths.folder / name / "decisions.jsonl")]


@pytest.fixture
def table(workshop: Workshop) -> Path:
    x = np.random.default_rng(0).normal(size=(400, 3))
    rows = np.column_stack([x, x @ [1.0, 0.5, -1.0] + 0.1 * x[:, 0] ** 2])
    path = workshop.folder / "t.csv"
    np.savetxt(path, rows, delimiter=",", header="a,b,c,y", comments="")
    (workshop.folder / "my.toml").write_text(CONFIG)
    (workshop.folder / "broken").mkdir()
    (workshop.folder / "broken" / "catboost.py").write_text("import os\nos._exit(9)\n")
    return path


@pytest.mark.slow
def test_a_night_retries_skips_publishes_the_healthy_type_and_the_next_night_knows(
    workshop: Workshop, table: Path
) -> None:
    killed = night(workshop, first=DEADLY)
    assert killed.code == -signal.SIGKILL
    assert decided(workshop, "night_neural_net") == ["RETRY"]
    first = night(workshop)
    assert first.code == 0, first.err
    assert decided(workshop, "night_neural_net") == ["RETRY", "RETRY", "SKIP_MODEL"]
    assert decided(workshop, "night_catboost") == ["SKIP_MODEL"]
    assert decided(workshop, "night_linear") == ["PROCEED"]
    assert first.json["winner"] == "linear"
    told: dict[str, Any] = {found["model_type"]: found for found in first.json["models"]}
    assert "overfit_ratio" in told["neural_net"]["message"]
    assert told["neural_net"]["rank"] is told["catboost"]["rank"] is None
    predict = ["predict", "night", "--data", "t.csv", "--out", "p.csv", "--studies-dir", "studies"]
    assert watch(workshop, *predict).code == 0
    registry = json.loads((workshop.paths.folder / "skip_registry.json").read_text())
    skipped = [e["model_type"] for e in registry["entries"] if e["skip_until"] is not None]
    assert skipped == ["neural_net"]

    journals = {path: path.read_bytes() for path in workshop.paths.folder.glob("*.log")}
    second = night(workshop)
    assert second.code == 0 and second.json["winner"] == "linear"
    assert "skipped until" in second.err and "fresh and complete" in second.err
    assert decided(workshop, "night_neural_net")[3:] == ["SKIP_MODEL"]
    assert {path: path.read_bytes() for path in journals} == journals, "nothing was trained again"


@pytest.mark.slow
def test_other_data_puts_the_old_model_aside_before_the_new_one_and_a_retry_is_found_by_name(
    workshop: Workshop, table: Path
) -> None:
    one = ["watch", "--config", "my.toml", "--max-watch-retries", "1", "--json"]
    first = watch(workshop, *one, "--model-type", "catboost")  # the next type stands in for it
    assert first.code == 0, first.err
    assert decided(workshop, "night") == ["RETRY", "PROCEED"]
    assert (first.json["study"], first.json["health"]) == ("night", "ok")
    assert Path(first.json["model_path"]).parent == workshop.paths.folder / "night"
    predict = ["predict", "night", "--data", "t.csv", "--out", "p.csv", "--studies-dir", "studies"]
    assert watch(workshop, *predict).code == 0
    linear = watch(workshop, *one, "--model-type", "linear", "--study-name", "other")
    assert linear.code == 0
    table.write_text(table.read_text().replace("0", "1"))
    again = watch(workshop, *one, "--model-type", "linear", "--study-name", "other")
    assert again.code == 0 and "stale, so it is moved aside" in again.err
    aside = [p for p in workshop.paths.folder.glob("other.20*") if (p / "decisions.jsonl").exists()]
    assert len(aside) == 1 and (aside[0] / "best_model.meta.json").exists()
    assert decided(workshop, "other") == ["PROCEED"]


def test_an_attempt_that_hangs_is_stopped_and_the_next_one_has_its_turn(
    workshop: Workshop, table: Path
) -> None:
    hang = (
        "import sys, time\nif any('worker' in word for word in sys.orig_argv): time.sleep(1000)\n"
    )
    (workshop.folder / "broken" / "sitecustomize.py").write_text(hang)
    limits = ["--step-timeout", "1.5s", "--max-watch-retries", "1"]
    ended = watch(workshop, "watch", "--config", "my.toml", *limits, "--json")
    assert ended.code == 1 and ended.json["exit_reason"] == "failed", ended.err
    found = list(decisions(workshop.paths.folder / "night" / "decisions.jsonl"))
    assert [decision.decision for decision in found] == ["RETRY", "SKIP_MODEL"]
    late = "failed: took longer than 1.5 s (--step-timeout)"
    assert (
        found[0].reason == f"night {late}; next: study_name = night_retry1, model_type = catboost"
    )
    assert found[1].reason == f"night_retry1 {late}"


def test_an_objective_of_the_users_own_is_refused_in_one_line(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    return 1.0\n")
    ended = watch(workshop, "watch", "--objective", workshop.reference, "--json")
    assert ended.code == 2 and ended.json["exit_code"] == 2
    assert ended.err.splitlines()[-1].startswith("error: watch judges the models of a table")
    assert not workshop.paths.folder.exists()
