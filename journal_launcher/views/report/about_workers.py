"""Sections about the running of it: what each worker did when, and what failed."""

from collections.abc import Iterator

from journal_launcher.base.events import INTERRUPTED
from journal_launcher.study.tally import by_cause
from journal_launcher.views.figures import duration
from journal_launcher.views.report.about_trials import told, unit_of_time
from journal_launcher.views.report.charts import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    RED,
    Chart,
    Trace,
    axis,
    labelled_axis,
    plain,
    short,
)
from journal_launcher.views.report.gather import Known
from journal_launcher.views.report.section import Section, note, paragraph, small_table
from journal_launcher.views.report.timeline import Lane

__all__ = ["failures", "timeline"]

_PIXELS = 4000  # what is shorter than one of so many parts of the axis is not seen, nor drawn
_COLORS = {
    "complete": BLUE,
    "pruned": GREEN,
    "fail": RED,
    INTERRUPTED: ORANGE,
    "running": "var(--purple)",
    "stale": GREY,
}


def timeline(known: Known) -> Section:
    """Which trial ran where, and when a worker had none."""
    found = known.timeline
    if not found.lanes:
        return Section("timeline", "", ())
    scale, unit = unit_of_time(found.launches[-1][1])
    names = [lane.name for lane in found.lanes]
    traces = [_idle(known, scale), *_trials(known, scale)]
    marks = [
        {
            "type": "line",
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "x0": begin / scale,
            "x1": begin / scale,
        }
        | {"line": {"color": "var(--ink)", "width": 1, "dash": "dot"}}
        for begin, _ in found.launches[1:]
    ]
    ys = labelled_axis(names)
    ys["range"] = ys["range"][::-1]
    layout = {
        "xaxis": axis(unit),
        "yaxis": ys | {"fixedrange": True},
        "barmode": "overlay",
        "shapes": marks,
        "bargap": 0.25,
    }
    text = "A bar is a trial; where the grey ground shows, the worker had none."
    if marks:
        text += " At the dotted lines a later launch goes on: the time between is left out."
    heads = ("worker", "trials", "busy", "idle", "gaps", "longest gap")
    rows = map(_row, found.lanes)
    chart = Chart(traces, layout, 130 + 34 * len(names))
    return Section(
        "timeline", "Workers", [paragraph(text), chart, small_table(heads, rows, range(1, 6))]
    )


def _row(lane: Lane) -> tuple[str, ...]:
    gaps = list(lane.gaps())
    share = f"{100 * lane.busy / lane.time:.0f} %" if lane.time else ""
    idle = sum(end - begin for begin, end in gaps)
    longest = ""
    if gaps:
        begin, end = max(gaps, key=lambda gap: gap[1] - gap[0])
        longest = f"{duration(end - begin)} at {duration(begin)}"
    n_gaps = str(len(gaps))
    return lane.name, str(len(lane.stays)), share, duration(idle), n_gaps, longest


def _idle(known: Known, scale: float) -> Trace:
    """The ground: the gaps, with their lengths."""
    least = known.timeline.launches[-1][1] / _PIXELS
    gaps = [
        (place, begin, end)
        for place, lane in enumerate(known.timeline.lanes)
        for begin, end in lane.gaps()
        if end - begin > least
    ]
    return {
        "type": "bar",
        "orientation": "h",
        "name": "idle",
        "y": [place for place, _, _ in gaps],
        "base": [short(begin / scale) for _, begin, _ in gaps],
        "x": [short((end - begin) / scale) for _, begin, end in gaps],
        "text": [f"idle for {duration(end - begin)}" for _, begin, end in gaps],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": FAINT, "opacity": 0.5, "line": {"width": 0}},
    }


def _trials(known: Known, scale: float) -> Iterator[Trace]:
    """A trace for each state; neighbours differ in strength, so that each can be seen."""
    lanes = known.timeline.lanes
    for state, color in _COLORS.items():
        found = [
            (place, turn, stay)
            for place, lane in enumerate(lanes)
            for turn, stay in enumerate(lane.stays)
            if stay.state == state
        ]
        if not found:
            continue
        yield {
            "type": "bar",
            "orientation": "h",
            "name": plain(state),
            "y": [place for place, _, _ in found],
            "base": [short(stay.begin / scale) for _, _, stay in found],
            "x": [short((stay.end - stay.begin) / scale) for _, _, stay in found],
            "text": [
                plain(f"{told(known.rows[s.number])}, {state}, {duration(s.end - s.begin)}")
                for _, _, s in found
            ],
            "textposition": "none",
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {
                "color": color,
                "opacity": [1.0 if turn % 2 else 0.75 for _, turn, _ in found],
                "line": {"width": 0},
            },
        }


def failures(known: Known) -> Section:
    """What failed, by kind, the most frequent first."""
    failed = [row for row in known.rows if row.state in ("fail", INTERRUPTED)]
    if not failed:
        return Section("failures", "", ())
    causes = by_cause(row.reason for row in failed)
    last = {cause: failed[places[-1]] for cause, places in causes.items()}
    rows = [
        (cause, str(len(causes[cause])), str(row.number), row.reason or "")
        for cause, row in last.items()
    ]
    parts = [small_table(("kind", "trials", "last", "its reason"), rows, (1, 2))]
    if INTERRUPTED in last:
        parts.append(note("What a stop interrupted is no failure: it was queued again."))
    return Section("failures", "Failed trials", parts)
