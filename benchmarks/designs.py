"""Whole designs side by side: `python benchmarks/designs.py housing.csv median_house_value`.

Launcher *and* trainer both differ here, because that is what somebody replaces; launcher.py and
trainer.py compare one of them at a time. Every way runs the same trials on the same encoded folds:
the same network, recipe and number of epochs, so the same cross-validated R2 within 0.01, which is
checked. Seconds are from the start of a way's processes to their end, one thread for each process.

Without a table, a synthetic one is made: 98,783 rows of 62 standard-normal features in float32, and
a noisy non-linear target on which no model reaches more than R2 = 0.8. One trial for each worker
and two epochs are enough there: `--n-trials 2 --epochs 2`.

Ray Tune takes part if it is installed (`pip install '.[bench]'`).
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import launcher
import numpy as np
import torch
import trainer

TODAY = "one trial at a time, a process per fold, DataLoader"
THREADS = "n_jobs=2 threads, device queue, a process per fold, SQLite"
WORKERS = 2
TOLERANCE = 0.01
CEILING = 0.8


def today(work: str, folder: Path, n_trials: int, workers: int) -> None:
    launcher.processes([launcher.peer("process_per_fold", n_trials, 1)], work, folder)


def threads(work: str, folder: Path, n_trials: int, workers: int) -> None:
    launcher.processes([launcher.peer("process_per_fold", n_trials, workers)], work, folder)


WAYS: dict[str, tuple[str, launcher.Peer]] = {
    TODAY: ("loader", today),
    THREADS: ("loader", threads),
    "script started twice, journal, folds in process": ("loader", launcher.docs_way),
    "journal_launcher": ("ours", launcher.ours),
}
if launcher.ray_tune in launcher.PEERS.values():
    WAYS["Ray Tune + OptunaSearch, folds in process"] = ("loader", launcher.ray_tune)


def synthetic(path: Path, rows: int = 98_783) -> Path:
    """A target with CEILING of its variance in waves, products and kinks, the rest in noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 62), dtype=np.float32)
    signal = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + np.abs(x[:, 3]) + x[:, 4:12].sum(1) / 4
    signal = (signal - signal.mean()) / signal.std()
    noise = rng.standard_normal(len(x))
    np.savez(path, X=x, y=CEILING**0.5 * signal + (1 - CEILING) ** 0.5 * noise)
    return path


def write_table(options: argparse.Namespace, folder: Path) -> None:
    """The encoded folds as .npz files, and the recipe."""
    if options.data is None:
        options.data, options.target = str(folder / "synthetic.npz"), "y"
        synthetic(Path(options.data))
    dataset, folds = trainer.read(options, torch.device("cpu"))
    if dataset.schema.task != "regression":
        raise SystemExit("expected a table with a number to predict: the ways are compared by R2")
    recipe = trainer.make_recipe(options, dataset, folds[0].train.x.shape[1])
    (folder / "recipe.json").write_text(
        json.dumps({"net": asdict(recipe.net), "batch": recipe.batch, "epochs": recipe.epochs})
    )
    for number, (fold, rows) in enumerate(zip(folds, dataset.folds, strict=True)):
        scaled = (dataset.target[rows.valid] - fold.scaling.mean) / fold.scaling.std
        np.savez(
            folder / f"fold_{number}.npz",
            x=fold.train.x.numpy(),
            y=fold.train.y.numpy(),
            valid_x=fold.valid.numpy(),
            valid_y=scaled[:, None],
        )


def measure(name: str, n_trials: int) -> tuple[float, list[float]]:
    """Seconds of one way, and the score of each trial."""
    work, run = WAYS[name]
    with tempfile.TemporaryDirectory() as folder:
        launcher.queue(Path(folder), n_trials)
        began = time.monotonic()
        run(work, Path(folder), n_trials, WORKERS)
        took = time.monotonic() - began
        scores = [float(Path(folder, f"{index}.score").read_text()) for index in range(n_trials)]
    print(f"{name}: {took:.1f} s, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return took, scores


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?")
    parser.add_argument("target", nargs="?")
    parser.add_argument("--n-trials", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    trainer.add_recipe(parser)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    scores: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_table(options, Path(folder))
        os.environ["BENCH_TABLE"] = folder
        names = list(WAYS)
        for turn in range(options.rounds):  # each round begins with another one
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                took, scores[name] = measure(name, options.n_trials)
                seconds[name].append(took)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    print(
        f"{options.n_trials} trials x 5 folds x {options.epochs} epochs, {options.layers} x "
        f"{options.width}, batch {options.batch}, medians of {options.rounds} rounds\n"
    )
    print("| way | s a trial | against the first | against the second | R2 | worst difference |")
    print("|---|---:|---:|---:|---:|---:|")
    worst = 0.0
    for name, median in sorted(medians.items(), key=lambda item: -item[1]):
        apart = max(abs(a - b) for a, b in zip(scores[name], scores[TODAY], strict=True))
        worst = max(worst, apart)
        print(
            f"| {name} | {median / options.n_trials:.1f} | {medians[TODAY] / median:.2f} "
            f"| {medians[THREADS] / median:.2f} | {statistics.fmean(scores[name]):.4f} "
            f"| {apart:.4f} |"
        )
    if worst > TOLERANCE:
        raise SystemExit(f"a trial's R2 differs by {worst:.4f}: these are not the same trials")


if __name__ == "__main__":
    main()
