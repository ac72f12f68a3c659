"""Columns that carry nothing a model could learn, and why."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.tabular.data.columns import Typed

__all__ = ["NEVER_REPEATS", "TEXT", "useless"]

NEVER_REPEATS, TEXT = "never repeats", "text"
_NO_NAME, _CONSTANT, _COPY = "no name", "constant", "a copy"
_WORDS = 3
"""Texts of at least so many words, nearly all different, are no categories."""
_NEARLY_ALL = 0.95


def useless(columns: Mapping[str, Typed]) -> dict[str, str]:
    """The columns that carry nothing, and why.

    Whether a column is constant, a copy, or text that never repeats is the file's structure:
    held-out rows are looked at too, but none of their values reaches a model by it.
    """
    reasons: dict[str, str] = {}
    seen: set[tuple[Any, ...]] = set()
    for name, column in columns.items():
        known = column.values[~column.missing]
        content = hashlib.sha256(column.values.tobytes()).digest()
        alike = (column.kind, column.labels, content)
        if not name:
            reasons[name] = _NO_NAME
        elif not len(known) or (len(known) == len(column.values) and (known == known[0]).all()):
            reasons[name] = _CONSTANT
        elif alike in seen:
            reasons[name] = _COPY
        elif column.kind == "category" and (why := _no_category(column.labels, known)):
            reasons[name] = why
        else:
            seen.add(alike)
    return reasons


def _no_category(labels: tuple[str, ...], known: NDArray[Any]) -> str | None:
    """Why texts are no categories: they (nearly) never repeat."""
    distinct = len(np.unique(known))
    words = np.median([_words(label) for label in labels])
    if words >= _WORDS and distinct > max(1, _NEARLY_ALL * len(known)):
        return TEXT
    return NEVER_REPEATS if 1 < len(known) == distinct else None


def _words(label: str) -> int:
    """How many; none where more are digits and signs, as in +49 30 1234 and in dates."""
    words = label.split()
    spoken = sum(any(map(str.isalpha, word)) for word in words)
    return len(words) if 2 * spoken >= len(words) else 0
