"""The user's own script: one process per trial, its value read from what it prints or writes."""

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import UsageError
from journal_launcher.base.messages import Preparation
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.processes import describe_exit
from journal_launcher.base.trial_dir import trial_dir
from journal_launcher.settings.command_template import (
    LAST_LINE,
    Value,
    as_text,
    parse_report,
    parse_template,
    parse_value,
    variable,
)
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.ranges import Asked, Range
from journal_launcher.settings.space_table import kind_of, parse_space
from journal_launcher.study.journal.storage import suggesting
from journal_launcher.worker import trial_folders
from journal_launcher.worker.jobs.base import Job, Progress, TrialFailedError
from journal_launcher.worker.numbered_lines import mark_of
from journal_launcher.worker.script import Line, Script
from journal_launcher.worker.user_errors import missing_in_script

__all__ = ["CommandJob"]


class CommandJob(Job):
    """A script that knows nothing of Optuna."""

    def __init__(self, settings: LaunchSettings, paths: StudyPaths) -> None:
        assert settings.command is not None and settings.space is not None
        self._settings = settings
        self._paths = paths
        self._space = parse_space(settings.space)
        self._template = parse_template(settings.command, self._space)
        self._value = parse_value(settings.value, settings.n_directions)
        self._report = parse_report(settings.report, settings.n_directions)
        self._progress: Progress = lambda *_: None

    def prepare(self, seed: int, begun: Identity | None = None) -> Preparation:
        settings = self._settings
        program = self._template.program
        if program is not None and shutil.which(program) is None:
            there = os.path.isfile(program)
            hint = f"chmod +x {program}" if there else f"seen from {Path.cwd()}; check its name"
            raise UsageError(f"--command: no program {program!r} that can be run; {hint}")
        script = Path(self._template.script) if self._template.script else None
        if script is not None and not os.path.isfile(script):  # Path raises on a long name
            raise UsageError(f"--command: no file {script} in {Path.cwd()}")
        identity = Identity(
            schema_version=1,
            kind="command",
            command=settings.command,
            value=settings.value or LAST_LINE,
            space={name: kind_of(asked) for name, asked in self._space.items()},
            directions=list(settings.direction or ("minimize",)),
            seed=seed,
        )
        digest = hashlib.sha256(script.read_bytes()).hexdigest() if script else None
        return Preparation(identity, noted={"script": digest})

    def open(self, prepared: Preparation, seed: int, progress: Progress) -> None:
        self._progress = progress

    def __call__(self, trial: optuna.Trial) -> float | list[float]:
        with suggesting(trial):
            values = {name: _suggest(trial, name, asked) for name, asked in self._space.items()}
        given = {name: as_text(value) for name, value in values.items()}
        with trial_folders.given(self._paths, trial):
            read = self._run(trial, trial_dir(), given)
        return read if len(read) > 1 else read[0]

    def _run(self, trial: optuna.Trial, folder: Path, values: Mapping[str, str]) -> list[float]:
        given = {**values, "dir": str(folder)}
        environment = {**os.environ, **{variable(name): v for name, v in given.items()}}
        arguments = self._template.fill(given)
        debug = self._settings.debug
        reader = _Reader(self._value, debugged=debug)
        reports = _Reports(trial, self._report)
        mark = b"" if debug else mark_of(trial.number).encode()
        with Script(arguments, environment, terminal=debug, mark=mark) as script:
            for line in script.lines():
                reader.see(line)
                found = reports.see(line)
                if found is not None:
                    self._progress("step", *found)
                    if trial.should_prune():
                        raise optuna.TrialPruned
            status = script.exit_status
        tail = script.tail(environment) or "(it printed nothing)"
        if status != 0:
            missing = missing_in_script(self._template.program, tail.rpartition("\n")[2])
            if missing is not None:
                raise TrialFailedError(missing)
            was = "was " if status < 0 else ""
            raise TrialFailedError(f"the script {was}{describe_exit(status)}:\n{tail}")
        try:
            read = reader.values(folder, self._settings.n_directions)
        except ValueError as error:
            raise TrialFailedError(f"no value: {error}; its last lines:\n{tail}") from None
        if not all(map(math.isfinite, read)):
            shown = ", ".join(map(str, read))
            reason = f"not finite: the script gave {shown}; its last lines:\n{tail}"
            raise TrialFailedError(reason, always=False)
        return read

    def recorded(self, study: optuna.Study) -> None:
        trial_folders.remove_losers(self._paths, study)

    def refit(self, study: optuna.Study, best: FrozenTrial | None, staging: Path) -> Sidecar:
        trial_folders.stage(self._paths, study, staging)
        return Sidecar.from_json({"kind": "command", "command": self._settings.command})


class _Reader:
    """Remembers what the value may be read from."""

    def __init__(self, wanted: Value, *, debugged: bool) -> None:
        self._wanted = wanted
        self._debugged = debugged
        self._last_line: str | None = None
        self._match: re.Match[str] | None = None

    def see(self, line: Line) -> None:
        if line.is_stdout and not line.overwritten and line.text.strip():
            self._last_line = line.text.strip()
        if self._wanted.pattern is not None:
            self._match = self._wanted.pattern.search(line.text) or self._match

    def values(self, folder: Path, n_values: int) -> list[float]:
        """The values; ValueError says what was expected and found instead."""
        if self._wanted.file is not None:
            return _read_file(folder, self._wanted.file, self._wanted.keys)
        if self._wanted.pattern is not None:
            if self._match is None:
                raise ValueError(f"no line of its output matches {self._wanted.pattern.pattern!r}")
            groups = self._match.groupdict()
            found = [groups["value"]] if "value" in groups else self._match.groups()
            return [_number(text, "as matched by the pattern") for text in found]
        if self._last_line is None:
            raise ValueError("expected a number in the last line of stdout, which is empty")
        words = self._last_line.replace(",", " ").split()
        if self._debugged:  # a debugger's prompt is in front of what was printed after it
            words = words[-n_values:]
        if len(words) != n_values:
            what = "a number" if n_values == 1 else f"{n_values} numbers"
            raise ValueError(
                f"expected {what} in the last line of stdout, found {self._last_line[:80]!r}; "
                "[command] value can name a pattern"
            )
        return [_number(word, "in the last line of stdout") for word in words]


class _Reports:
    """Intermediate values for the pruner, from the lines that match."""

    def __init__(self, trial: optuna.Trial, pattern: re.Pattern[str] | None) -> None:
        self._trial = trial
        self._pattern = pattern
        self._steps: set[int] = set()

    def see(self, line: Line) -> tuple[int, None, float] | None:
        """(step, total, value) if this line is one; a step that was seen before is not."""
        match = self._pattern.search(line.text) if self._pattern is not None else None
        if match is None:
            return None
        groups = match.groupdict()
        try:
            value = float(groups["value"])
            step = int(groups["step"]) if "step" in groups else len(self._steps)
        except (TypeError, ValueError):
            return None  # another kind of line that looks like one
        if step in self._steps or step < 0:
            return None
        self._steps.add(step)
        self._trial.report(value, step)
        return step, None, value


def _read_file(folder: Path, name: str, keys: tuple[str, ...]) -> list[float]:
    try:
        content = json.loads((folder / name).read_bytes())
    except FileNotFoundError:
        raise ValueError(f"expected {name} in {{dir}}, found no such file") from None
    except OSError as error:
        raise ValueError(f"{name}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected JSON in {name}, found {error}") from None
    return [_number(_look_up(content, key, name), f"at {key} of {name}") for key in keys]


def _look_up(content: Any, key: str, name: str) -> Any:
    """`content[key]`; dots lead into nested objects."""
    if isinstance(content, dict) and key in content:
        return content[key]
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            keys = ", ".join(map(str, content)) if isinstance(content, dict) else "no object"
            raise ValueError(f"expected {key} in {name}, found {keys[:200]}")
        content = content[part]
    return content


def _number(found: Any, where: str) -> float:
    if isinstance(found, str | int | float) and not isinstance(found, bool):
        try:
            return float(found)
        except (ValueError, OverflowError):
            pass
    raise ValueError(f"expected a number {where}, found {str(found)[:80]!r}")


def _suggest(trial: optuna.Trial, name: str, asked: Asked) -> Any:
    if not isinstance(asked, Range):
        return trial.suggest_categorical(name, asked)
    log = bool(asked.log)
    if asked.whole:
        low = int(asked.low)
        high = int(asked.high)
        step = int(asked.step or 1)
        return trial.suggest_int(name, low, high, log=log, step=step)
    return trial.suggest_float(name, asked.low, asked.high, log=log, step=asked.step)
