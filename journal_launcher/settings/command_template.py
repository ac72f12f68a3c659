"""What `--command` and the `[command]` table say: what to run and where its value is read."""

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.unknown_names import nearest

__all__ = [
    "LAST_LINE",
    "Template",
    "Value",
    "as_text",
    "parse_report",
    "parse_template",
    "parse_value",
    "variable",
]

LAST_LINE = "last-line"
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SCRIPTS = (".py", ".sh")


@dataclass(frozen=True)
class Template:
    """A command line that was split once; its `{name}`s are replaced inside each argument.

    A value can therefore never become another argument, let alone another command.
    """

    arguments: tuple[str, ...]

    def fill(self, values: Mapping[str, str]) -> list[str]:
        def text(match: re.Match[str]) -> str:
            return values[match[1]] if match[1] is not None else match[0][0]

        return [_TOKEN.sub(text, argument) for argument in self.arguments]

    def typed(self, values: Mapping[str, str]) -> str:
        """What to type in a shell for these values; {dir} is left as DIR, for a folder.

        Those that no argument takes stand in front, as variables.
        """
        taken = {match[1] for argument in self.arguments for match in _TOKEN.finditer(argument)}
        untaken = [
            f"{variable(name)}={shlex.quote(value)}"
            for name, value in values.items()
            if name not in taken
        ]
        return " ".join([*untaken, shlex.join(self.fill({**values, "dir": "DIR"}))])

    @property
    def program(self) -> str | None:
        """The first argument, unless a parameter decides it."""
        return self._fixed(0)

    @property
    def script(self) -> str | None:
        """The file that an interpreter is given, such as train.py; None if there is none."""
        found = self._fixed(1)
        return found if found is not None and found.endswith(_SCRIPTS) else None

    @property
    def name(self) -> str:
        """What a study of this command is called."""
        return PurePosixPath(self.script or self.arguments[0]).stem

    def _fixed(self, index: int) -> str | None:
        if index >= len(self.arguments) or "{" in self.arguments[index]:
            return None
        return self.arguments[index]


def as_text(value: Any) -> str:
    """A parameter as JSON and TOML write it, text without its quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def variable(name: str) -> str:
    """The environment variable that holds a parameter."""
    return f"JL_{name.upper()}"


def parse_template(text: str, parameters: Iterable[str]) -> Template:
    """Split a command line as a shell would, without running one.

    Raises:
        UsageError: an open quote, a lone brace, or a placeholder that is no parameter.
    """
    try:
        arguments = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--command: {error} in {text!r}") from None
    if not arguments:
        raise UsageError('--command: expected a command such as "python train.py --lr {lr}"')
    known = [*parameters, "dir"]
    for argument in arguments:
        for match in _TOKEN.finditer(argument):
            if match[0] in ("{", "}"):
                raise UsageError(
                    f"--command: a lone {match[0]!r} in {argument!r}; write {match[0] * 2} for "
                    "the character itself"
                )
            if match[1] is not None and match[1] not in known:
                near = nearest(match[1], known)
                hint = f"did you mean {{{near}}}?" if near else f"known: {', '.join(known)}"
                raise UsageError(f"--command: {match[0]} is no parameter of [space]; {hint}")
    return Template(tuple(arguments))


@dataclass(frozen=True)
class Value:
    """Where a script's value is: in a `file` under `keys`, in what `pattern` last matched, or, with
    neither, in the last line of stdout."""

    pattern: re.Pattern[str] | None = None
    file: str | None = None
    keys: tuple[str, ...] = ()


def parse_value(found: Any, n_values: int) -> Value:
    """Check `value` of `[command]`; None is the default.

    Raises:
        UsageError: says what was expected and found.
    """
    where = "[command] value"
    match found:
        case None | "last-line":
            return Value()
        case {"pattern": str() as pattern, **rest} if not rest:
            compiled = _compile(where, pattern)
            n_groups = 1 if "value" in compiled.groupindex else compiled.groups
            if n_groups != n_values:
                raise UsageError(
                    f"{where}: expected {n_values} group(s) in the pattern, one for each "
                    f"--direction, found {compiled.groups} in {pattern!r}"
                )
            return Value(pattern=compiled)
        case {"file": str() as file, "key": key, **rest} if not rest:
            path = PurePosixPath(file)
            if path.is_absolute() or ".." in path.parts or not path.name or "\0" in file:
                raise UsageError(
                    f"{where}: expected a file below the trial's own folder, found {file!r}"
                )
            keys = tuple(key) if isinstance(key, list | tuple) else (key,)
            if len(keys) != n_values or not all(isinstance(k, str) and k for k in keys):
                raise UsageError(
                    f"{where}: expected {n_values} key(s), one for each --direction, found {key!r}"
                )
            return Value(file=file, keys=keys)
    raise UsageError(
        f'{where}: expected "{LAST_LINE}", {{pattern = "…"}} or {{file = "metrics.json", '
        f'key = "val_loss"}}, found {found!r}'
    )


def parse_report(found: Any, n_values: int) -> re.Pattern[str] | None:
    """Check `report` of `[command]`: the pattern of lines with intermediate values.

    Raises:
        UsageError: says what was expected and found.
    """
    where = "[command] report"
    match found:
        case None:
            return None
        case {"pattern": str() as pattern, **rest} if not rest:
            compiled = _compile(where, pattern)
            if "value" not in compiled.groupindex:
                raise UsageError(
                    f"{where}: expected a group (?P<value>…) and, if lines name it, (?P<step>…), "
                    f"found {pattern!r}"
                )
            if n_values != 1:
                raise UsageError(
                    f"{where}: intermediate values need one --direction, found {n_values}"
                )
            return compiled
    raise UsageError(
        f"{where}: expected {{pattern = 'epoch (?P<step>\\d+) loss (?P<value>\\S+)'}}, "
        f"found {found!r}"
    )


def _compile(where: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{where}: {pattern!r} is no regular expression: {error}") from None
