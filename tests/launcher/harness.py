"""Real launches for tests: a folder with an objective, a way to talk to it, and stock Optuna."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from journal_launcher.api import LaunchResult, launch
from journal_launcher.base import events
from journal_launcher.base.paths import StudyPaths

ROOT = Path(__file__).resolve().parents[2]
FAKES = ROOT / "tests" / "fakes"

# What every objective of the tests may use. `told` is how a test speaks to a running trial.
_PRELUDE = """
import os, signal, subprocess, sys, time
from pathlib import Path

HERE = Path(__file__).parent

def note(name, text=""):
    part = HERE / f"{name}.{os.getpid()}.part"
    part.write_text(str(text))
    os.replace(part, HERE / name)

def told(name):
    while not (HERE / name).exists():
        time.sleep(0.005)
"""

# The first trial is quick; the others run until told. What they start stays in their group.
PATIENT = """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if trial.number == 0:
        return x
    if not (HERE / "go").exists():
        child = subprocess.Popen(["sleep", "1000"])
        note("running", f"{os.getpid()} {child.pid}")
    told("go")
    return x
"""


@dataclass
class Workshop:
    """A folder (with spaces in its path) in which one objective is run as study "study"."""

    folder: Path
    seen: list[tuple[float, events.Event]] = field(default_factory=list)

    @property
    def reference(self) -> str:
        return f"{self.folder / 'my train.py'}:objective"

    @property
    def paths(self) -> StudyPaths:
        return StudyPaths(self.folder / "studies", "study")

    def write(self, code: str, **values: Any) -> None:
        """The objective's file: `def objective(trial)` and what it needs; `values` are globals."""
        given = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        (self.folder / "my train.py").write_text(_PRELUDE + given + code)

    def place(self, text: str) -> str:
        """How a reason names the first line of the objective's file that has `text`."""
        lines = (self.folder / "my train.py").read_text().splitlines()
        number = next(number for number, line in enumerate(lines, 1) if text in line)
        return f"(my train.py, line {number})"

    def tell(self, name: str) -> None:
        (self.folder / name).touch()

    def noted(self, name: str) -> str:
        """What the objective noted, once it has."""
        wait_until((self.folder / name).exists)
        return (self.folder / name).read_text()

    # --- launching

    def launch(
        self, do: Callable[[events.Event], None] | None = None, **options: Any
    ) -> LaunchResult:
        """A launch by this process; `do` is called with every event, as a user who watches."""
        self.seen.clear()

        def listen(event: events.Event) -> None:
            self.seen.append((time.monotonic(), event))
            if do is not None:
                do(event)

        given = {"gpus": "none", "study_name": "study", "n_trials": 2, **options}
        given.setdefault("objective", self.reference)
        return launch(on_event=listen, studies_dir=str(self.paths.folder), **given)

    def start(
        self,
        *options: str,
        environment: Mapping[str, str] | None = None,
        first: str = "",
        prefix: tuple[str, ...] = (),
        table: bool = False,
        command: bool = False,
    ) -> "subprocess.Popen[str]":
        """The command line as a process; `first` is code that it runs before.

        `table`: trials of the built-in table instead of the objective.
        """
        code = (
            f"import sys; {first}\nfrom journal_launcher.__main__ import main; main(sys.argv[1:])"
        )
        command = [
            *(*prefix, sys.executable, "-c", code, "run"),
            *(() if table or command else ("--objective", self.reference)),
            *("--study-name", "study", "--studies-dir", str(self.paths.folder)),
            *("--gpus", "none", *options),
        ]
        paths = os.pathsep.join([str(FAKES), str(ROOT)])
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": paths, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str, **more: Any) -> "Ended":
        return finish(self.start(*options, **more))

    def debug_with_pdb(self, *options: str) -> int:
        """`run --debug` in a terminal: stop at its breakpoint, calculate, go on. Its exit code."""
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "journal_launcher", "run", "--debug", *options],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            os.set_blocking(ours, False)
            said = b""

            def heard(text: bytes) -> bool:
                nonlocal said
                with contextlib.suppress(OSError):  # nothing new, or the other end is closed
                    said += os.read(ours, 4096)
                return text in said

            for answer, typed in ((b"(Pdb) ", b"p 6 * 7\n"), (b"42", b"c\n")):
                wait_until(partial(heard, answer))
                os.write(ours, typed)
            wait_until(partial(heard, b"\nvalue: "))
            code = process.wait(20)
        os.close(ours)
        return code

    # --- what is left

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of one kind, in order."""
        return [event for _, event in self.seen if isinstance(event, kind)]

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.paths.journal.read_bytes().splitlines()]

    def study(self) -> optuna.Study:
        """As stock Optuna opens it."""
        storage = JournalStorage(JournalFileBackend(str(self.paths.journal)))
        return optuna.load_study(study_name="study", storage=storage)

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return self.study().get_trials()

    def states(self) -> list[str]:
        return [trial.state.name for trial in self.trials()]

    def owner_pid(self, number: int) -> int:
        return int(self.trials()[number].user_attrs["jl_owner"]["pid"])

    def sidecar(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.paths.sidecar.read_text())
        return content

    def processes(self) -> list[psutil.Process]:
        """Living processes that were started for this folder: workers, guards, their children."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.cwd() == str(self.folder) and process.pid != os.getpid()
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
                continue
        return found


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.out)
        return content


def finish(process: "subprocess.Popen[str]", seconds: float = 60) -> Ended:
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    return Ended(process.returncode, out, err)


def wait_until(happened: Callable[[], bool], seconds: float = 20) -> float:
    """Poll until something has happened; the seconds that it took."""
    started = time.monotonic()
    while not happened():
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.005)
    return time.monotonic() - started
