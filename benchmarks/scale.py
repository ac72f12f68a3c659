"""What a launch with many workers costs its parent: `python benchmarks/scale.py`.

The parent is real: lease, journal, supervisor, plain lines, the save. The workers are simulated
(`simulated_workers.py`), so the table says nothing about trials. Prints for each number of workers
and way to the journal: whether the study is exact, CPU ms of the parent a trial, trials a second
from the first grant to the last end, and how much the workers were busy. --seconds: the median of a
trial; 0 asks for as many as the parent can grant. --profile: of the parent, for one case.
"""

import argparse
import contextlib
import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from rich.console import Console
from simulated_workers import installed, study_of

from journal_launcher.base import events
from journal_launcher.launcher.launch import run_launch
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.views.plain import PlainView


@dataclass
class Clock:
    """CPU of this process and time on the wall, from the first trial's start to the last's end."""

    tell: Callable[[events.Event], None]
    profile: cProfile.Profile | None = None
    begun: tuple[float, float] | None = None
    ended: tuple[float, float] = (0.0, 0.0)
    trials: int = field(default=0)

    def __call__(self, event: events.Event) -> None:
        self.tell(event)
        if self.begun is None and isinstance(event, events.TrialStarted):
            self.begun = time.process_time(), time.monotonic()
            if self.profile is not None:
                self.profile.enable()
        elif isinstance(event, events.TrialEnded):
            self.trials += 1
            self.ended = time.process_time(), time.monotonic()


def run(workers: int, n_trials: int, through_parent: bool, seconds: float, profile: bool) -> str:
    with tempfile.TemporaryDirectory(prefix="scale-") as folder, contextlib.ExitStack() as stack:
        script = Path(folder, "objective.py")
        script.write_text("def objective(trial): return 0.0\n")
        output = stack.enter_context(open(Path(folder, "lines"), "w"))
        stack.enter_context(installed(through_parent=through_parent, seconds=seconds))
        settings = LaunchSettings(
            objective=f"{script}:objective",
            study_name="study",
            studies_dir=str(Path(folder, "studies")),
            n_trials=n_trials,
            workers=workers,
            gpus="none",
        )
        profiler = cProfile.Profile(time.process_time) if profile else None
        with PlainView(Console(file=output)) as view:
            clock = Clock(view, profiler)
            ended = run_launch(settings, clock)
        found = study_of(Path(folder, "studies", "study.log"))
    if profiler is not None:
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(32)
    assert clock.begun is not None
    cpu, wall = (end - begin for begin, end in zip(clock.begun, clock.ended, strict=True))
    exact = found == {"complete": n_trials, "other": 0, "workers": min(workers, n_trials)}
    busy = ended.busy or (0.0,)
    return (
        f"| {workers} | {'the parent' if through_parent else 'the file'} | "
        f"{'yes' if exact and ended.exit_code == 0 else f'NO: {found}'} | "
        f"{1000 * cpu / clock.trials:.2f} | {clock.trials / wall:.0f} | "
        f"{sum(busy) / len(busy):.1%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 300])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--way", choices=["file", "parent"], nargs="+", default=["file", "parent"])
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    print(f"{options.trials} trials, median {options.seconds:g} s each\n")
    print("| workers | journal through | exact | parent, CPU ms a trial | trials/s | busy |")
    print("|---|---|---|---|---|---|")
    for way, workers in product(options.way, options.workers):
        through_parent = way == "parent"
        print(
            run(workers, options.trials, through_parent, options.seconds, options.profile),
            flush=True,
        )


if __name__ == "__main__":
    main()
