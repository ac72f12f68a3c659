"""How a setting is offered to a user: help, group, choices; and durations as people type them."""

import dataclasses
import re
import types
from dataclasses import field
from typing import Any, get_args

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError

__all__ = [
    "REFERENCES",
    "Option",
    "check_at_least",
    "check_share",
    "check_value",
    "flag",
    "is_given",
    "is_reference",
    "option",
    "option_of",
    "parse_duration",
    "type_of",
]

_KINDS: dict[Any, tuple[Any, str]] = {
    int: (int, "a whole number"),
    float: (int | float, "a number"),
    str: (str, "text"),
    bool: (bool, "True or False"),
}

REFERENCES = ("pkg.module:attr", "path/file.py:attr")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Seconds in "30s", "10m", "2h", "1d" or a plain number of seconds.

    Raises:
        UsageError: not a positive duration.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smhd]?)\s*", text)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if seconds <= 0:
        raise UsageError(f"expected a duration such as 30s, 10m or 2h, found {text!r}")
    return seconds


@dataclass(frozen=True)
class Option:
    """How one field is offered on the command line.

    `spellings` are further names of the flag; `choices` lists the only values allowed; a `switch`
    is on or off and has a `--no-` twin if `twin`; `many` may be given several times; a `reference`
    names something in the user's code; a `duration` may be text such as 10m; `word` may be given in
    place of a number; what has `commas` may be a list in a config file. With a `key` it is no flag:
    the key says where it is given, `example` how.
    """

    group: str
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    spellings: tuple[str, ...] = ()
    switch: bool = False
    twin: bool = False
    many: bool = False
    reference: bool = False
    duration: bool = False
    word: str | None = None
    commas: bool = False
    key: str | None = None
    example: str = ""


def option(default: Any, group: str, help: str, **more: Any) -> Any:
    """A field of LaunchSettings with its Option."""
    return field(default=default, metadata={"option": Option(group, help, **more)})


def option_of(setting: dataclasses.Field[Any]) -> Option:
    """The option that a field of LaunchSettings declares."""
    found = setting.metadata["option"]
    assert isinstance(found, Option)
    return found


def is_reference(value: Any) -> bool:
    """Whether `value` looks like "pkg.module:attr" or "path/file.py:attr"."""
    source, _, attribute = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return bool(source and attribute)


def flag(name: str) -> str:
    """The flag of a setting: `n_trials` is `--n-trials`."""
    return "--" + name.replace("_", "-")


def type_of(setting: dataclasses.Field[Any]) -> tuple[Any, bool]:
    """The type of one value of a setting, and whether it may be None."""
    kinds = get_args(setting.type) or (setting.type,)
    return kinds[0], types.NoneType in kinds


def check_value(setting: dataclasses.Field[Any], value: Any) -> None:
    """Refuse a value of another type, or one that is not among the choices.

    Raises:
        UsageError: says what was expected.
    """
    offered = option_of(setting)
    (kind, optional) = type_of(setting)
    where = offered.key or flag(setting.name)
    if offered.many and not isinstance(value, list | tuple):
        raise UsageError(f"{where}: expected a list, found {value!r}")
    for item in value if offered.many else (value,):
        # What a table of the config file holds is checked by whoever knows that table.
        free = offered.key is not None and not offered.many
        types_wanted, expected = (object, "") if free else _KINDS.get(kind, (object, ""))
        good = isinstance(item, types_wanted) and (kind is bool or not isinstance(item, bool))
        allowed = (*offered.choices, *(REFERENCES if offered.reference else ()))
        if allowed:
            good = item in offered.choices or (offered.reference and is_reference(item))
            expected = ", ".join(allowed)
        if offered.word is not None:
            good = good or item == offered.word
            expected = f"{expected}, or {offered.word}"
        if not good and not (item is None and optional):
            raise UsageError(f"{where}: expected {expected}, found {item!r}")


def check_at_least(name: str, value: float | None, least: int) -> None:
    """Refuse a number below `least`.

    Raises:
        UsageError: names the flag.
    """
    if value is not None and value < least:
        raise UsageError(f"{flag(name)}: expected {least} or more, found {value}")


def check_share(name: str, value: float | None) -> None:
    """Refuse what is no share of a whole, or all of it.

    Raises:
        UsageError: names the flag.
    """
    if value is not None and not 0 <= value < 1:
        raise UsageError(f"{flag(name)}: expected 0 or more and below 1, found {value}")


def is_given(settings: Any, name: str) -> bool:
    """Whether a setting is another than its default."""
    return bool(getattr(settings, name) != getattr(type(settings), name))
