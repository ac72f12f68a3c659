"""What a user's code sets, as JSON has it: a number of NumPy's or torch's is a number."""

import json
from typing import Any

__all__ = ["as_json"]


class _NotJsonError(TypeError):
    """Says what JSON has nothing for."""


def as_json(value: Any, what: str) -> Any:
    """Return `value` as a journal can keep it.

    NumPy's scalars, and arrays and tensors of no dimension, become plain numbers, also inside of
    lists and dictionaries. What JSON can express is returned as it is.

    Raises:
        TypeError: says what was found in `what`, and where JSON has nothing for it.
    """
    try:
        try:
            json.dumps(value)
        except TypeError:
            return json.loads(json.dumps(value, default=_number))
    except _NotJsonError as error:
        found = str(error)
    except TypeError as error:  # a key, which no `default` is asked about
        found = f"a key of type {str(error).rpartition(' ')[2].rpartition('.')[2]}"
    except (ValueError, RecursionError):
        found = "what contains itself, or is too deep"
    else:
        return value
    raise TypeError(f"{what}: expected numbers, text, lists and dictionaries, found {found}")


def _number(value: Any) -> Any:
    """Of what has no dimension, such as float32 and int64; torch needs no import for that."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        item = value.item()
        return float(item) if type(item) is type(value) else item  # a long double is its own item
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    raise _NotJsonError(kind if shape is None else f"{kind} of shape {tuple(shape)}")
