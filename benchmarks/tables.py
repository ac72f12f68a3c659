"""Published models beside AutoGluon's: `python benchmarks/tables.py FOLDER --peer PYTHON`.

FOLDER holds the tables as CSV files, see `TABLES`; PYTHON has AutoGluon. For every table and split
(a fifth is held out, by seed; ours is told to hold out no more) one `--compare-models` and
AutoGluon's presets, each with as many seconds and the same cores, one after the other. Prints a
line of JSON for each fit, then a markdown table: means over the splits, lower is better. All fits
take hours of a quiet machine: with `--results FILE` the lines are kept there, and what the file has
is not fitted again; `--by` runs some of the contestants only.
"""

import argparse
import csv
import itertools
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TYPES = ("linear", "hist_gradient_boosting", "catboost", "neural_net")
PEER_METRICS = {"rmse": "root_mean_squared_error", "log_loss": "log_loss"}
PRESETS = ("medium_quality", "best_quality")
OURS = "journal_launcher"


@dataclass(frozen=True)
class Table:
    """A CSV file: the target, and the columns that would give it away."""

    name: str
    target: str
    task: str
    without: tuple[str, ...] = ()

    @property
    def metric(self) -> str:
        return "rmse" if self.task == "regression" else "log_loss"


TABLES = (
    Table("Credit", "Balance", "regression", ("ID",)),
    Table("Bikeshare", "bikers", "regression", ("casual", "registered")),
    Table("diamonds", "price", "regression"),
    Table("OJ", "Purchase", "classification"),
    Table("Default", "default", "classification"),
    Table("Caravan", "Purchase", "classification"),
)


def split(source: Path, table: Table, seed: int, folder: Path) -> tuple[Path, Path]:
    """(train, test) as files; every fifth row of a shuffled table is tested."""
    with source.open(newline="") as file:
        header, *rows = csv.reader(file)
    kept = [place for place, name in enumerate(header) if name and name not in table.without]
    random.Random(seed).shuffle(rows)
    cut = len(rows) // 5
    for name, part in (("test", rows[:cut]), ("train", rows[cut:])):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([header[place] for place in kept])
            writer.writerows([[row[place] for place in kept] for row in part])
    return folder / "train.csv", folder / "test.csv"


def fit_ours(table: Table, train: Path, test: Path, folder: Path, seconds: float) -> dict[str, Any]:
    began = time.monotonic()
    own = (sys.executable, "-m", "journal_launcher")
    studies = ("--studies-dir", str(folder / "studies"))
    subprocess.run(
        [
            *(*own, "run", "--data", str(train), "--target", table.target, *studies, "-q"),
            *("--task", table.task, "--metric", table.metric, "--study-name", "s"),
            *("--compare-models", "--model-types", ",".join(TYPES), "--n-trials", "1000"),
            *("--timeout", f"{seconds / len(TYPES):g}s"),
            *("--gpus", "none", "--workers", "2", "--test-size", "0"),
        ],
        stdout=subprocess.DEVNULL,
        check=False,
    )
    took = time.monotonic() - began
    predicted = folder / "predicted.csv"
    subprocess.run(
        [*own, "predict", "s", "--data", str(test), *studies, "--out", str(predicted)], check=True
    )
    sidecar = json.loads((folder / "studies" / "s" / "best_model.meta.json").read_text())
    return {
        "model": sidecar["model_type"],
        "score": score(table, test, predicted),
        "seconds": took,
        "compared": {
            one["model_type"]: [one["score"], one["n_finished"]]
            for one in sidecar["comparison"]["models"]
        },
    }


def score(table: Table, test: Path, predicted: Path) -> float:
    """Root mean squared error, or mean negative log of the probability of the row's class."""
    with test.open(newline="") as file:
        true = [row[table.target] for row in csv.DictReader(file)]
    with predicted.open(newline="") as file:
        found = list(csv.DictReader(file))
    if table.task == "regression":
        errors = [float(t) - float(p["prediction"]) for t, p in zip(true, found, strict=True)]
        return math.sqrt(statistics.fmean(error * error for error in errors))
    logs = [
        math.log(max(float(p[f"probability_{t}"]), 1e-15)) for t, p in zip(true, found, strict=True)
    ]
    return -statistics.fmean(logs)


def fit_peer(
    peer: str, preset: str, table: Table, train: Path, test: Path, folder: Path, seconds: float
) -> dict[str, Any]:
    request = folder / "request.json"
    request.write_text(
        json.dumps(
            {
                "train": str(train),
                "test": str(test),
                "target": table.target,
                "problem_type": None if table.task == "classification" else "regression",
                "metric": "log_loss"
                if table.task == "classification"
                else "root_mean_squared_error",
                "preset": preset,
                "seconds": seconds,
                "threads": 2,
                "folder": str(folder / preset),
            }
        )
    )
    program = Path(__file__).with_name("peers") / "autogluon_fit.py"
    done = subprocess.run(
        [peer, str(program), str(request)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def fit(
    options: argparse.Namespace, table: Table, seed: int, contestant: str, folder: Path
) -> dict[str, Any]:
    train, test = split(options.folder / f"{table.name}.csv", table, seed, folder)
    if contestant == OURS:
        return fit_ours(table, train, test, folder, options.seconds)
    return fit_peer(options.peer, contestant, table, train, test, folder, options.seconds)


def _known(results: Path | None) -> dict[tuple[str, int, str], dict[str, Any]]:
    lines = results.read_text().splitlines() if results is not None and results.exists() else []
    fits = map(json.loads, lines)
    return {(found["table"], found["seed"], found["by"]): found for found in fits}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer", help="a Python with AutoGluon; without: ours alone")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--by", help="of the contestants only these; without: all")
    parser.add_argument("--tables", default=",".join(table.name for table in TABLES))
    parser.add_argument("--results", type=Path, help="keep the lines here, and go on from them")
    options = parser.parse_args()
    contestants = (OURS, *(PRESETS if options.peer else ()))
    if options.by is not None:
        contestants = tuple(options.by.split(","))
    wanted = [table for table in TABLES if table.name in options.tables.split(",")]
    seeds = list(map(int, options.seeds.split(",")))
    known = _known(options.results)
    for seed, table, contestant in itertools.product(seeds, wanted, contestants):
        if (table.name, seed, contestant) in known:
            continue
        with tempfile.TemporaryDirectory() as name:
            found = fit(options, table, seed, contestant, Path(name))
        line = json.dumps({"table": table.name, "seed": seed, "by": contestant, **found})
        print(line, flush=True)
        known[table.name, seed, contestant] = found
        if options.results is not None:
            with options.results.open("a") as file:
                file.write(line + "\n")
    print(f"\nload {os.getloadavg()[0]:.1f}\n\n| table | {' | '.join(contestants)} |")
    print(f"|---|{'---:|' * len(contestants)}")
    for table in wanted:
        cells = []
        for contestant in contestants:
            fits = [known[table.name, seed, contestant] for seed in seeds]
            score, seconds = (
                statistics.fmean(f[key] for f in fits) for key in ("score", "seconds")
            )
            cells.append(f"{score:.4f} ({seconds:.0f} s)")
        print(f"| {table.name} ({table.metric}) | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
