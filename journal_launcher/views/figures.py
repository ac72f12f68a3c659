"""Durations, scores, parameters and counts as people read them."""

import re
import statistics
from collections.abc import Sequence
from typing import Any

__all__ = ["clock_time", "counted", "duration", "number", "parameter", "sparkline", "spread"]

_PLAIN = re.compile(r"[A-Za-z_][\w.:/+-]*")
_HEIGHTS = "▁▂▃▄▅▆▇█"
_NO_TEXT = ("None", "True", "False", "nan", "inf")  # they would read as something else


def counted(finished: int, wanted: int | None) -> str:
    """Say "12 of 20", or "20" where fewer were wanted."""
    return str(finished) if wanted is None or finished > wanted else f"{finished} of {wanted}"


def duration(seconds: float) -> str:
    """How long something took: 0.4 s, 0:12, 1:05 or 2:03:11."""
    return f"{int(seconds * 10) / 10} s" if seconds < 10 else clock_time(seconds)


def clock_time(seconds: float) -> str:
    """A moment of the launch: 0:07, 1:05 or 2:03:11."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def number(value: float) -> str:
    """A score with five significant digits."""
    return f"{value:.5g}"


def spread(scores: Sequence[float] | None, of: str) -> str:
    """ " ± 0.05 (standard deviation over 5 folds)", or "" for fewer than two scores."""
    if not scores or len(scores) < 2:
        return ""
    return f" ± {statistics.stdev(scores):.2g} (standard deviation over {len(scores)} {of})"


def parameter(value: Any) -> str:
    """Numbers short; text in quotes only where it could be read as something else."""
    if isinstance(value, float):
        return number(value)
    plain = not isinstance(value, str) or (_PLAIN.fullmatch(value) and value not in _NO_TEXT)
    return str(value) if plain else repr(value)


def sparkline(values: Sequence[float], width: int) -> str:
    """The course of finite values in up to `width` characters; "" where they are all the same."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    if low == high:
        return ""
    n = min(width, len(values))
    picked = (values[(place + 1) * len(values) // n - 1] for place in range(n))
    span = high / 2 - low / 2  # halves: the whole difference of two huge numbers is infinite
    return "".join(_HEIGHTS[round(7 * ((value / 2 - low / 2) / span))] for value in picked)
