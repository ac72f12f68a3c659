"""Parallel coordinates: each trial a line through its parameters, to its values."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from journal_launcher.base.dataclass import dataclass
from journal_launcher.views.figures import number, parameter
from journal_launcher.views.report.about_trials import (
    foremost,
    some,
    told,
    visible,
    without_pruned,
)
from journal_launcher.views.report.charts import BLUE, FAINT, ORANGE, Chart, Trace, cut, line
from journal_launcher.views.report.gather import Known, Parameter
from journal_launcher.views.report.section import Section, note
from journal_launcher.views.trials import Row

__all__ = ["parallel"]

_LINES, _BEST = 300, 30
_AXES = 10
_FOOT = -0.12  # where a trial passes an axis on which it has no place
_MARKS = 8  # names beside an axis


@dataclass(frozen=True)
class _Axis:
    """places: of each trial from 0 to 1, where it has one. ticks: (place, words) beside it.

    lacks: some trial has none, since a condition left the parameter out.
    """

    title: str
    places: dict[int, float]
    words: dict[int, str]
    ticks: tuple[tuple[float, str], ...]
    lacks: bool = False

    @classmethod
    def of_parameter(cls, chosen: Parameter, rows: Sequence[Row]) -> "_Axis":
        values = {row.number: row.params[chosen.name] for row in rows if chosen.name in row.params}
        at = {n: place for n, value in values.items() if (place := chosen.at(value)) is not None}
        words = {n: parameter(values[n]) for n in at}
        if chosen.labels is not None:
            last = max(1, len(chosen.labels) - 1)
            ticks = [(place / last, label) for place, label in enumerate(chosen.labels)]
            step = math.ceil(len(ticks) / _MARKS)
            places = {n: place / last for n, place in at.items()}
            return cls(chosen.name, places, words, tuple(ticks[::step]))
        if chosen.log:
            at = {n: math.log(place) for n, place in at.items()}
        return cls._scaled(chosen.name, at, words)

    @classmethod
    def of_value(cls, known: Known, place: int, rows: Sequence[Row]) -> "_Axis":
        at = {row.number: row.values[place] for row in rows if math.isfinite(row.values[place])}
        words = {n: number(value) for n, value in at.items()}
        return cls._scaled(known.objectives[place].name, at, words)

    @classmethod
    def _scaled(cls, title: str, at: dict[int, float], words: dict[int, str]) -> "_Axis":
        """Numbers between the least and the largest, which stand at the ends."""
        if not at:
            return cls(title, {}, {}, ())
        least, most = min(at, key=at.__getitem__), max(at, key=at.__getitem__)
        low = at[least] / 2  # halves: the whole difference of two huge numbers is infinite
        span = (at[most] / 2 - low) or 1.0
        places = {n: (value / 2 - low) / span for n, value in at.items()}
        return cls(title, places, words, ((0.0, words[least]), (places[most], words[most])))

    def marks(self, place: int) -> Iterator[dict[str, Any]]:
        """The words beside the axis."""
        lacking = [(_FOOT, "not set")] if self.lacks else []
        for height, words in (*self.ticks, *lacking):
            yield {
                "x": place,
                "y": height,
                "text": cut(words),
                "xanchor": "left",
                "xshift": 3,
                "showarrow": False,
                "font": {"size": 11},
                "bgcolor": "var(--veil)",
            }


def parallel(known: Known) -> Section:
    """Each trial a line through its parameters, to its values."""
    several = len(known.objectives) > 1
    scored = [row for row in known.scored(0) if row.number in known.valid]
    if len(known.parameters) + len(known.objectives) < 3 or len(scored) < 3:
        return Section("parallel", "", ())
    maximize = known.objectives[0].maximize
    low, high, _ = visible([row.values[0] for row in scored], maximize)
    rows = [row for row in scored if several or low <= row.values[0] <= high]
    rows.sort(key=lambda row: row.values[0], reverse=not maximize)  # the best is drawn last
    top = rows[-min(_BEST, max(3, len(rows) // 20)) :]
    best = set(known.chosen) if several else {row.number for row in top}
    good = set() if several else {row.number for row in rows[-len(rows) // 4 :]} - best
    drawn = some(rows, _LINES, [row.number for row in rows if row.number in best][-_LINES:])
    axes = [_Axis.of_parameter(p, drawn) for p in foremost(known, 0, _AXES)]
    axes += [_Axis.of_value(known, place, drawn) for place in range(len(known.objectives))]
    axes = [replace(each, lacks=len(each.places) < len(drawn)) for each in axes]
    kinds = (
        ("other trials", FAINT, 0.6, {row.number for row in drawn} - good - best),
        ("best quarter", BLUE, 1.0, good),
        ("Pareto-optimal" if several else f"the best {len(best)}", ORANGE, 1.8, best),
    )
    traces = [
        _lines(name, color, width, axes, [row for row in drawn if row.number in kept])
        for name, color, width, kept in kinds
        if kept
    ]
    marks = [mark for place, each in enumerate(axes) for mark in each.marks(place)]
    titles = [cut(each.title) for each in axes]
    places = list(range(len(axes)))
    layout = {
        "xaxis": {
            "tickvals": places,
            "ticktext": titles,
            "range": [-0.1, len(axes) - 0.3],
            "zeroline": False,
            "side": "top",
        },
        "yaxis": {"visible": False, "range": [-0.16, 1.08], "fixedrange": True},
        "annotations": marks,
        "legend": {"orientation": "h", "x": 0, "y": -0.02, "yanchor": "top", "xanchor": "left"},
    }
    parts: list[Chart | str] = [Chart(traces, layout, 440, wide=True)]
    if len(drawn) < len(rows):
        parts.append(note(f"{len(drawn)} of {len(rows)} trials are drawn, with all of the best."))
    if hidden := len(scored) - len(rows):
        parts.append(note(f"The {hidden} worst trials are left out."))
    if len(known.parameters) > _AXES:
        parts.append(note(f"Of {len(known.parameters)} parameters the {_AXES} that matter most."))
    return Section("parallel", "Parallel coordinates", [*parts, *without_pruned(known)])


def _lines(
    name: str, color: str, width: float, axes: Sequence[_Axis], rows: Sequence[Row]
) -> Trace:
    """All of one kind as one line, broken between trials; what one lacks is at the foot."""
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for row in rows:
        for place, each in enumerate(axes):
            x.append(place)
            y.append(each.places.get(row.number, _FOOT))
            text.append(f"{told(row)}, {each.title} {each.words.get(row.number, 'not set')}")
        x.append(None)
        y.append(None)
        text.append("")
    return line(name, x, y, color, text, width=width)
