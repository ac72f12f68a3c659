"""What the product does on a GPU: `python benchmarks/gpu.py [PART …] [--cpu] [--json FILE]`.

    trainer   one trial's folds in all the ways of trainer.py, on 98,783 x 62
    job       20 trials of that table from the process's start to the published model, without and
              with periodic embeddings
    workers   the same, plain, with 2 and 4 workers on each GPU
    packing   the same training in 1, 2 and 4 processes on the GPU at once
    profile   what a step is made of: its kernels, its parts, several steps in one graph

All parts without a name. Each is a process of its own with four minutes, after which a line says
that it took longer. Prints one table and writes its figures as JSON, part by part. `--cpu` is a dry
run of small sizes on a machine without a GPU: its figures mean nothing, and it is how this file is
tested.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

# As in a worker; read when the libraries load.
os.environ.setdefault("OMP_NUM_THREADS", "1")

HERE = Path(__file__).resolve().parent
LIMIT = 240.0  # seconds of a part
ROWS = 98_783


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    value: float | None
    unit: str
    note: str = ""


Part = Callable[[bool, Path], list[Row]]


# --- trainer


def trainer(cpu: bool, folder: Path) -> list[Row]:
    import trainer as ways

    options = argparse.Namespace(
        data=str(table(cpu, folder)),
        target="y",
        device="cpu" if cpu else "cuda",
        layers=1 if cpu else 2,
        width=16 if cpu else 256,
        batch=64 if cpu else 512,
        dropout=0.1,
        epochs=1 if cpu else 2,
        rounds=1,
        compile=not cpu,
    )
    found = ways.measure(options)
    rows = []
    for name, seconds in found.seconds.items():
        times = found.seconds["DataLoader loop"] / seconds
        note = f"{times:.1f} x the DataLoader loop, {found.metric} {found.scores[name]:.3f}"
        rows.append(Row(name, found.steps / seconds, "fold-steps/s", note))
    return rows + [Row(name, None, "fold-steps/s", why) for name, why in found.failed.items()]


def table(cpu: bool, folder: Path) -> Path:
    from designs import synthetic

    return synthetic(folder / "synthetic.npz", 400 if cpu else ROWS)


# --- job


def job(cpu: bool, folder: Path) -> list[Row]:
    data = table(cpu, folder)
    return [launched(cpu, folder, data, kind) for kind in ("none", "periodic")[: 1 if cpu else 2]]


def workers(cpu: bool, folder: Path) -> list[Row]:
    """The plain job with several workers on each GPU; `job` has it with one."""
    data = table(cpu, folder)
    return [launched(cpu, folder, data, "none", count) for count in ((2,) if cpu else (2, 4))]


def launched(cpu: bool, folder: Path, data: Path, embedding: str, workers: int = 1) -> Row:
    """A launch of as many epochs as the product trains there, from its start to its model."""
    what = f"embedding {embedding}, workers {workers}"
    config = folder / "network.toml"
    config.write_text(f'[neural_net]\nembedding = "{embedding}"\n')
    options = ["--data", str(data), "--target", "y", "--config", str(config), "--pruner", "none"]
    options += ["--studies-dir", str(folder / what), "--study-name", "job", "--json"]
    if cpu:
        options += ["--gpus", "none", "--workers", str(workers), "--n-trials", "2"]
        options += ["--k-folds", "2", "--confirm", "0"]
    else:
        options += ["--gpus", "auto", "--workers-per-gpu", str(workers), "--n-trials", "20"]
    command = [sys.executable, "-P", "-m", "journal_launcher", "run", *options]
    began = time.monotonic()
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
        return Row(what, None, "s", f"exit {done.returncode}")
    result = json.loads(done.stdout)
    note = f"{result['n_finished']} trials, best {result['best_trial']['value']:.4f}"
    for gpu in result["gpus"] or []:
        share = gpu["utilization"]
        note += f", {gpu['used'] / 2**30:.1f} GiB" + (f" {share:.0%}" if share else "")
    return Row(what, took, "s", note)


# --- packing


def packing(cpu: bool, folder: Path) -> list[Row]:
    """Fold-steps/s of several processes, which begin to count at the same moment."""
    rows = []
    for count in (1, 2) if cpu else (1, 2, 4):
        command = [sys.executable, __file__, "--packed", *(["--cpu"] if cpu else [])]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        crew = [subprocess.Popen(command, **pipes) for _ in range(count)]
        try:
            for one in crew:
                if one.stdout.readline() != "ready\n":
                    raise SystemExit(f"one of {count} processes ended before it was ready")
            for one in crew:
                one.stdin.write("go\n")
                one.stdin.flush()
            rate = sum(float(one.stdout.readline()) for one in crew)
        finally:
            for one in crew:
                one.kill()
                one.communicate()
        rows.append(
            Row(f"{count} processes at once" if count > 1 else "1 process", rate, "fold-steps/s")
        )
    return rows


def packed(cpu: bool) -> None:
    """One of them: wait for a word, train for a while, say how fast."""
    from gpu_steps import some_training, synchronize

    training, batches = some_training(cpu)
    training.epoch()
    synchronize(cpu)
    print("ready", flush=True)
    sys.stdin.readline()
    began, taken = time.monotonic(), 0
    while time.monotonic() < began + (0.2 if cpu else 5.0):
        training.epoch()
        synchronize(cpu)
        taken += batches * 5
    print(taken / (time.monotonic() - began), flush=True)


# --- profile


def profile(cpu: bool, folder: Path) -> list[Row]:
    from gpu_steps import profile_of

    rows = []
    for periodic in (False, True):
        kind = "periodic" if periodic else "plain"
        found = profile_of(cpu, periodic)
        rows += [Row(f"{kind}: {what}", value, unit, note) for what, value, unit, note in found]
    return rows


# --- all of it

PARTS: dict[str, Part] = {
    "trainer": trainer,
    "job": job,
    "workers": workers,
    "packing": packing,
    "profile": profile,
}


def machine(cpu: bool) -> dict[str, Any]:
    """What the figures belong to."""
    found = {"torch": version("torch"), "python": sys.version.split()[0], "dry_run": cpu}
    if cpu:
        return {**found, "device": "CPU"}
    import torch

    from journal_launcher.devices.nvml import NvmlUnavailableError, open_nvml

    found |= {"cuda": torch.version.cuda, "device": torch.cuda.get_device_name(0)}
    try:
        with open_nvml() as nvml:
            return {**found, "driver": nvml.driver()[0]}
    except NvmlUnavailableError as error:
        return {**found, "driver": str(error)}


def measured(name: str, cpu: bool) -> list[Row]:
    """A part's rows, from a process of its own, which a limit and a crash may end."""
    print(f"{name}…", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, __file__, name, "--part", str(out), *(["--cpu"] if cpu else [])]
        process = subprocess.Popen(command, start_new_session=True)
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            return [Row(name, None, "", f"took longer than {LIMIT:g} s: ended")]
        finally:
            end_group(process)
        if status or not out.exists():
            return [Row(name, None, "", f"failed with status {status}")]
        return [Row(**row) for row in json.loads(out.read_text())]


def end_group(process: "subprocess.Popen[Any]") -> None:
    """It and all that it started."""
    import contextlib
    import signal

    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), metavar="FILE")
    parser.add_argument("--part", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--packed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if options.packed:
        packed(options.cpu)
        return
    if options.part is not None:
        with tempfile.TemporaryDirectory() as folder:
            rows = PARTS[options.parts[0]](options.cpu, Path(folder))
        options.part.write_text(json.dumps([vars(row) for row in rows]))
        return
    if not options.cpu:
        import torch

        if not torch.cuda.is_available():
            parser.error("expected a GPU that torch can open, found none; --cpu makes a dry run")
    about = machine(options.cpu)
    print(", ".join(f"{key} {value}" for key, value in about.items()) + "\n")
    print("| part | what | figure | unit | |\n|---|---|---:|---|---|", flush=True)
    content: dict[str, list[dict[str, Any]]] = {}
    for name in options.parts or PARTS:
        rows = measured(name, options.cpu)
        for row in rows:
            figure = "failed" if row.value is None else f"{row.value:,.1f}"
            print(f"| {name} | {row.what} | {figure} | {row.unit} | {row.note} |", flush=True)
        # After each part: what ends this program leaves the figures that there are.
        content[name] = [vars(row) for row in rows]
        options.json.write_text(json.dumps({"machine": about, "parts": content}, indent=1))
    if any(row["value"] is None for rows in content.values() for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
