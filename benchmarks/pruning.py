"""Pruners compared: `python benchmarks/pruning.py sklearn:diabetes sklearn:wine`.

For every table, model type and seed, one study with each pruner: the same folds, default trial and
random beginning, in one process and thread, with the product's trials, journal and confirmation.
The winner of the best three trials on fresh folds is scored once more on partitions that chose
nothing. Prints a markdown table: steps (epochs or folds) and CPU time of the trials against no
pruner, medians; the score against it in standard deviations over the folds, mean ± standard error
and worst. A file is given as PATH=TARGET.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

# As in a worker; read when the libraries load.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.scores import Confirmation
from journal_launcher.base.seeds import trial_seed
from journal_launcher.study import confirmation
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.study import StudyHandle
from journal_launcher.tabular.data.prepared import fresh_folds, load, prepare
from journal_launcher.tabular.data.source import TableSource
from journal_launcher.tabular.models import ModelSettings, make_model
from journal_launcher.tabular.task import TableTask
from journal_launcher.worker.jobs import table as table_job
from journal_launcher.worker.jobs.table import TableObjective
from journal_launcher.worker.sampling import make_pruner, make_sampler
from journal_launcher.worker.trials import WorkerStudy, evaluate, finish_trial

EACH_EPOCH = "median, each epoch"
PRUNERS = {"none": "none", "median": "median", "hyperband": "hyperband", EACH_EPOCH: "median"}
REPORTS = table_job.REPORTS
Case = tuple[str, str, int]
"""data, model type, seed"""
Found = TypeVar("Found")
Studies = dict[str, dict[str, Any]]  # by pruner


class Table:
    """A table with its folds, the fresh ones of the confirmation, and those that choose nothing."""

    def __init__(self, case: Case, folder: Path, **ranges: Any) -> None:
        (path, _, target), model_type, self.seed = case[0].partition("="), *case[1:]
        source = TableSource(path, self.seed, target=target or None)
        self.prepared = prepare(source, folder / "cache")
        self.dataset = load(Path(self.prepared["directory"]))
        schema, n_rows = self.dataset.schema, len(self.dataset.train)
        metric = self.prepared["metric"]
        settings = ModelSettings(schema, n_rows, metric, name=model_type, ranges=ranges)
        settings = replace(settings, rounds=make_model(settings).affordable)
        self.task = TableTask(self.dataset, settings, self.seed)
        self.folds = self.task.folds
        self.fresh = self.partition("fresh folds")
        self.unused = [self.partition(f"never used {number}") for number in range(2)]
        self.sign = 1 if self.prepared["direction"] == "maximize" else -1
        self.once: Once | None = None
        self.objective("none").model.precompute(self.folds)  # off the clock of whoever comes first

    def partition(self, purpose: str) -> TableTask:
        seed = trial_seed(self.seed, 0, purpose)
        return self.task.with_folds(fresh_folds(Path(self.prepared["directory"]), seed))

    def objective(self, pruner: str) -> TableObjective:
        found = TableObjective(self.task, PRUNERS[pruner] != "none", lambda *step: None)
        self.once = self.once or Once(found.model)
        found.model = self.once  # type: ignore[assignment]
        return found


class Once:
    """A model type that trains the same folds with the same parameters and seed once only.

    The next time it repeats the reports and counts the seconds of the first time: studies that
    differ by their pruner begin with the same trials. saved: seconds of CPU that were not spent
    again; steps: epochs or folds, repeated ones too.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._kept: dict[Any, tuple[list[tuple[float, tuple[int, int, float]]], Any, float]] = {}
        self.saved, self.steps = 0.0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def cross_validate(
        self, params: Any, folds: Any, score: Any, seed: int, report: Any, fixed: Any = None
    ) -> Any:
        key = id(folds), seed, fixed, json.dumps(params, sort_keys=True)
        if key not in self._kept:
            return self._train(key, params, folds, score, seed, report, fixed)
        reports, curve, whole = self._kept[key]
        before = self.saved
        for spent, content in reports:
            self.steps, self.saved = self.steps + 1, before + spent
            report(*content)
        self.saved = before + whole
        return curve

    def _train(
        self, key: Any, params: Any, folds: Any, score: Any, seed: int, report: Any, fixed: Any
    ) -> Any:
        reports: list[tuple[float, tuple[int, int, float]]] = []
        began, reporting = time.process_time(), 0.0

        def noting(*content: Any) -> None:
            nonlocal reporting
            now = time.process_time()
            reports.append((now - began - reporting, content))
            self.steps += 1
            report(*content)
            reporting += time.process_time() - now

        curve = self._model.cross_validate(params, folds, score, seed, noting, fixed)
        self._kept[key] = reports, curve, time.process_time() - began - reporting
        return curve


class Study:
    """One worker's trials, one after the other, in a journal."""

    def __init__(self, table: Table, pruner: str, folder: Path, defaults: bool = True) -> None:
        table_job.REPORTS = 10**6 if pruner == EACH_EPOCH else REPORTS
        self._seed, self.objective = table.seed, table.objective(pruner)
        storage = open_storage(folder / f"{pruner}.log", create=True)
        split, directions = table.prepared["split"], [table.prepared["direction"]]
        identity = {"directions": directions, "kind": "table", "split": split}
        self.record = StudyHandle.create(storage, f"study{table.seed}", identity)
        if defaults:
            self.record.queue_defaults(self.objective.defaults())
        self._study = WorkerStudy(self.record.name, storage)
        self._study.pruner = make_pruner(PRUNERS[pruner])

    def run_trial(self, number: int) -> None:
        self._study.sampler = make_sampler("tpe", self._seed, number)
        trial = self._study.ask()
        outcome = evaluate(self.objective, trial, 1)  # type: ignore[arg-type]
        finish_trial(self.record.storage, self._study, trial, outcome, self.objective.attributes)

    def score(self, trial: FrozenTrial, fresh: TableTask) -> Confirmation:
        """As a trial is confirmed."""
        steps = trial.user_attrs["jl_steps"]
        return self.objective.confirm(trial.number, trial.params, steps, fresh)


def run_study(table: Table, pruner: str, n_trials: int, folder: Path) -> dict[str, Any]:
    """What its trials took and what came of them."""
    study, once = Study(table, pruner, folder), table.once
    assert once is not None
    steps, saved, cpu = once.steps, once.saved, time.process_time()
    for number in range(n_trials):
        study.run_trial(number)
    cpu = time.process_time() - cpu + once.saved - saved
    steps = once.steps - steps
    for trial in confirmation.candidates(study.record, 3):
        confirmation.keep_confirmation(study.record, trial.number, study.score(trial, table.fresh))
    winner = confirmation.winner(study.record, 3)
    assert winner is not None
    unused = [study.score(winner, fresh) for fresh in table.unused]
    return {
        "steps": steps,
        "cpu": cpu,
        "pruned": len(study.record.trials(TrialState.PRUNED)) / n_trials,
        "number": winner.number,
        "score": table.sign * float(np.mean([found.score for found in unused])),
        "spread": float(np.mean([np.std(found.fold_scores, ddof=1) for found in unused])),
    }


def run_case(case: Case, n_trials: int) -> Studies:
    """The studies of one table, model type and seed."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        table = Table(case, Path(name))
        for pruner in PRUNERS:
            found[pruner] = run_study(table, pruner, n_trials, Path(name))
            print(json.dumps([*case, pruner, found[pruner]]), file=sys.stderr, flush=True)
    return found


def side_by_side(
    processes: int, run: Callable[..., Found], cases: list[Case], *rest: Any
) -> Iterator[tuple[Case, Found]]:
    """run(case, *rest) of every case.

    Forked, so that the libraries are imported once; each in a session of its own, as workers are,
    because the scheduler shares the cores among sessions.
    """
    with ProcessPoolExecutor(processes, get_context("fork"), os.setsid) as pool:
        futures = {pool.submit(run, case, *rest): case for case in cases}
        for future in as_completed(futures):
            yield futures[future], future.result()


def print_table(title: str, cases: list[Studies]) -> None:
    for pruner in list(PRUNERS)[1:]:
        pairs = [(case["none"], case[pruner]) for case in cases]
        steps, cpu = (
            float(np.median([found[key] / none[key] for none, found in pairs]))
            for key in ("steps", "cpu")
        )
        better = np.array(
            [(found["score"] - none["score"]) / none["spread"] for none, found in pairs]
        )
        error = np.std(better, ddof=1) / len(better) ** 0.5 if len(better) > 1 else np.nan
        same = np.mean([found["number"] == none["number"] for none, found in pairs])
        pruned = np.mean([found["pruned"] for _, found in pairs])
        print(
            f"| {title} | {pruner} | {steps:.2f} | {cpu:.2f} | {better.mean():+.2f} ± {error:.2f} "
            f"| {better.min():+.2f} | {same:.0%} | {pruned:.0%} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--model-types", default="neural_net")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--n-trials", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    seeds, kinds = range(options.seeds), options.model_types.split(",")
    cases = [(data, kind, seed) for seed, data, kind in product(seeds, options.data, kinds)]
    groups: dict[str, list[Studies]] = defaultdict(list)
    for case, found in side_by_side(options.processes, run_case, cases, options.n_trials):
        for title in (f"{case[0]}, {case[1]}", "all"):
            groups[title].append(found)
    print(f"load {os.getloadavg()[0]:.1f}, {options.n_trials} trials, {options.seeds} seeds\n")
    print("| studies | pruner | steps | CPU time | score | worst | same winner | pruned |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for title, studies in sorted(groups.items(), reverse=True):
        print_table(title, studies)


if __name__ == "__main__":
    main()
