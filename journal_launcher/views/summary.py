"""How a launch ended: the closing words for stderr and the results for stdout."""

import shlex
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from journal_launcher.base.artifacts.scores import Baselines
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import ExitCode
from journal_launcher.base.events import Event, LaunchEnded, Listener
from journal_launcher.base.files import finite
from journal_launcher.base.paths import StudiesFolder, typed
from journal_launcher.base.verdict import CRITICAL, WARNING
from journal_launcher.base.visible import one_line
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.views.figures import counted, duration, number, parameter, spread
from journal_launcher.views.scores import scores_json, scores_text

__all__ = [
    "baseline_rows",
    "failure_json",
    "holdout_json",
    "holdout_text",
    "print_summary",
    "result_json",
    "result_line",
    "studies_dir",
    "summarizing",
    "summary",
]

_SCHEMA_VERSION = 1
_ENDINGS: dict[int, str] = {
    ExitCode.DONE: "done",
    ExitCode.RESUMABLE: "stopped",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C",
}
_COPIED = ("model", "predict", "dashboard")  # never broken into lines
Row = tuple[str, str]


def summarizing(console: Console) -> Listener:
    """Return a listener that prints the summary when a launch has ended."""

    def listen(event: Event) -> None:
        if isinstance(event, LaunchEnded):
            print_summary(console, event)

    return listen


def print_summary(console: Console, ended: LaunchEnded) -> None:
    """Print the closing words."""
    headline, rows = summary(ended)
    good = ended.exit_code == ExitCode.DONE
    style = "bold" if good else "bold yellow"
    console.print(Text(headline, style=style), highlight=False, soft_wrap=not rows)
    labels = max((len(label) for label, _ in rows), default=0)
    for label, text in rows:
        style = "yellow" if label in ("warning", "failed", "health") else ""
        if label in _COPIED:
            console.print(Text(f"  {label:<{labels}}  {text}"), soft_wrap=True, highlight=False)
            continue
        lines = textwrap.wrap(text, max(20, console.width - labels - 4), break_on_hyphens=False)
        for first, line in zip((label, *[""] * len(lines)), lines, strict=False):
            console.print(Text(f"  {first:<{labels}}  ").append(line, style), highlight=False)


def summary(ended: LaunchEnded) -> tuple[str, list[Row]]:
    """The headline and the labelled lines below it, in reading order."""
    if ended.exit_reason == "skipped":
        return f"{ended.study} skipped: {one_line(ended.message or '')}", []
    rows = [
        *_best(ended),
        *_holdout(ended.sidecar or Sidecar()),
        *_baselines(ended),
        *_health(ended),
        *_pruned(ended),
        *_failures(ended),
        *_busy(ended),
        *_next_steps(ended),
    ]
    return _headline(ended), rows


def _headline(ended: LaunchEnded) -> str:
    ending = _ENDINGS.get(ended.exit_code, "failed")
    short = ended.n_finished < ended.n_trials
    why = one_line(ended.message or "") or (ended.exit_reason.replace("_", " ") if short else "")
    if why:
        ending = why if why.startswith(ending) else f"{ending} ({why})"
    done = f"{counted(ended.n_finished, ended.n_trials)} trials finished"
    if ended.n_finished > ended.n_trials:
        done += f", more than the {ended.n_trials} asked for"
    now = ended.n_finished - ended.n_before
    if ended.n_before:
        done += f", {now} of them now" if now else ", all of them before"
    if ended.n_finished > ended.n_trials or ended.n_before:
        done += ","
    return f"{ended.study} {ending}: {done} in {duration(ended.seconds)}"


def _best(ended: LaunchEnded) -> Iterator[Row]:
    best = ended.best_trial
    if best is None:
        return
    text = ", ".join(map(number, best.values))
    if ended.metric:
        text = f"{ended.metric} {text}"
    sidecar = ended.sidecar or Sidecar()
    text += spread(sidecar.fold_scores, "folds")
    if best.n_pareto is not None:
        front = _trials(best.n_pareto, "Pareto-optimal ")
        yield "best", f"{front} of {len(ended.directions)} objectives"
    confirmed = sidecar.confirmed
    # Not "best": of the scores on these folds, another trial's may be better.
    label = "best" if confirmed.score is None else "chosen"
    yield "one of them" if best.n_pareto else label, f"{text}, trial {best.number}"
    if confirmed.score is not None:
        others = ", ".join(confirmed.trials or ())
        text = number(confirmed.score)
        text += spread(confirmed.fold_scores, "fresh folds")
        yield "confirmed", f"{ended.metric} {text}, the best of trials {others}"
    if best.params:
        yield "parameters", "  ".join(f"{k}={parameter(v)}" for k, v in best.params.items())


def _holdout(sidecar: Sidecar) -> Iterator[Row]:
    if text := holdout_text(sidecar):
        yield "hold-out", text
    if text := scores_text(sidecar, without=sidecar.metric):
        yield "also", text
    several = (sidecar.members or 1) > 1
    trained = f"the mean of {sidecar.members} trainings on" if several else "trained on"
    if sidecar.best.refit == "all":
        yield (
            "refit",
            f"the model is {trained} all rows; the hold-out was scored before, by the same "
            "parameters trained without it",
        )
    elif sidecar.best.refit == "train" and sidecar.holdout.metrics:
        yield "refit", f"the model is {trained} the training rows; it never saw the hold-out"


def holdout_text(sidecar: Sidecar) -> str:
    """The score on the hold-out and its interval, "" where there is none."""
    metrics = sidecar.holdout.metrics or {}
    name = sidecar.metric or ""
    score = metrics.get(name)
    if score is None:
        return ""
    text = f"{name} {number(score)}"
    low, high = sidecar.holdout.interval or (None, None)
    if low is not None and high is not None:
        text += f", 95 % interval {number(low)} to {number(high)}"
    return text


def holdout_json(sidecar: Sidecar) -> dict[str, Any] | None:
    """{"metrics": {name: value}, "interval": {"metric", "low", "high"}} of a table's hold-out."""
    metrics = sidecar.holdout.metrics
    if not metrics:
        return None
    low, high = sidecar.holdout.interval or (None, None)
    return {"metrics": metrics, "interval": {"metric": sidecar.metric, "low": low, "high": high}}


def _baselines(ended: LaunchEnded) -> Iterator[Row]:
    """On the folds that our own score is of: the fresh ones if it is confirmed."""
    sidecar = ended.sidecar or Sidecar()
    confirmed = sidecar.confirmed.score is not None
    ours = sidecar.confirmed.score if confirmed else sidecar.best.value
    if ours is None and ended.best_trial is not None and len(ended.best_trial.values) == 1:
        (ours,) = ended.best_trial.values
    found = ended.baselines or Baselines()
    direction = next(iter(ended.directions), "minimize")
    name = sidecar.model_type
    if name is None:  # there is no model yet, and this may be linear against itself
        ours = None
    judged = ended.health is not None and ended.health.names_baselines
    warned = None if judged else ours
    yield from baseline_rows(found, warned, name, direction=direction, fresh=confirmed)
    if ended.health is not None and judged and ended.health.level == "ok":
        scores = _scores(found, fresh=confirmed)
        if text := _unbeaten(scores, ours, name, direction):
            yield "", f"{text}, by no more than chance"


def baseline_rows(
    baselines: Baselines, ours: float | None, name: str | None, *, direction: str, fresh: bool
) -> Iterator[Row]:
    """What was to be beaten, and a warning of what `name` does not beat on the folds of `ours`.

    ours: None where health has judged that, in its own line.
    """
    scores = _scores(baselines, fresh=fresh)
    if not scores:
        return
    listed = ", ".join(f"{name} {number(score)}" for name, score in scores.items())
    yield "baselines", f"{listed} (same {'fresh ' if fresh else ''}folds)"
    if text := _unbeaten(scores, ours, name, direction):
        yield "warning", text


def _scores(baselines: Baselines, *, fresh: bool) -> dict[str, float]:
    return {name: score for name, score, _ in baselines.scored(fresh=fresh)}


def _unbeaten(
    scores: Mapping[str, float], ours: float | None, name: str | None, direction: str
) -> str:
    """Which of the scores `ours` is no better than; nothing if it is, or is None."""
    if ours is None:
        return ""
    name = name or "the best trial"
    sign = 1 if direction == "maximize" else -1
    return "; ".join(
        f"{name} does not beat {other}: {number(ours)} against {number(score)}"
        for other, score in scores.items()
        if other != name and sign * ours <= sign * score
    )


def _health(ended: LaunchEnded) -> Iterator[Row]:
    verdict = ended.health
    if verdict is not None and verdict.level in (WARNING, CRITICAL):
        asked = f"{typed()} health {ended.study}{studies_dir(ended.journal.parent)}"
        yield "health", f"{verdict.level}: {verdict.why}; see {asked}"


def _failures(ended: LaunchEnded) -> Iterator[Row]:
    if ended.n_failed:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in ended.failures.items())
        here = f"; in this launch {kinds}" if kinds else ""
        yield "failed", _trials(ended.n_failed) + here
    if ended.n_interrupted:
        yield "interrupted", f"{_trials(ended.n_interrupted)}, queued again"


def _pruned(ended: LaunchEnded) -> Iterator[Row]:
    if ended.n_pruned:
        yield "pruned", f"{_trials(ended.n_pruned)}, ended early"


def _busy(ended: LaunchEnded) -> Iterator[Row]:
    if ended.busy is not None:
        shares = ", ".join(f"{100 * share:.0f} %" for share in ended.busy)
        yield "busy", f"{shares} of the time for trials" + (", by worker" * (len(ended.busy) > 1))


def _trials(count: int, kind: str = "") -> str:
    return f"{count} {kind}trial{'s' if count > 1 else ''}"


def _next_steps(ended: LaunchEnded) -> Iterator[Row]:
    if ended.model_path is not None:
        yield "model", str(ended.model_path)
    if ended.model_path is not None and (ended.sidecar or Sidecar()).job_kind.predicts:
        command = f"{typed()} predict {ended.study} --data new.csv --out predictions.csv"
        yield "predict", command + studies_dir(ended.journal.parent)
    out_of_patience = ended.exit_reason == "patience"
    if ended.n_waiting and (out_of_patience or ended.n_finished >= ended.n_trials):
        larger = "--patience" if out_of_patience else "--n-trials"
        yield "waiting", f"{_trials(ended.n_waiting, 'queued ')}, for a larger {larger}"
    command = f"{typed()} dashboard {ended.study}"
    yield "dashboard", command + studies_dir(ended.journal.parent)
    again = "repeat the same command" + (" without --overwrite" if ended.overwrite else "")
    if ended.exit_code in (ExitCode.RESUMABLE, ExitCode.INTERRUPTED):
        yield "go on", f"{again}; finished trials are kept"
    elif ended.exit_code == ExitCode.DONE and ended.exit_reason == "stopped":
        yield "go on", "study.stop() ended it; with another --n-trials it goes on"
    elif out_of_patience and ended.exit_code == ExitCode.DONE:
        yield "go on", "with a larger --patience, or without it, the same command goes on"
    elif ended.exit_code == ExitCode.DONE and ended.n_finished < ended.n_trials:
        yield "go on", f"{again} for the trials that are left"
    elif ended.n_finished < ended.n_trials:
        yield "go on", f"mend what failed, then {again}; finished trials are kept"


def studies_dir(folder: Path) -> str:
    """The option that finds a study outside the default folder."""
    if folder == StudiesFolder.at(LaunchSettings.studies_dir).root:
        return ""
    return f" --studies-dir {shlex.quote(str(folder))}"


def result_line(ended: LaunchEnded) -> str:
    """The result for `-q`: best value (values joined by commas) and model path, where there are."""
    parts = []
    if ended.best_trial is not None:
        parts.append(",".join(map(str, ended.best_trial.values)))
    if ended.model_path is not None:
        parts.append(str(ended.model_path))
    return " ".join(parts)


def result_json(ended: LaunchEnded) -> dict[str, Any]:
    """The object that `--json` prints. Its keys are API."""
    best = None
    if ended.best_trial is not None:
        best = ended.best_trial.to_json() | {"params": finite(ended.best_trial.params)}
        best.pop("n_pareto", None)
    return {
        "schema_version": _SCHEMA_VERSION,
        "study": ended.study,
        "exit_reason": ended.exit_reason,
        "exit_code": int(ended.exit_code),
        "message": ended.message,
        "n_finished": ended.n_finished,
        "n_failed": ended.n_failed,
        "best_trial": best,
        "model_path": None if ended.model_path is None else str(ended.model_path),
        "holdout": holdout_json(ended.sidecar or Sidecar()),
        "scores": scores_json(ended.sidecar or Sidecar()),
        "health": None if ended.health is None else ended.health.level,
        "busy": None if ended.busy is None else list(ended.busy),
        "gpus": [vars(gpu) for gpu in ended.gpus] or None,
        "journal": str(ended.journal),
    }


def failure_json(exit_code: int, message: str) -> dict[str, Any]:
    """The same object for a launch that never began: what is not known is null."""
    unknown = ("n_finished", "n_failed", "best_trial", "model_path", "holdout", "scores", "health")
    return {
        "schema_version": _SCHEMA_VERSION,
        "study": None,
        "exit_reason": "signal" if exit_code == ExitCode.INTERRUPTED else "failed",
        "exit_code": int(exit_code),
        "message": message,
        **dict.fromkeys((*unknown, "busy", "gpus", "journal")),
    }
