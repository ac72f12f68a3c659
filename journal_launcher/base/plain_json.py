"""What a user's code sets, as JSON has it: a number of NumPy's or torch's is a number."""

import json
import sys
from typing import Any

__all__ = ["as_json"]


_UNENDING = "what contains itself, or is too deep"


class _NotJsonError(TypeError):
    """Says what JSON has nothing for."""


def as_json(value: Any, what: str) -> Any:
    """Return `value` as a journal can keep it.

    NumPy's scalars, and arrays and tensors of no dimension, become plain numbers, also inside of
    lists and dictionaries. What JSON can express is returned as it is.

    Raises:
        TypeError: says what was found in `what`, and where JSON has nothing for it, or has one key
            for two: the journal would lose a value.
    """
    try:
        try:
            json.dumps(value)
        except TypeError:
            kept = json.dumps(value, default=_number)
            _check_keys(value)
            return json.loads(kept)
        _check_keys(value)
    except _NotJsonError as error:
        found = str(error)
    except TypeError as error:  # a key, which no `default` is asked about
        found = f"a key of type {str(error).rpartition(' ')[2].rpartition('.')[2]}"
    except (ValueError, RecursionError) as error:
        large = "digits" in str(error)  # Python's limit, by which it would not be read back either
        most = sys.get_int_max_str_digits()
        found = f"a whole number of more than {most} digits" if large else _UNENDING
    else:
        return value
    raise TypeError(f"{what}: expected numbers, text, lists and dictionaries, found {found}")


def _check_keys(value: Any) -> None:
    """JSON has text alone for keys, so that 1 and "1" are one."""
    if isinstance(value, dict):
        known: dict[str, Any] = {}
        for key in value:
            text = key if isinstance(key, str) else next(iter(json.loads(json.dumps({key: 0}))))
            if text in known:
                both = f"the keys {known[text]!r} and {key!r}"
                raise _NotJsonError(f"{both}, one and the same in JSON")
            known[text] = key
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            _check_keys(item)


def _number(value: Any) -> Any:
    """Of what has no dimension, such as float32 and int64; torch needs no import for that."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        item = value.item()
        return float(item) if type(item) is type(value) else item  # a long double is its own item
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    raise _NotJsonError(kind if shape is None else f"{kind} of shape {tuple(shape)}")
