"""Who hands out the trials: this launcher against its peers, all running the same objective.

    python benchmarks/launcher.py train      two workers, the same fixed trials of a real training
    python benchmarks/launcher.py makespan   lengths spread over 10x, against a greedy schedule
    python benchmarks/launcher.py overhead   1,000 trivial trials: cost of one, and of the parent
    python benchmarks/launcher.py workers    10 to 10,000 trivial trials, 1 to 16 workers
    python benchmarks/launcher.py memory     of workers that train on 98,783 x 62, `--workers 8` say

Every peer gets the same queue of trials {"index": 0}, {"index": 1}, ... and one thread per process.
The peers take turns, `--rounds` times; the table shows medians. One that takes longer than
`--limit` seconds is ended and left out, and a line says so. Ray Tune takes part if it is installed
(`pip install '.[bench]'`).
"""

import argparse
import contextlib
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import psutil
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

HERE = Path(__file__).resolve().parent
OBJECTIVE = HERE / "peers" / "objective.py"
LIMIT = 300.0  # seconds of a peer in a round; --limit
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def queue(folder: Path, n_trials: int) -> Path:
    """A stock journal with a study of `n_trials` queued trials."""
    journal = folder / "study.log"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))), study_name="study"
    )
    for index in range(n_trials):
        study.enqueue_trial({"index": index})
    return journal


def count(journal: Path, state: TrialState) -> int:
    """How many trials of the study are in that state."""
    storage = JournalStorage(JournalFileBackend(str(journal)))
    names = [study.study_name for study in storage.get_all_studies()]
    if "study" not in names:
        return 0
    study = optuna.load_study(study_name="study", storage=storage)
    return len(study.get_trials(states=(state,)))


def environment(work: str, folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JOURNAL_LAUNCHER_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's Python writes its .pyc files
    path = os.pathsep.join(map(str, [HERE.parent, HERE, HERE / "peers"]))
    return {**kept, **ONE_THREAD, "PYTHONPATH": path, "BENCH_WORK": work, "BENCH_DIR": str(folder)}


class TookTooLongError(SystemExit):
    """A peer that hangs, say. What does not know how to go on without it ends with this line."""


def processes(commands: list[list[str]], work: str, folder: Path) -> None:
    """Run them all to their end.

    Raises:
        TookTooLongError: they have not ended after LIMIT seconds; all of them are ended.
    """
    with (folder / "output").open("w") as output:
        # Each in a session of its own, as our workers are: on a busy machine Linux may divide the
        # CPU among sessions (sched_autogroup), and nobody shall have more of it than the others.
        options = {"stdout": output, "stderr": output, "cwd": folder, "start_new_session": True}
        started = [
            subprocess.Popen(command, env=environment(work, folder), **options)
            for command in commands
        ]
        until = time.monotonic() + LIMIT
        try:
            codes = [process.wait(max(0.0, until - time.monotonic())) for process in started]
        except subprocess.TimeoutExpired:
            who = Path(commands[0][1]).name
            raise TookTooLongError(f"{who}: took longer than {LIMIT:g} s and was ended") from None
        finally:
            end(started)
    if any(codes):
        raise SystemExit(f"{commands[0]} failed:\n{(folder / 'output').read_text()[-3000:]}")


def end(started: list["subprocess.Popen[bytes]"]) -> None:
    """Whatever of them still runs, with all that it started."""
    for process in started:
        if process.poll() is None:
            family = psutil.Process(process.pid)
            for one in [*family.children(recursive=True), family]:
                with contextlib.suppress(psutil.Error):
                    one.kill()
            process.wait()


def peer(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(HERE / "peers" / f"{name}.py"), *map(str, arguments)]


def bare(work: str, folder: Path, n_trials: int, workers: int) -> None:
    """No Optuna at all: every process runs its share of the trials."""
    processes([peer("bare", n_trials, workers, w) for w in range(workers)], work, folder)


def docs_way(work: str, folder: Path, n_trials: int, workers: int) -> None:
    """What Optuna's documentation says: the same script started once for every device."""
    shares = [len(range(w, n_trials, workers)) for w in range(workers)]
    processes([peer("docs_way", share) for share in shares], work, folder)


def threads(work: str, folder: Path, n_trials: int, workers: int) -> None:
    """One process with n_jobs threads."""
    processes([peer("docs_way", n_trials, workers)], work, folder)


def ray_tune(work: str, folder: Path, n_trials: int, workers: int) -> None:
    processes([peer("ray_tune", n_trials, workers)], work, folder)


def ours(work: str, folder: Path, n_trials: int, workers: int) -> None:
    options = {"objective": f"{OBJECTIVE}:objective", "study-name": "study", "sampler": "random"}
    options |= {"studies-dir": folder, "gpus": "none", "workers": workers, "n-trials": n_trials}
    words = [f"--{key}={value}" for key, value in options.items()]
    command = [sys.executable, "-P", "-m", "journal_launcher", "run", *words]
    processes([command], work, folder)


Peer = Callable[[str, Path, int, int], None]
PEERS: dict[str, Peer] = {
    "bare processes, no Optuna": bare,
    "script started once per device": docs_way,
    "n_jobs threads": threads,
    "journal_launcher": ours,
}
if importlib.util.find_spec("ray") is not None:
    PEERS["Ray Tune + OptunaSearch"] = ray_tune


def seconds(run: Peer, work: str, n_trials: int, workers: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        journal = queue(Path(folder), n_trials)
        began = time.monotonic()
        run(work, Path(folder), n_trials, workers)
        took = time.monotonic() - began
        done = count(journal, TrialState.COMPLETE)
        assert done == n_trials or run not in (ours, docs_way, threads)
    print(f"{run.__name__}: {took:.1f} s, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return took


def in_turns(options: argparse.Namespace, work: str) -> dict[str, float]:
    """Median seconds of every peer; they take turns, each round begins with another one.

    Without those that took too long.
    """
    found: dict[str, list[float]] = {name: [] for name in PEERS}
    names = list(PEERS)
    for turn in range(options.rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if name not in found:
                continue
            try:
                found[name].append(seconds(PEERS[name], work, options.n_trials, options.workers))
            except TookTooLongError as error:
                print(f"{name}: left out, {error}", flush=True)
                del found[name]
    return {name: statistics.median(values) for name, values in found.items()}


def print_ratios(found: dict[str, float], base: str) -> None:
    print(f"| who | seconds | against {base} |\n|---|---:|---:|")
    for name, value in sorted(found.items(), key=lambda item: item[1]):
        against = f"{value / found[base]:.2f}" if base in found else "-"
        print(f"| {name} | {value:.1f} | {against} |")


def train(options: argparse.Namespace) -> None:
    found = in_turns(options, "train")
    print_ratios(found, "journal_launcher")
    print("\n| who | one worker, seconds | times as long as two |\n|---|---:|---:|")
    for name in ("bare processes, no Optuna", "journal_launcher"):
        if name not in found:
            continue
        took = [seconds(PEERS[name], "train", options.n_trials, 1) for _ in range(options.rounds)]
        one = statistics.median(took)
        print(f"| {name} | {one:.1f} | {one / found[name]:.2f} |")


def makespan(options: argparse.Namespace) -> None:
    sys.path.insert(0, str(OBJECTIVE.parent))
    from objective import sleep_seconds

    os.environ["BENCH_LONGEST"] = str(options.longest)
    print_ratios(in_turns(options, "sleep"), "journal_launcher")
    free = [0.0] * options.workers
    for index in range(options.n_trials):  # the first worker that is free takes the next trial
        free[free.index(min(free))] += sleep_seconds(index)
    print(f"\na greedy schedule without any cost: {max(free):.1f} s")


def overhead(options: argparse.Namespace) -> None:
    n_trials = 1000
    for sampler in ("random", "tpe"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            options_of_run = ["--gpus=none", f"--n-trials={n_trials}", f"--sampler={sampler}"]
            place = [f"--studies-dir={folder}", "--study-name=study", "--json"]
            command = [sys.executable, "-P", "-m", "journal_launcher", "run", *options_of_run]
            began = time.monotonic()
            process = psutil.Popen(
                [*command, *place, f"--objective={OBJECTIVE}:objective"],
                env=environment("trivial", folder),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            memory = 0
            busy = process.cpu_times()
            while process.poll() is None:
                if time.monotonic() > began + LIMIT:
                    end([process])
                    raise TookTooLongError(f"{sampler}: took longer than {LIMIT:g} s")
                try:
                    memory, busy = process.memory_info().rss, process.cpu_times()
                    process.wait(0.2)
                except (psutil.TimeoutExpired, psutil.NoSuchProcess):
                    pass
            wall = time.monotonic() - began
            assert json.loads(process.stdout.read())["n_finished"] == n_trials
        share = 100 * (busy.user + busy.system) / wall
        print(
            f"{sampler}: {1000 * wall / n_trials:.1f} ms a trial (start-up included), parent "
            f"{share:.1f} % of a core, {memory / 2**20:.0f} MB"
        )


def workers(options: argparse.Namespace) -> None:
    print("| workers | trials | seconds | trials/s |\n|---:|---:|---:|---:|")
    for count in (1, 4, 16):
        for n_trials in (10, 1000, 10_000):
            took = seconds(ours, "trivial", n_trials, count)
            print(f"| {count} | {n_trials:,} | {took:.1f} | {n_trials / took:.0f} |", flush=True)


def memory(options: argparse.Namespace) -> None:
    from designs import synthetic

    bare = (
        "import journal_launcher.tabular.models.neural_net.model_type; print(flush=True); input()"
    )
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        synthetic(folder / "synthetic.npz")
        command = [sys.executable, "-P", "-m", "journal_launcher", "run", "--gpus=none"]
        command += [f"--workers={options.workers}", "--n-trials=1000", "--study-name=study"]
        command += [f"--studies-dir={folder}", f"--data={folder / 'synthetic.npz'}", "--target=y"]
        around = environment("", folder)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        for _ in range(2):  # two, so that the libraries' own pages are shared
            importer = psutil.Popen([sys.executable, "-c", bare], env=around, **pipes)
            stack.callback(importer.kill)
            importer.stdout.readline()
        imports = importer.memory_full_info().uss
        process = psutil.Popen(command, env=around, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        began, training, most = time.monotonic(), math.inf, (0, 0)
        while (now := time.monotonic()) < training + 20 and process.poll() is None:
            if training == math.inf and now > began + LIMIT:
                raise TookTooLongError(f"no trial in every worker within {LIMIT:g} s")
            time.sleep(1)
            log = folder / "study.log"
            if training == math.inf and log.exists():
                training = now if count(log, TrialState.RUNNING) == options.workers else math.inf
            most = max(most, held(process))
    own, shared = most[0] / options.workers / 2**20, most[1] / 2**20
    print(f"{options.workers} workers, all of them in a trial after {training - began:.0f} s")
    print(f"each holds {own:.0f} MB for itself, {imports / 2**20:.0f} of them its imports")
    print(f"together they share {shared:.0f} MB, libraries among them")


def held(process: psutil.Process) -> tuple[int, int]:
    """Bytes that the workers of a launch hold each for itself, summed, and what they share."""
    own = shared = 0
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "python" in child.name():
                found = child.memory_full_info()
                own, shared = own + found.uss, shared + found.pss - found.uss
    return own, shared


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    measures = {"train": train, "makespan": makespan, "overhead": overhead, "workers": workers}
    measures["memory"] = memory
    parser.add_argument("measure", choices=measures)
    parser.add_argument("--n-trials", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--longest", type=float, default=2.0, help="seconds of a sleeping trial")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds of a peer in a round")
    options = parser.parse_args()
    globals()["LIMIT"] = options.limit
    measures[options.measure](options)


if __name__ == "__main__":
    main()
