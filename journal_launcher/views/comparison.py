"""How a comparison of model types ended: the table for stderr and the result for stdout."""

import statistics
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from journal_launcher.base.errors import AGAIN, ExitCode
from journal_launcher.base.events import ComparedModel, Comparison
from journal_launcher.base.paths import typed
from journal_launcher.base.visible import one_line
from journal_launcher.views.figures import clock_time, number
from journal_launcher.views.summary import studies_dir

__all__ = ["comparison_json", "comparison_line", "failures", "model_row", "print_comparison"]

_SCHEMA_VERSION = 1
_STOPPED = (ExitCode.RESUMABLE, ExitCode.INTERRUPTED)
_WHOLE, _INDENT = ("failed", "model", "predict", "dashboard"), 13  # one line each, to be copied


def print_comparison(console: Console, found: Comparison) -> None:
    """Print the table and what follows from it."""
    folds = "fresh folds" if found.confirmed else "the folds that chose the trials"
    head = f"{found.name}: {len(found.models)} model types compared on {folds} in "
    head += clock_time(found.seconds)
    console.print(Text(head, style="bold"), highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", justify="right")
    for title in ("model type", found.metric, "hold-out [95 %]"):
        table.add_column(title, no_wrap=True)
    for title in ("time", "trials"):
        table.add_column(title, justify="right")
    for row in (*map(model_row, found.models), *_baselines(found)):
        table.add_row(*row)
    console.print(table, highlight=False)
    for line in filter(None, (_trouble(m) for m in found.models if m not in found.failed)):
        console.print(Text(f"  {line}", style="yellow"), soft_wrap=True, highlight=False)
    for label, text in _closing(found):
        style = "yellow" if label in ("warning", "failed") else ""
        width = max(20, console.width - _INDENT)
        lines = [text] if label in _WHOLE else textwrap.wrap(text, width, break_on_hyphens=False)
        for first, line in zip((label, *[""] * len(lines)), lines, strict=False):
            shown = Text(f"  {first:<{_INDENT - 2}}").append(line, style)
            console.print(shown, soft_wrap=True, highlight=False)


def model_row(model: ComparedModel) -> tuple[str, ...]:
    """Rank, model type, score, hold-out, time, trials."""
    rank = "-" if model.rank is None else str(model.rank)
    holdout = "" if model.holdout is None else _short(model.holdout)
    low, high = model.holdout_interval or (None, None)
    if low is not None and high is not None:
        holdout += f" [{low:.3g}, {high:.3g}]"
    none = "skipped" if model.skipped else "failed"
    score = none if model.score is None else _score(model.score, model.fold_scores)
    time = clock_time(model.seconds) if model.seconds else ""
    trials = str(model.n_finished)
    return rank, model.model_type, score, holdout, time, trials


def _trouble(model: ComparedModel) -> str:
    """What went wrong, for a line of its own; "" if nothing did."""
    failed = f"{model.n_failed} failed trials" if model.n_failed else ""
    said = "; ".join(filter(None, (model.message, failed)))
    return f"{model.model_type}: {said}" if said else ""


def _score(score: float, folds: Sequence[float]) -> str:
    if len(folds) < 2:
        return _short(score)
    return f"{_short(score)} ± {round(statistics.stdev(folds), 12):.2g}"


def _short(score: float) -> str:
    """Four digits of a share: the table fits into 80 columns."""
    return number(score) if abs(score) >= 1 else f"{score:.4g}"


def _baselines(found: Comparison) -> Iterator[tuple[str, ...]]:
    """The dummy and the linear model with its default parameters, on the same folds."""
    for name, score, folds in found.baselines.scored(fresh=found.confirmed):
        yield "", f"{name} (baseline)", _score(score, folds), "", "", ""


def _closing(found: Comparison) -> Iterator[tuple[str, str]]:
    if found.exit_code in _STOPPED:
        but = ", without --overwrite," if found.overwrite else ""
        yield "stopped", f"repeat the same command{but} to go on; what is finished is kept"
        return
    if found.winner is not None:
        yield "chosen", found.reason
    won = next((model for model in found.models if model.model_type == found.winner), None)
    if won is not None and won.score is not None:
        lost = ", ".join(_unbeaten(found, won.score))
        if lost:
            yield "warning", f"{won.model_type} does not beat {lost} on the same folds"
    if found.model_path is not None:
        yield "model", str(found.model_path)
        command = f"{typed()} predict {found.name} --data new.csv --out predictions.csv"
        yield "predict", command + studies_dir(found.folder)
    if won is not None:
        yield "dashboard", f"{typed()} dashboard {found.name}{studies_dir(found.folder)}"
    for line in failures(found):
        yield "failed", line
    if found.winner is not None and found.exit_code != ExitCode.DONE:
        then = "mend that and type the same command again, which trains nothing twice; or add "
        yield "next", f"{then}--leave-out-failed, and the others decide"


def failures(found: Comparison) -> list[str]:
    """A line for each type that failed, and says why; one for all if there is nothing else."""
    if found.exit_code in _STOPPED:
        return [f"stopped; {AGAIN} to go on"]
    lines = [one_line(f"{model.model_type}: {model.message}") for model in found.failed]
    return lines or ([] if found.winner else [found.reason])


def _unbeaten(found: Comparison, score: float) -> Iterator[str]:
    sign = 1 if found.direction == "maximize" else -1
    for name, other, _ in found.baselines.scored(fresh=found.confirmed):
        if name != found.winner and sign * score <= sign * other:
            yield f"{name} ({number(other)})"


def comparison_line(found: Comparison) -> str:
    """The result for `-q`: the winner's score and the model's path."""
    if found.winner is None:
        return ""
    won = next(model for model in found.models if model.model_type == found.winner)
    return " ".join(map(str, filter(None, (won.score, found.model_path))))


def comparison_json(found: Comparison) -> dict[str, Any]:
    """The object that `--json` prints. Its keys are API."""
    content = found.to_json()
    del content["sidecar"], content["folder"], content["overwrite"]
    path = None if found.model_path is None else str(found.model_path)
    return {"schema_version": _SCHEMA_VERSION, **content, "model_path": path}
