"""Charts as plotly.js takes them, in JSON; colours are CSS variables, which the page looks up."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.visible import one_line

__all__ = [
    "BLUE",
    "FAINT",
    "GREEN",
    "GREY",
    "ORANGE",
    "RED",
    "Chart",
    "axis",
    "bars",
    "cut",
    "in_script",
    "labelled_axis",
    "line",
    "log_ticks",
    "plain",
    "points",
    "short",
    "whole_ticks",
]

Trace = dict[str, Any]

BLUE, ORANGE, RED, GREEN = "var(--blue)", "var(--orange)", "var(--red)", "var(--green)"
GREY, FAINT = "var(--grey)", "var(--faint)"
_TICKS = 4  # of a small chart
_LONGEST = 32  # characters of a name on an axis


@dataclass(frozen=True)
class Chart:
    """What is drawn, in a box `height` pixels high; wide: it scrolls where the screen is narrow."""

    traces: Sequence[Trace]
    layout: Mapping[str, Any]
    height: int = 340
    wide: bool = False

    def to_json(self) -> str:
        """For a `<script>`."""
        return in_script({"data": list(self.traces), "layout": dict(self.layout)})


def in_script(content: Any) -> str:
    """JSON that cannot end the `<script>` it stands in, whatever text is in it."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def plain(text: str) -> str:
    """Text for a chart, in which plotly.js would take `<b>` or `&lt;` for something else."""
    return one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str) -> str:
    """The same, short enough to stand beside an axis."""
    return plain(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def short(value: float | None) -> float | None:
    """Six digits, more than can be seen; None for what is not finite."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None


def axis(title: str, **more: Any) -> dict[str, Any]:
    """What is None is left to plotly.js."""
    kept = {name: value for name, value in more.items() if value is not None}
    return {"title": {"text": cut(title), "standoff": 10}, **kept}


def log_ticks(values: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis with few round numbers; plotly.js's own are digits of two sizes."""
    ticks: list[float] = sorted({*map(float, values)})
    if len(ticks) > 1:
        low, high = math.log10(ticks[0]), math.log10(ticks[-1])
        decades = range(math.floor(low), math.ceil(high) + 1)
        every = max(1, round((high - low) / _TICKS))
        steps = ((1, 2, 5), (1, 3), (1,)) if every == 1 else ((1,),)
        round_ones = (
            [m * 10.0**d for d in decades if d % every == 0 for m in several] for several in steps
        )
        inside = ([v for v in found if ticks[0] <= v <= ticks[-1]] for found in round_ones)
        ends = [float(f"{ticks[0]:.2g}"), float(f"{ticks[-1]:.2g}")]
        ticks = next((found for found in inside if 2 <= len(found) <= _TICKS), ends)
    ticks = ticks[:_TICKS]
    texts = [f"{tick:g}" for tick in ticks]
    return {"type": "log", "tickmode": "array", "tickvals": ticks, "ticktext": texts}


def whole_ticks(values: Sequence[float]) -> dict[str, Any]:
    """No tick between two whole numbers, where there is nothing else."""
    few = bool(values) and max(values) - min(values) <= _TICKS
    return {"dtick": 1} if few and all(value == int(value) for value in values) else {}


def labelled_axis(labels: Sequence[str], title: str = "", **more: Any) -> dict[str, Any]:
    """Names at 0, 1, …: never as categories, which would take "1" for a number."""
    places = list(range(len(labels)))
    half = (-0.5, len(labels) - 0.5)
    return axis(
        title,
        tickmode="array",
        tickvals=places,
        ticktext=list(map(cut, labels)),
        range=half,
        **more,
    )


def points(
    name: str,
    x: Iterable[float | None],
    y: Iterable[float | None],
    text: Iterable[str],
    color: Any = BLUE,
    **marker: Any,
) -> Trace:
    """text: what is shown of each."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plain(name),
        "x": list(map(short, x)),
        "y": list(map(short, y)),
        "text": list(map(plain, text)),
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": color, "size": 6, "opacity": 0.75, **marker},
    }


def line(
    name: str,
    x: Iterable[float | None],
    y: Iterable[float | None],
    color: str,
    text: Iterable[str] | None = None,
    **style: Any,
) -> Trace:
    """text: what is shown of each point; without, nothing is. None breaks the line."""
    shown: Trace = {"hoverinfo": "skip"}
    if text is not None:
        shown = {"text": list(map(plain, text)), "hovertemplate": "%{text}<extra></extra>"}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plain(name),
        "x": list(map(short, x)),
        "y": list(map(short, y)),
        "line": {"color": color, "width": 2, **style},
        **shown,
    }


def bars(labels: Sequence[str], groups: Mapping[str, Sequence[float]], title: str) -> Chart:
    """Horizontal bars, the first label on top; of several groups side by side."""
    colors = (BLUE, ORANGE, GREEN, GREY)
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": plain(name),
            "x": list(map(short, values)),
            "y": list(range(len(labels))),
            "marker": {"color": colors[place % len(colors)]},
            "text": [f"{value:.3g}" for value in values],
            "textposition": "auto",
            "hovertemplate": "%{x}<extra></extra>",
        }
        for place, (name, values) in enumerate(groups.items())
    ]
    names = labelled_axis(labels)
    names["range"] = names["range"][::-1]
    layout = {"xaxis": axis(title), "yaxis": names, "showlegend": len(groups) > 1}
    return Chart(traces, layout, 90 + (16 + 10 * len(groups)) * len(labels))
