"""The first words of the page, the last ones, and the table of all trials."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from journal_launcher.base.artifacts.stored import table
from journal_launcher.base.paths import is_frame_name
from journal_launcher.base.times import utc
from journal_launcher.base.verdict import CRITICAL, WARNING
from journal_launcher.base.visible import one_line
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.views.figures import counted, parameter
from journal_launcher.views.report.charts import in_script
from journal_launcher.views.report.gather import Known
from journal_launcher.views.report.section import Section, pairs, paragraph

__all__ = ["provenance", "summary", "trials_table"]

_OF_A_LAUNCH = ("command_line", "launch", "started", "ended", "exit_reason", "workers", "versions")


def summary(known: Known) -> Section:
    """What was tuned, how far it is, what came of it."""
    parts = [paragraph(" ".join(_what(known)))]
    parts.append(paragraph(" ".join(_how_far(known))))
    rows = [row for row in known.facts if row[0] not in ("again", "script", "config")]
    rows += _health(known)
    best = known.rows[known.chosen[0]] if len(known.chosen) == 1 else None
    if best is not None and best.params:
        told = (f"{name} = {parameter(value)}" for name, value in best.params.items())
        rows.append(("parameters", ", ".join(told)))
    return Section("summary", "Summary", [*parts, pairs(rows)])


def _what(known: Known) -> Iterator[str]:
    identity, settings = known.identity, known.settings
    kind = identity.job_kind
    if kind.has_model_type:
        data = f" of {_named(settings.data)}" if settings else ""
        yield f"Tuned: {identity.model_type}, which predicts {identity.target}{data}"
        yield f"({identity.task})."
        if identity.weight_column is not None:
            yield f"A row counts by its weight, in the column {identity.weight_column}."
        split = identity.split or {}
        if split.get("k_folds"):
            how = f"{split['k_folds']} folds ({split.get('kind')})"
            yield f"A trial is a cross-validation over {how}."
    elif identity.command is not None:
        yield f"Tuned: the command {identity.command}."
    elif identity.objective is not None:
        yield f"Tuned: the objective {identity.objective}."
    else:
        yield "A study that another program began."
    n = len(known.parameters)
    yield f"{n} parameter{'s' * (n != 1)};"
    goals = (
        f"{o.name} ({'larger' if o.maximize else 'smaller'} is better)" for o in known.objectives
    )
    yield f"judged by {', '.join(goals)}."


def _named(data: str) -> str:
    return "a DataFrame" if is_frame_name(Path(data).name) else f"the table {data}"


def _how_far(known: Known) -> Iterator[str]:
    yield f"{counted(known.finished, known.budget)} trials finished:"
    listed = (f"{count} {state}" for state, count in known.states.items())
    yield f"{', '.join(listed) or 'there is none yet'}."
    if known.run_by is not None:
        yield f"The study is being run now ({known.run_by}); this is how it stands."
    if not known.chosen:
        yield "There is no best trial yet."


def _health(known: Known) -> Iterator[tuple[str, str]]:
    verdict = known.verdict
    if verdict is None:
        yield "health", "not judged: there is no published model"
    elif verdict.reason:
        yield "health", f"not judged: {verdict.reason}"
    elif verdict.level in (WARNING, CRITICAL):
        yield "health", f"{verdict.level}: {verdict.why}"
    else:
        yield "health", f"{verdict.level}: {len(verdict.findings)} things were looked at"


def provenance(known: Known) -> Section:
    """Where all of it comes from, and how to do it again."""
    rows = [("journal", str(known.paths.journal)), ("read at", utc(known.moment))]
    rows += [row for row in known.facts if row[0] in ("again", "script", "config")]
    rows += [(name, _said(value)) for name, value in known.identity.to_json().items()]
    rows += [(f"sha256 of {name}", _said(value)) for name, value in known.noted.items()]
    rows += _settings(known)
    said = {name: known.record.get(name) for name in _OF_A_LAUNCH}
    if known.sidecar is not None:
        said |= known.sidecar.provenance.to_json() | known.sidecar.trained_on.to_json()
        said["files"] = known.sidecar.files
    rows += [(name, _said(value)) for name, value in said.items()]
    told = ((name.replace("_", " "), text) for name, text in rows if name != "schema_version")
    return Section("provenance", "Provenance", [pairs(row for row in told if row[1])])


def _settings(known: Known) -> Iterator[tuple[str, str]]:
    """Those of the last launch that are not the defaults: its record has all of them."""
    defaults = LaunchSettings().to_json()
    kept = {} if known.settings is None else known.settings.to_json()
    for name, value in {**kept, **table(known.record.get("settings"))}.items():
        if name in defaults and name != "arguments" and _said(value) != _said(defaults[name]):
            yield f"option {name.replace('_', '-')}", _said(value)


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{name} {_said(item)}" for name, item in value.items() if item is not None
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    return "" if value is None else str(value)


def trials_table(known: Known) -> str:
    """All trials as JSON for the page's script, which sorts them."""
    params = list(known.parameters)
    values = [objective.name for objective in known.objectives]
    n_folds = max((len(row.fold_scores) for row in known.rows), default=0)
    heads = ["trial", "state", *values, "reported", *params, "device", "seconds"]
    heads += [*(f"fold {n}" for n in range(n_folds)), "reason"]
    rows: list[list[Any]] = [
        [
            row.number,
            row.state,
            *_filled(row.values, len(values)),
            _cell(row.last_report),
            *(_cell(row.params.get(name)) for name in params),
            None if row.device is None else one_line(row.device),
            _cell(row.seconds),
            *_filled(row.fold_scores, n_folds),
            None if row.reason is None else one_line(row.reason),
        ]
        for row in known.rows
    ]
    told = [n for n in range(len(heads)) if any(row[n] is not None for row in rows)]
    return in_script(
        {
            "heads": [one_line(heads[n]) for n in told],
            "rows": [[row[n] for n in told] for row in rows],
            "chosen": list(known.chosen),
        }
    )


def _filled(values: Any, n: int) -> list[Any]:
    cells = [_cell(value) for value in values[:n]]
    return [*cells, *[None] * (n - len(cells))]


def _cell(value: Any) -> Any:
    """Numbers with all their digits, which the page rounds once; all else as other views do."""
    if type(value) is int and abs(value) < 2**53:
        return value
    if type(value) is float and value - value == 0:
        return value
    return None if value is None else one_line(parameter(value))
