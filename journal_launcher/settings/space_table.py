"""What is particular to `[space]`, a script's table: its parameters become words and variables."""

import re
from collections.abc import Mapping
from typing import Any

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.ranges import Asked, Range, parse_range

__all__ = ["AskedSpace", "kind_of", "parse_space"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

AskedSpace = dict[str, Asked]


def parse_space(table: Mapping[str, Any]) -> AskedSpace:
    """Check `[space]`: parameter name -> a value, a list of them or {low, high, log, step}.

    Raises:
        UsageError: names the parameter, what was expected and what was found.
    """
    if not isinstance(table, Mapping) or not table:
        example = "lr = {low = 1e-5, high = 0.1, log = true} or opt = ['adam', 'sgd']"
        raise UsageError(f"[space]: expected parameters, found {table!r}; such as {example}")
    variables: dict[str, str] = {}
    for name in table:
        if not isinstance(name, str) or not _NAME.fullmatch(name):  # launch() may get any key
            valid = re.sub(r"\W|^(?=\d)", "_", str(name), flags=re.ASCII) or "_"
            raise UsageError(
                f"[space] {name}: expected letters, digits and '_' as a name; try {valid}"
            )
        twin = variables.setdefault(name.upper(), name)
        if twin != name:
            raise UsageError(f"[space] {name} and {twin} would both be JL_{name.upper()}")
        if name.upper() in ("DIR", "TRIAL_DIR"):
            raise UsageError(f"[space] {name}: this name belongs to the trial's folder")
    return {name: _parse(f"[space] {name}", found) for name, found in table.items()}


def kind_of(asked: Asked) -> str | list[Any]:
    """What may not change on resume; bounds and step may."""
    if isinstance(asked, Range):
        return ("int" if asked.whole else "float") + (", log" if asked.log else "")
    return list(asked)


def _parse(where: str, found: Any) -> Asked:
    asked = parse_range(where, found, steps=True)
    for choice in () if isinstance(asked, Range) else asked:
        if "\0" in str(choice):  # neither an argument nor a variable can hold it
            raise UsageError(f"{where}: expected text without NUL, found {choice!r}")
    return asked
