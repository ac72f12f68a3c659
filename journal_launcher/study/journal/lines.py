"""One line of the journal: what counts as a record."""

import json
from typing import Any

from optuna.exceptions import OptunaError

from journal_launcher.base.errors import JournalDamagedError
from journal_launcher.study.optuna_private import JournalOperation

__all__ = ["MEANINGLESS", "NotOptunas", "NotOptunasError", "parse_record"]

# What Optuna raises over a record that parses but makes no sense.
MEANINGLESS = (
    ArithmeticError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    AttributeError,
    AssertionError,
    OptunaError,
)

_OPERATIONS = frozenset(int(operation) for operation in JournalOperation)
_decode = json.JSONDecoder().decode  # json.loads guesses the encoding of every line: twice the time


class NotOptunasError(ValueError):
    """A whole JSON object that names no operation; `content` is what it says."""

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__("JSON that is not a record")
        self.content = content


class NotOptunas(dict[str, Any]):
    """An object that is somebody else's until Optuna asks for its operation: then it is damage."""

    def __init__(self, content: dict[str, Any], damage: JournalDamagedError) -> None:
        super().__init__(content)
        self._damage = damage

    def __missing__(self, key: str) -> Any:
        raise self._damage if key == "op_code" else KeyError(key)


def parse_record(line: bytes) -> dict[str, Any]:
    """One journal record from one line.

    Raises:
        ValueError: what is found instead, in a few words.
    """
    record: dict[str, Any] = {}
    try:
        record = _decode(line.decode())
        if record["op_code"] in _OPERATIONS:
            return record
        found = f"an unknown operation {record['op_code']!r:.40}"
    except RecursionError:
        found = "JSON nested too deeply"
    except KeyError:
        raise NotOptunasError(record) from None
    except TypeError:
        found = "JSON that is not a record"
    except ValueError:
        found = _describe(line)
    raise ValueError(found)


def _describe(line: bytes) -> str:
    if b"\0" in line:
        return "NUL bytes"
    return "text that is not JSON" if line.strip() else "a blank line"
