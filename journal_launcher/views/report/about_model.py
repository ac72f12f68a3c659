"""Sections about scores and the model: folds, model types, learning curves, features, hold-out."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from journal_launcher.base.artifacts.diagnostics import HeldOut
from journal_launcher.base.artifacts.stored import numbers, whole
from journal_launcher.views.comparison import model_row
from journal_launcher.views.figures import number, spread
from journal_launcher.views.health import finding_cells
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
    points,
)
from journal_launcher.views.report.gather import Known
from journal_launcher.views.report.section import Section, note, paragraph, small_table
from journal_launcher.views.scores import scores_json
from journal_launcher.views.summary import holdout_text

__all__ = ["comparison", "features", "folds", "health", "holdout", "learning"]

_TOP = 10
_FEATURES = 25
_CURVES = 10
_PLACES = {"folds": "folds", "fresh_folds": "fresh folds", "holdout": "hold-out"}


def folds(known: Known) -> Section:
    """What each fold said of the best trials: is the difference between them noise?"""
    top = [known.rows[n] for n in dict.fromkeys([*known.ranked[:_TOP], *known.chosen])]
    top = [row for row in top if row.fold_scores]
    if len(known.objectives) > 1 or not top:
        return Section("folds", "", ())
    mark = {n: ", chosen" for n in known.chosen}
    labels = [f"trial {row.number}{mark.get(row.number, '')}" for row in top]
    own = [list(row.fold_scores) for row in top]
    found = (known.confirmations.get(row.number) for row in top)
    fresh = [list(each.fold_scores or ()) if each else [] for each in found]
    groups = {"folds": own, "fresh folds": fresh} if any(fresh) else {"folds": own}
    parts: list[Chart | str] = [_dots(labels, groups, known.objectives[0].name)]
    text = "A dot is a fold, a bar their mean. The folds that chose a trial flatter it"
    text += "; the fresh ones chose among these few alone." if any(fresh) else "."
    return Section("folds", "Fold scores of the best trials", [*parts, note(text)])


def _dots(
    labels: Sequence[str], groups: Mapping[str, Sequence[Sequence[float]]], title: str
) -> Chart:
    """Scores side by side, the first label on top; their mean as a bar."""
    traces: list[Trace] = []
    for place, (name, scores) in enumerate(groups.items()):
        color = (BLUE, ORANGE)[place]
        shift = 0.0 if len(groups) == 1 else (-0.15, 0.15)[place]
        found = [(at + shift, each) for at, each in enumerate(scores) if each]
        texts = [
            f"{labels[round(at)]}, {name}: {number(statistics.fmean(each))}{spread(each, name)}"
            for at, each in found
        ]
        x = [score for _, each in found for score in each]
        y = [at for at, each in found for _ in each]
        words = [
            f"{text}; {number(s)}"
            for t, (_, each) in enumerate(found)
            for s in each
            for text in [texts[t]]
        ]
        traces.append(points(name, x, y, words, color, size=7, opacity=0.6))
        means = [statistics.fmean(each) for _, each in found]
        bar = points("", means, [at for at, _ in found], texts, color, symbol="line-ns-open")
        bar["marker"] |= {"size": 16, "opacity": 1, "line": {"width": 3}}
        traces.append(bar | {"showlegend": False})
    ys = labelled_axis(labels)
    ys["range"] = ys["range"][::-1]
    layout = {"xaxis": axis(title), "yaxis": ys, "showlegend": len(groups) > 1}
    return Chart(traces, layout, 130 + 34 * len(labels))


def comparison(known: Known) -> Section:
    """The model types that were compared on this table."""
    models, reason = known.compared
    if not models:
        return Section("comparison", "", ())
    metric = known.objectives[0].name
    heads = ("", "model type", metric, "hold-out [95 %]", "time", "trials")
    parts: list[Chart | str] = [] if reason is None else [paragraph(f"Chosen: {reason}.")]
    parts.append(small_table(heads, map(model_row, models), (0, 4, 5)))
    scored = [model for model in models if model.fold_scores]
    if scored:
        names = [model.model_type for model in scored]
        parts.append(_dots(names, {"folds": [m.fold_scores for m in scored]}, metric))
    parts += [note(f"{m.model_type}: {m.message}") for m in models if m.message]
    return Section("comparison", "Model types compared", parts)


def learning(known: Known) -> Section:
    """Scores over epochs or rounds of the chosen trial; else what trials reported."""
    parts = [*_of_chosen(known)]
    if not parts and known.reported and not known.identity.job_kind.has_model_type:
        parts = [*_reported(known)]
    return Section("learning", "Learning curves", parts)


def _of_chosen(known: Known) -> Iterator[Chart | str]:
    chosen = known.chosen[0] if len(known.chosen) == 1 else None
    found = None if chosen is None else known.confirmations.get(chosen)
    curves = (found.curves if found else None) or {}
    every = whole(curves.get("every"), 1)
    scores = {name: numbers(curves.get(name)) for name in ("validation", "train")}
    if chosen is None or every is None or not any(map(_is_curve, scores.values())):
        return
    steps = known.steps
    unit = (
        known.measured.training.unit if known.measured and known.measured.training else None
    ) or "step"
    traces = []
    for (name, each), color in zip(scores.items(), (BLUE, ORANGE), strict=True):
        xs = [min(every * (at + 1), steps or every * (at + 1)) for at in range(len(each or ()))]
        texts = [f"{unit} {x}: {name} {number(y)}" for x, y in zip(xs, each or (), strict=True)]
        traces.append(line(f"{name} rows", xs, each or (), color, texts))
    yield Chart(traces, {"xaxis": axis(unit), "yaxis": axis(known.objectives[0].name)})
    yield note(
        f"Trial {chosen}, the mean over the fresh folds, for as many steps as are published."
    )


def _is_curve(scores: list[float] | None) -> bool:
    return scores is not None and len(scores) > 1


def _reported(known: Known) -> Iterator[Chart | str]:
    best = set(known.ranked[:_CURVES])
    kinds = {
        "pruned": (FAINT, 1.0, {n for n in known.reported if known.rows[n].state == "pruned"}),
        "complete": (
            BLUE,
            1.0,
            {n for n in known.reported if known.rows[n].state == "complete"} - best,
        ),
        "running": (GREEN, 2.0, {n for n in known.reported if known.rows[n].state == "running"}),
        f"the best {len(best)}": (ORANGE, 2.0, best & set(known.reported)),
    }
    traces = []
    for name, (color, width, wanted) in kinds.items():
        x: list[float | None] = []
        y: list[float | None] = []
        text: list[str] = []
        for trial in sorted(wanted):
            steps = sorted(known.reported[trial].items())
            x += [*(float(step) for step, _ in steps), None]
            y += [*(value for _, value in steps), None]
            text += [*(f"trial {trial}, step {s}: {number(v)}" for s, v in steps), ""]
        if x:
            traces.append(line(name, x, y, color, text, width=width))
    yield Chart(traces, {"xaxis": axis("step"), "yaxis": axis("reported value")}, 400)
    n_pruned = known.states["pruned"]
    yield note(
        f"What trials reported while they ran: of {len(known.reported)} trials, "
        f"the best ones and the last of {n_pruned} pruned ones."
    )


def features(known: Known) -> Section:
    """What shuffling a feature costs the published model."""
    found = known.measured.importance if known.measured else None
    if found is None or found.error is None or not found.increase:
        return Section("features", "", ())
    scored = {name: value for name, value in found.increase.items() if value is not None}
    names = sorted(scored, key=lambda name: -scored[name])
    unit = found.error or 1.0
    shares = {"": [100 * scored[name] / unit for name in names[:_FEATURES]]}
    text = (
        "How much worse the published model predicts its training rows "
        f"({found.rows} of them) when a feature is shuffled."
    )
    parts: list[Chart | str] = [paragraph(text)]
    parts.append(bars(names[:_FEATURES], shares, "error added, % of the model's"))
    if len(names) > _FEATURES:
        parts.append(note(f"The first {_FEATURES} of {len(names)} features."))
    if found.not_scored:
        parts.append(note(f"For {len(found.not_scored)} features there was no time."))
    return Section("features", "Permutation importance of the features", parts)


def holdout(known: Known) -> Section:
    """Every metric on the rows that chose nothing."""
    metrics = known.sidecar.holdout.metrics if known.sidecar else None
    if known.sidecar is None or not metrics:
        return Section("holdout", "", ())
    refit = known.sidecar.best.refit == "all"
    several = (known.sidecar.members or 1) > 1
    mean = f" the mean of {known.sidecar.members} trainings," if several else ""
    who = "The same parameters trained without these rows," if refit else "The published model,"
    score = holdout_text(known.sidecar)
    found = {where: each for where, each in (scores_json(known.sidecar) or {}).items() if each}
    names = dict.fromkeys(name for each in found.values() for name in each)
    rows = [(name, *(_score(each.get(name)) for each in found.values())) for name in names]
    heads = ("metric", *(_PLACES[where] for where in found))
    parts: list[Chart | str] = [
        paragraph(f"{who}{mean} on rows that chose nothing{f': {score}' if score else ''}."),
        small_table(heads, rows, range(1, len(heads))),
    ]
    held_out = known.measured.holdout if known.measured else None
    if held_out is None:
        parts.append(note("No prediction of these rows was kept with this model."))
    else:
        parts += [*_residuals(held_out), *_calibration(held_out)]
    return Section("holdout", "Hold-out", parts)


def _residuals(held_out: HeldOut) -> Iterator[Chart | str]:
    """Of a regression: they lie around 0, whatever is predicted, if the model misses nothing."""
    actual, predicted = held_out.actual or (), held_out.predicted or ()
    if not actual or len(actual) != len(predicted):
        return
    pairs = list(zip(predicted, actual, strict=True))
    texts = [f"predicted {number(p)}, actual {number(a)}: {number(a - p)} more" for p, a in pairs]
    ends = (min(predicted), max(predicted))
    traces = [
        points("", predicted, [a - p for p, a in pairs], texts, size=5, opacity=0.5),
        line("", ends, (0, 0), GREY, dash="dot"),
    ]
    layout = {"xaxis": axis("predicted"), "yaxis": axis("actual - predicted"), "showlegend": False}
    yield Chart(traces, layout)
    text = "Residuals: a point is a row. A bend or a funnel is what the model does not know."
    of = f" {len(pairs)} of {held_out.rows} rows, drawn at random." if held_out.rows else ""
    yield note(text + (of if held_out.rows != len(pairs) else ""))


def _calibration(held_out: HeldOut) -> Iterator[Chart | str]:
    """Of a classification: of what is said to be so with 80 %, 80 % should be so."""
    bins = held_out.calibration
    if not bins:
        return
    what = "the class it names" if held_out.of is None else held_out.of
    texts = [f"{n:g} rows: said {p:.0%}, was so {share:.0%}" for p, share, n in bins]
    said, so = [p for p, _, _ in bins], [share for _, share, _ in bins]
    most = max(n for _, _, n in bins)
    found = points("this model", said, so, texts, opacity=0.9)
    found["marker"]["size"] = [6 + 14 * (n / most) ** 0.5 for _, _, n in bins]
    traces = [found, line("calibrated", (0, 1), (0, 1), GREY, dash="dot")]
    layout = {"xaxis": axis(f"probability of {what}"), "yaxis": axis("share that was so")}
    yield Chart(traces, layout)
    text = f"Calibration, in bins of the probability that the model says of {what}"
    yield note(f"{text}; the larger a point, the more of the {held_out.rows} rows are in it.")


def _score(value: float | None) -> str:
    return "" if value is None else number(value)


def health(known: Known) -> Section:
    """The findings about the published model."""
    if known.verdict is None or not known.verdict.findings:
        return Section("health", "", ())
    heads = ("level", "finding", "value", "limit", "what it is")
    rows = map(finding_cells, known.verdict.findings)
    return Section("health", "Health of the model", [small_table(heads, rows, (2, 3))])
