"""TPE with a bounded history against all of it: `python benchmarks/tpe_history.py quality|time`.

quality: five functions, each minimised by one worker's sampler and journal, with the same seeds and
both ways; they part at the first trial after the bound. Prints a markdown table: medians of the
best value, the geometric mean of bound / all trials, how often the bounded history ended lower, and
the two-sided p of Wilcoxon's signed-rank test over the pairs. time: CPU of one trial's suggestions
after so many finished trials, the ways in turns, medians; and of the worker's first look at all.
"""

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState
from scipy.stats import wilcoxon

from journal_launcher.study.journal.storage import StudyStorage, open_storage, suggesting
from journal_launcher.study.optuna_private import study_id
from journal_launcher.worker.history import History
from journal_launcher.worker.sampling import make_sampler
from journal_launcher.worker.trials import WorkerStudy

DIMENSIONS = 5


def point(trial: optuna.Trial, low: float, high: float) -> np.ndarray:
    """The optimum is off the middle of every range, which TPE would try by itself."""
    return np.array([trial.suggest_float(f"x{i}", low, high) for i in range(DIMENSIONS)]) - 0.7


def sphere(trial: optuna.Trial) -> float:
    return float((point(trial, -5, 5) ** 2).sum())


def rosenbrock(trial: optuna.Trial) -> float:
    x = point(trial, -2, 3)
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def ackley(trial: optuna.Trial) -> float:
    x = point(trial, -15, 20)
    hills = math.exp(float(np.cos(2 * math.pi * x).mean()))
    return 20 + math.e - 20 * math.exp(-0.2 * math.sqrt(float((x**2).mean()))) - hills


def rastrigin(trial: optuna.Trial) -> float:
    x = point(trial, -5, 5)
    return float((10 + x**2 - 10 * np.cos(2 * math.pi * x)).sum())


def conditional(trial: optuna.Trial) -> float:
    """Mixed kinds; which parameters there are depends on one of them, and one branch is best."""
    rate = trial.suggest_float("rate", 1e-5, 1, log=True)
    loss = (math.log10(rate) + 2.3) ** 2
    kind = trial.suggest_categorical("kind", ["tree", "net", "linear"])
    if kind == "tree":
        depth = trial.suggest_int("depth", 1, 12)
        leaves = trial.suggest_int("leaves", 1, 300, log=True)
        return loss + 0.3 + 0.05 * (depth - 7) ** 2 + 0.2 * math.log(leaves / 40) ** 2
    if kind == "net":
        layers = trial.suggest_int("layers", 1, 4)
        widths = [trial.suggest_int(f"width{i}", 8, 512, log=True) for i in range(layers)]
        dropout = trial.suggest_float("dropout", 0, 0.6)
        steps = sum(math.log(width / 100) ** 2 for width in widths) / layers
        return loss + 0.1 * (layers - 3) ** 2 + 0.3 * steps + 4 * (dropout - 0.15) ** 2
    return loss + 1 + trial.suggest_float("penalty", 0, 1)


FUNCTIONS: dict[str, Callable[[optuna.Trial], float]] = {
    each.__name__: each for each in (sphere, rosenbrock, ackley, rastrigin, conditional)
}


class Worker:
    """A worker's study, storage and history; no bound: all of it is shown."""

    def __init__(self, folder: str, bound: int | None, objectives: int = 1) -> None:
        self.storage: StudyStorage = open_storage(Path(folder) / "study.log", create=True)
        if not self.storage.get_all_studies():
            self.storage.create_new_study([StudyDirection.MINIMIZE] * objectives, "study")
        self.study = WorkerStudy("study", self.storage)
        self.history = None if bound is None else History(self.study, self.storage, bound)

    def trial(self, seed: int) -> optuna.Trial:
        """A trial begun as a worker begins it."""
        trial_id = self.storage.start_trial(study_id(self.study), {})
        number = self.storage.get_trial(trial_id).number
        self.study.sampler = make_sampler("tpe", seed, number, self.history)
        return optuna.Trial(self.study, trial_id)


def pair(name: str, seed: int, bound: int, n_trials: int) -> tuple[float, float]:
    """The best values with all trials and with a bound, from a common beginning."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "study.log")
        minimise(name, seed, Worker(folder, None), bound)
        begun = journal.read_bytes()
        for limit in (None, bound):
            journal.write_bytes(begun)
            worker = Worker(folder, limit)
            minimise(name, seed, worker, n_trials - bound)
            found.append(worker.study.best_value)
    return found[0], found[1]


def minimise(name: str, seed: int, worker: Worker, n_trials: int) -> None:
    for _ in range(n_trials):
        trial = worker.trial(seed)
        worker.study.tell(trial, FUNCTIONS[name](trial))


def compare_quality(options: argparse.Namespace) -> None:
    cases = list(product(options.functions, range(options.seeds)))
    found: dict[tuple[str, int], tuple[float, float]] = {}
    with ProcessPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(pair, *case, options.bound, options.trials): case for case in cases}
        for run in as_completed(runs):
            found[runs[run]] = run.result()
            print(*runs[run], *found[runs[run]], file=sys.stderr, flush=True)
    print(f"{options.trials} trials, {options.seeds} seeds; median of the best value\n")
    print(f"| | all trials | bound {options.bound} | ratio | bound lower | p |")
    print("|---|---|---|---|---|---|")
    for name in options.functions:
        print(row(name, [found[name, seed] for seed in range(options.seeds)]))
    ratios = [math.log(bound / whole) for whole, bound in found.values()]
    geometric = math.exp(statistics.fmean(ratios))
    print(f"\nAll pairs: bound / all trials = {geometric:.3f} (geometric mean), ", end="")
    print(f"p = {wilcoxon(ratios).pvalue:.2f}")


def row(name: str, pairs: list[tuple[float, float]]) -> str:
    whole, bound = (statistics.median(values) for values in zip(*pairs, strict=True))
    lower = sum(bound < whole for whole, bound in pairs)
    ratios = [math.log(bound / whole) for whole, bound in pairs]
    ratio, p = math.exp(statistics.fmean(ratios)), wilcoxon(ratios).pvalue
    return (
        f"| {name} | {whole:.4g} | {bound:.4g} | {ratio:.2f} | {lower} of {len(pairs)} | {p:.2f} |"
    )


SPACE: dict[str, BaseDistribution] = {
    **{f"x{i}": FloatDistribution(0, 1) for i in range(6)},
    "n": IntDistribution(1, 100, log=True),
    "c": CategoricalDistribution(("a", "b", "c")),
}


def fill(worker: Worker, n_trials: int, kind: str) -> None:
    """Finished trials of eight parameters at random; of `pruned` ones every second was."""
    random = np.random.default_rng(0)
    for start in range(0, n_trials, 1000):
        with worker.storage.together():
            for number in range(start, min(start + 1000, n_trials)):
                pruned = kind == "pruned" and number % 2 == 1
                params = {name: drawn(range_, random) for name, range_ in SPACE.items()}
                values = [float(value) for value in random.random(len(worker.study.directions))]
                worker.study.add_trial(
                    optuna.create_trial(
                        state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
                        params=params,
                        distributions=SPACE,
                        values=None if pruned else values,
                        intermediate_values={int(random.integers(1, 9)): float(random.random())},
                    )
                )


def drawn(range_: BaseDistribution, random: np.random.Generator) -> float | int | str:
    if isinstance(range_, CategoricalDistribution):
        return str(random.choice(range_.choices))
    if isinstance(range_, IntDistribution):
        return int(random.integers(range_.low, range_.high + 1))
    return float(random.random())


def suggest(worker: Worker) -> float:
    """CPU seconds of one trial's beginning and suggestions."""
    begun = time.process_time()
    trial = worker.trial(0)
    with suggesting(trial):
        for name, range_ in SPACE.items():
            if isinstance(range_, CategoricalDistribution):
                trial.suggest_categorical(name, range_.choices)
            elif isinstance(range_, IntDistribution):
                trial.suggest_int(name, range_.low, range_.high, log=range_.log)
            elif isinstance(range_, FloatDistribution):
                trial.suggest_float(name, range_.low, range_.high)
    taken = time.process_time() - begun
    worker.study.tell(trial, [0.5] * len(worker.study.directions))
    return taken


def measure_time(options: argparse.Namespace) -> None:
    print(f"{len(SPACE)} parameters, {options.turns} turns; CPU ms of a trial's suggestions\n")
    shown = " | ".join(f"bound {bound}" for bound in options.bounds)
    print(f"| finished trials | kind | all trials | {shown} | first look, s |")
    print("|---" * (4 + len(options.bounds)) + "|")
    for n_trials, kind in product(options.finished, options.kinds):
        objectives = 2 if kind == "two objectives" else 1
        with tempfile.TemporaryDirectory() as folder:
            whole = Worker(folder, None, objectives)
            fill(whole, n_trials, kind)
            workers = [whole, *(Worker(folder, bound, objectives) for bound in options.bounds)]
            first = [suggest(worker) for worker in workers[1:]]
            taken = [[suggest(worker) for worker in workers] for _ in range(options.turns)]
        medians = [statistics.median(column) for column in zip(*taken, strict=True)]
        figures = " | ".join(f"{1000 * median:.0f}" for median in medians)
        look = first[0] - medians[1]
        print(f"| {n_trials:,} | {kind} | {figures} | {look:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    quality = commands.add_parser("quality")
    quality.add_argument("--trials", type=int, default=1000)
    quality.add_argument("--bound", type=int, default=400)
    quality.add_argument("--seeds", type=int, default=10)
    quality.add_argument("--jobs", type=int, default=2)
    quality.add_argument("--functions", nargs="+", default=list(FUNCTIONS), choices=FUNCTIONS)
    quality.set_defaults(run=compare_quality)
    timing = commands.add_parser("time")
    timing.add_argument("--finished", type=int, nargs="+", default=[1000, 10_000, 100_000])
    timing.add_argument("--bounds", type=int, nargs="+", default=[4000, 400])
    timing.add_argument("--kinds", nargs="+", default=["one objective"])
    timing.add_argument("--turns", type=int, default=5)
    timing.set_defaults(run=measure_time)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options.run(options)


if __name__ == "__main__":
    main()
