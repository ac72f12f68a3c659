"""Sections about the trials: what they found, and by which parameters."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from journal_launcher.views.figures import number, parameter
from journal_launcher.views.report.charts import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    Chart,
    Trace,
    axis,
    bars,
    labelled_axis,
    line,
    log_ticks,
    points,
    whole_ticks,
)
from journal_launcher.views.report.gather import Known, Parameter
from journal_launcher.views.report.section import Grid, Section, note, paragraph, small_table
from journal_launcher.views.trials import Row

__all__ = [
    "foremost",
    "importance",
    "pareto",
    "progress",
    "slices",
    "some",
    "told",
    "unit_of_time",
    "visible",
    "without_pruned",
]

_DRAWN = 2000  # trials in a chart; a browser takes its time for each
_SLICES, _IN_SLICE = 12, 1000
_BARS = 20
_FEW = 10  # trials of which none is hidden
_FRONT = 15


def progress(known: Known) -> Section:
    """The best value so far, over trials and over time."""
    parts: list[Chart | str] = []
    ended = {stay.number: stay.end for stay in known.timeline.stays}
    for place, objective in enumerate(known.objectives):
        rows = known.scored(place)
        if not rows:
            continue
        values = [row.values[place] for row in rows]
        low, high, hidden = visible(values, objective.maximize)
        y = axis(objective.name, range=[low, high] if hidden else None)
        drawn = some(rows, _DRAWN, known.chosen)
        timed = sorted((row for row in rows if row.number in ended), key=lambda r: ended[r.number])
        scale, unit = unit_of_time(max((ended[row.number] for row in timed), default=0.0))
        for xs, title, order in (
            ({row.number: float(row.number) for row in rows}, "trial", rows),
            ({n: end / scale for n, end in ended.items()}, f"{unit} of trials", timed),
        ):
            shown = [row for row in drawn if row.number in xs]
            traces = [*_trials(known, shown, xs, place), *_best(known, order, xs, place)]
            traces += _chosen(known, xs, place)
            traces += _to_beat(known, place, [xs[row.number] for row in order], low, high)
            parts.append(Chart(traces, {"xaxis": axis(title), "yaxis": y}))
        parts += [note(text) for text in _left_out(len(rows), len(drawn), hidden)]
    return Section("progress", "Best so far", [*parts, *without_pruned(known)] if parts else [])


def without_pruned(known: Known) -> Iterator[str]:
    """A note of what a section leaves out, if there is any of it."""
    if n := known.states["pruned"]:
        trials = f"The {n} pruned trials are" if n > 1 else "The pruned trial is"
        yield note(f"{trials} not in it: what a pruned trial reported last is no final value.")


def visible(values: Sequence[float], maximize: bool) -> tuple[float, float, int]:
    """(low, high, how many lie outside): the worst few must not press the others flat."""
    ordered = sorted(values, reverse=maximize)
    best, worst = ordered[0], ordered[-1]
    most = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    if len(ordered) < _FEW or abs(worst - best) <= 3 * abs(most - best):
        most = worst
    pad = 0.08 * abs(most - best) or 0.08 * abs(best) or 0.08
    low, high = min(best, most) - pad, max(best, most) + pad
    return low, high, sum(not low <= value <= high for value in values)


def _outside(n: int, what: str) -> str:
    lie, them = ("s lie", "them") if n > 1 else (" lies", "it")
    return f"{n} {what}{lie} outside; double-click a chart to see {them}."


def _left_out(n: int, drawn: int, hidden: int) -> Iterator[str]:
    if drawn < n:
        yield f"Of {n} trials {drawn} are drawn, every good one; the line is of all."
    if hidden:
        yield _outside(hidden, "worse trial")


def some(rows: Sequence[Row], most: int, always: Sequence[int] = ()) -> list[Row]:
    """As many as can be drawn: evenly chosen, and those asked for, in their order."""
    if len(rows) <= most:
        return list(rows)
    kept = {rows[n * len(rows) // most].number for n in range(most)}
    kept |= {row.number for row in rows if row.number in always}
    return [row for row in rows if row.number in kept]


def unit_of_time(seconds: float) -> tuple[float, str]:
    if seconds < 300:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3600 else (3600.0, "hours")


def told(row: Row, place: int | None = None) -> str:
    """What is said of a trial where a pointer rests on it."""
    values = row.values if place is None else row.values[place : place + 1]
    reason = f" ({row.reason})" if row.reason else ""
    return f"trial {row.number}: {', '.join(map(number, values))}{reason}"


def _trials(known: Known, rows: Sequence[Row], xs: dict[int, float], place: int) -> Iterator[Trace]:
    for name, color, symbol, kept in (
        ("trial", FAINT, "circle", [r for r in rows if r.number in known.valid]),
        (
            "cannot be the best",
            GREY,
            "x-thin-open",
            [r for r in rows if r.number not in known.valid],
        ),
    ):
        if kept:
            yield points(
                name,
                [xs[row.number] for row in kept],
                [row.values[place] for row in kept],
                [told(row) for row in kept],
                color,
                symbol=symbol,
            )


def _best(known: Known, rows: Sequence[Row], xs: dict[int, float], place: int) -> Iterator[Trace]:
    """The steps of the best value in the order of `rows`."""
    steps: list[Row] = []
    for row in rows:
        better = known.objectives[place].better
        if row.number in known.valid and (
            not steps or better(row.values[place], steps[-1].values[place])
        ):
            steps.append(row)
    if steps:
        x = [xs[row.number] for row in steps]
        y = [row.values[place] for row in steps]
        text = [told(row, place) for row in steps]
        end = xs[rows[-1].number]
        last = f"best: {text[-1]}"
        yield line("best so far", [*x, end], [*y, y[-1]], ORANGE, [*text, last], shape="hv")


def _chosen(known: Known, xs: dict[int, float], place: int) -> Iterator[Trace]:
    rows = [known.rows[number] for number in known.chosen if number in xs]
    if rows:
        name = "chosen" if len(known.objectives) == 1 else "Pareto-optimal"
        x = [xs[row.number] for row in rows]
        y = [row.values[place] for row in rows]
        yield points(name, x, y, list(map(told, rows)), ORANGE, size=9, opacity=1)


def _to_beat(
    known: Known, place: int, xs: Sequence[float], low: float, high: float
) -> Iterator[Trace]:
    for (name, score, _), color in zip(
        known.baselines.scored(fresh=False), (GREY, GREEN, BLUE), strict=False
    ):
        if place == 0 and xs and low <= score <= high:
            text = f"{name} (baseline): {number(score)}"
            ends = (min(xs), max(xs))
            yield line(name, ends, (score, score), color, (text, text), dash="dot")


def pareto(known: Known) -> Section:
    """Of several objectives each against each, and the front as a table."""
    if len(known.objectives) < 2:
        return Section("pareto", "", ())
    front = [known.rows[n] for n in known.chosen]
    parts: list[Chart | str] = []
    for one, other in list(combinations(range(len(known.objectives)), 2))[:3]:
        rows = [row for row in known.scored(one) if len(row.values) == len(known.objectives)]
        drawn = some(rows, _DRAWN)
        xs = {row.number: row.values[one] for row in rows}
        best = sorted(front, key=lambda row: row.values[one])
        place = [row.values[one] for row in best], [row.values[other] for row in best]
        texts = list(map(told, best))
        traces = [*_trials(known, drawn, xs, other)]
        if len(known.objectives) == 2:
            traces.append(line("Pareto front", *place, ORANGE, dash="dot", width=1))
        traces.append(points("Pareto-optimal", *place, texts, ORANGE, size=8, opacity=1))
        titles = [
            f"{o.name} ({'larger' if o.maximize else 'smaller'} is better)"
            for o in (known.objectives[one], known.objectives[other])
        ]
        layout = {"xaxis": axis(titles[0]), "yaxis": axis(titles[1])}
        parts.append(Chart(traces, layout, 420))
    names = list(dict.fromkeys(name for row in front for name in row.params))
    heads = ["trial", *(o.name for o in known.objectives), *names]
    cells = [
        [str(row.number), *map(number, row.values)]
        + [parameter(row.params[name]) if name in row.params else "" for name in names]
        for row in front[:_FRONT]
    ]
    if front:
        parts.append(small_table(heads, cells, range(len(heads))))
    if len(front) > _FRONT:
        text = f"The first {_FRONT} of {len(front)}; the table of all trials marks the others."
        parts.append(note(text))
    return Section("pareto", "Pareto front", parts)


def importance(known: Known) -> Section:
    """How much each parameter says about which trials are good."""
    by_name: dict[str, list[float]] = {}
    for objective in known.objectives:
        for name in objective.importances:
            by_name[name] = [each.importances.get(name, 0.0) for each in known.objectives]
    why = [f"{o.name}: {o.unexplained}" for o in known.objectives if o.unexplained]
    failed = [note(f"It could not be worked out for {each}") for each in why]
    if not by_name or sum(map(sum, by_name.values())) == 0:
        return Section("importance", "Parameter importance", failed)
    names = sorted(by_name, key=lambda name: -max(by_name[name]))
    groups = {
        o.name: [by_name[n][k] for n in names[:_BARS]] for k, o in enumerate(known.objectives)
    }
    text = (
        "How much each parameter says about which trials are among the best tenth (PED-ANOVA): "
        "shares of 1. It grows firm with the number of trials; after a few dozen it is a hint."
    )
    parts: list[Chart | str] = [paragraph(text), bars(names[:_BARS], groups, "share")]
    if len(names) > _BARS:
        parts.append(note(f"The first {_BARS} of {len(names)} parameters."))
    parts += without_pruned(known)
    return Section("importance", "Parameter importance", [*parts, *failed])


def foremost(known: Known, place: int, most: int) -> list[Parameter]:
    """The parameters that matter most for an objective."""
    shares = known.objectives[place].importances
    names = sorted(known.parameters, key=lambda name: -shares.get(name, 0.0))
    return [known.parameters[name] for name in names[:most]]


def slices(known: Known) -> Section:
    """Each parameter against the value."""
    charts = []
    n_each = max(1, _SLICES // len(known.objectives))
    notes: set[str] = set()
    any_pruned = False
    for place, objective in enumerate(known.objectives):
        rows = [row for row in known.scored(place) if row.number in known.valid]
        if not rows:
            continue
        low, high, hidden = visible([row.values[place] for row in rows], objective.maximize)
        pruned = some(known.scored(place, "pruned"), _IN_SLICE)
        beyond = sum(not low <= row.values[place] <= high for row in pruned)
        any_pruned = any_pruned or bool(pruned)
        drawn = some(rows, _IN_SLICE, known.chosen)
        for chosen in foremost(known, place, n_each):
            kept = [row for row in drawn if chosen.name in row.params]
            traces = [*_pruned_in(pruned, chosen, place), _in_slice(kept, chosen, place)]
            places = [at for trace in traces for at in trace["x"] if at is not None]
            x = axis(chosen.name, **(log_ticks(places) if chosen.log else whole_ticks(places)))
            if chosen.labels is not None:
                x = labelled_axis(chosen.labels, chosen.name)
            inside = any(low <= row.values[place] <= high for row in kept)
            y = axis(objective.name, range=[low, high] if hidden + beyond and inside else None)
            charts.append(Chart(traces, {"xaxis": x, "yaxis": y, "showlegend": False}, 260))
        if len(known.parameters) > n_each:
            notes.add(f"Of {len(known.parameters)} parameters the {n_each} that matter most.")
        if len(drawn) < len(rows):
            notes.add(f"{len(drawn)} of {len(rows)} trials are drawn.")
        if hidden:
            notes.add(_outside(hidden, "worse trial"))
        if beyond:
            notes.add(_outside(beyond, "pruned trial"))
    if not charts:
        return Section("slices", "", ())
    text = "Each point is a trial; the stronger its colour, the later it was."
    if any_pruned:
        text += " A triangle is a pruned one, at the value that it reported last."
    return Section("slices", "Slices", [paragraph(text), Grid(charts), *map(note, sorted(notes))])


def _in_slice(rows: Sequence[Row], chosen: Parameter, place: int) -> Trace:
    return points(
        "",
        [chosen.at(row.params[chosen.name]) for row in rows],
        [row.values[place] for row in rows],
        [f"{told(row, place)}, {parameter(row.params[chosen.name])}" for row in rows],
        [row.number for row in rows],
        colorscale=[[0, FAINT], [1, BLUE]],
        size=5,
    )


def _pruned_in(rows: Sequence[Row], chosen: Parameter, place: int) -> Iterator[Trace]:
    kept = [row for row in rows if chosen.name in row.params]
    if kept:
        trace = _in_slice(kept, chosen, place)
        trace["text"] = [f"{text} (pruned)" for text in trace["text"]]
        trace["marker"] = {"color": GREY, "size": 6, "symbol": "triangle-down-open"}
        yield trace
