"""What may be wrong with a column that stays text: it is nearly something else."""

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from journal_launcher.tabular.data.columns import Typed
from journal_launcher.tabular.data.formats import (
    DATE_FORMATS,
    number_formats,
    number_of,
    reader_of,
)

__all__ = ["MANY", "MOSTLY", "SEVERAL_WAYS", "doubt_beside_numbers", "doubt_text"]

MOSTLY = 0.9
"""A column in which at least this share of the rows is numbers or dates has slips in it."""
MANY = 20
"""More different numbers than that are no codes of categories."""
_LOOKED_AT = 1000
"""Different texts that a doubt is based on."""
_THREE_DIGITS = re.compile("(?<![0-9.,])[1-9][0-9]{0,2}[.,][0-9]{3}(?![0-9.,])")
SEVERAL_WAYS = "its numbers are written in several ways, or have several units; write them alike"


def doubt_text(name: str, texts: Typed, rows: NDArray[np.int64]) -> str | None:
    """What may be wrong with a text column: most of it is numbers, or dates."""
    if not texts.labels:
        return None
    looks = [_looks(label) for label in texts.labels[:_LOOKED_AT]]
    many = len(looks) - looks.count("text") > MANY
    of_rows = np.array([*looks, *[""] * (len(texts.labels) + 1 - len(looks))])[texts.values]
    known = of_rows != ""
    share = {look: np.count_nonzero(of_rows == look) / max(1, known.sum()) for look in set(looks)}
    start = f"column {name!r} is read as categories"
    numbers, units = share.get("number", 0.0), share.get("unit", 0.0)
    if numbers == 1.0 and many:
        return f"{start}: {SEVERAL_WAYS}"
    if share.get("date", 0.0) > MOSTLY:
        return f"{start}: its dates are written in several ways; write them alike"
    place = int(np.argmax(known & (of_rows != "number")))
    held = f"row {rows[place] + 1} holds {texts.labels[texts.values[place]]!r}"
    if MOSTLY < numbers < 1.0 or (many and 0.5 < numbers < 1.0):
        part = "nearly all of it is" if numbers > MOSTLY else f"{numbers:.0%} of it are"
        cure = "; mend or empty such cells if it is one of numbers" if many else ""
        return f"{start}: {part} numbers, but {held}{cure}"
    if many and numbers + units > MOSTLY:
        return f"{start}: {held}, a number with a unit; write the numbers alone"
    return None


def doubt_beside_numbers(name: str, series: pd.Series, values: NDArray[np.float64]) -> str | None:
    """Of a column read as `values`, in which a sheet has numbers and texts such as 1.100.

    The numbers do not show what the mark in the texts is.
    """
    if pd.api.types.infer_dtype(series, skipna=True) in ("string", "empty"):
        return None
    marked = {
        place: cell
        for place, cell in enumerate(series)
        if isinstance(cell, str)
        and not np.isnan(values[place])
        and re.search("[0-9][.,]|[.,][0-9]", cell)
    }
    if not marked or not all(map(_THREE_DIGITS.search, marked.values())):
        return None
    place, text = next(iter(marked.items()))
    return (
        f"column {name!r}: the text {text!r} in row {series.index[place] + 1} beside numbers is "
        f"read as {values[place]:.15g}; make such cells numbers in the sheet"
    )


def _looks(label: str) -> str:
    """What a text would be by itself."""
    if number_of(label) is not None or number_formats([label]):
        return "number"
    if re.fullmatch(r"[+-]?[0-9][0-9.,]* ?[^\W\d_]{1,5}[\u00b2\u00b3]?", label):
        return "unit"
    names = (None, *DATE_FORMATS)
    dates = any(reader_of("date", name)(label) is not None for name in names)
    return "date" if dates else "text"
