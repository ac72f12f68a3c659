"""The table of a study: parsed once by one worker, memory-mapped by all.

Arrays lie in the studies folder's cache under a hash of the data and of every setting that shapes
them, so the second launch on the same file parses nothing. Nothing heavy is imported unless
something must be parsed.
"""

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from journal_launcher.base.data_source import check_location, locate_data
from journal_launcher.base.data_text import fingerprint
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import cached
from journal_launcher.settings.metric_names import (
    CLASSIFICATION_METRICS,
    METRICS,
    NEED_TWO_TARGETS,
    REGRESSION_METRICS,
)
from journal_launcher.tabular.data.arrays import (
    PackedTexts,
    are_stored,
    hashes,
    map_arrays,
    mark_used,
    store,
    stored_facts,
)
from journal_launcher.tabular.data.dataset import Dataset, Features, Fold, Schema
from journal_launcher.tabular.data.source import TableSource

__all__ = [
    "KEEP_UNUSED",
    "about",
    "features_from_frame",
    "fresh_folds",
    "load",
    "prepare",
    "read_features",
]

PARSER_VERSION = 10  # counts up when the same file would give other arrays or facts
KEEP_UNUSED = 7 * 86400.0  # seconds
_SHAPING = (
    *("target", "task", "k_folds", "test_size", "split", "group_column", "time_column"),
    *("weight_column", "date_order", "target_in_units", "texts"),
)


def prepare(source: TableSource, cache: Path) -> dict[str, Any]:
    """Parse and split the table, or find it in `cache`.

    Returns:
        A JSON object. directory: where `load` finds the arrays; files: the SHA-256 of each file
        there; data: the source, a file with its
        absolute path; data_sha256: of its content; values_sha256: of what is learned from, however
        the file writes it; target, task, metric, direction, split (kind,
        k_folds, test_size, group_column, time_column, equal_rows: "together" or "apart", where
        neither groups nor times decide), weight_column (if rows are weighed), n_rows, n_train,
        n_holdout, n_features, classes, schema_sha256, folds_sha256, duplicates (rows with the
        features of an earlier one; with groups or times, and its target), notes (lines for the
        user, the doubts of `data_checks` among them).

    Raises:
        UsageError: bad data, options that do not fit them, a metric that a fold leaves undefined,
            or doubts with --strict-data; nothing is written.
    """
    check_location(source.data)
    with about(source.location):
        directory = _place(source, cache)
        if not are_stored(directory):
            from journal_launcher.tabular.data.parsing import parse

            parsed = parse(source)
            _accepted_metric(source, parsed.facts)  # before anything is written
            facts = {"schema": parsed.schema.to_json(), "prepared": parsed.facts}
            store(directory, parsed.arrays, facts)
        facts = stored_facts(directory)["prepared"]
        metric = _accepted_metric(source, facts)
        notes = [*facts["notes"], *facts.pop("doubts")]
        del facts["constant"]
    mark_used(directory)
    _remove_unused(cache)
    return {
        **{"directory": str(directory.absolute()), "data": source.location},
        "files": hashes(directory),
        **facts,
        **{"metric": metric, "direction": METRICS[metric], "notes": notes},
    }


def load(directory: Path) -> Dataset:
    """Map what `prepare` wrote; only the pages that are read take memory, once for all workers."""
    meta, arrays = stored_facts(directory), map_arrays(directory)
    folds = [
        Fold(arrays[f"fold{number}_train"], arrays[f"fold{number}_valid"])
        for number in range(meta["prepared"]["split"]["k_folds"])
    ]
    texts = PackedTexts(arrays["texts"], arrays["text_ends"]) if "texts" in arrays else None
    return Dataset(
        directory=directory,
        schema=Schema.from_json(meta["schema"]),
        features=Features(arrays["numbers"], arrays["codes"], texts),
        target=arrays["target"],
        train=arrays["train"],
        holdout=arrays["holdout"],
        folds=folds,
        weights=arrays.get("weights"),
    )


def fresh_folds(directory: Path, seed: int) -> list[Fold]:
    """Other folds of the same training rows, under the same rule, from another seed."""
    from journal_launcher.tabular.data.splits import make_folds

    meta, arrays = stored_facts(directory), map_arrays(directory)
    split = meta["prepared"]["split"]
    return make_folds(
        split["kind"], split["k_folds"], arrays["target"], arrays["units"], arrays["train"], seed
    )


def read_features(path: Path, schema: Schema) -> tuple[Features, tuple[str, ...]]:
    """Read new rows from a file, one per input row in input order, and notes for the user.

    Columns may come in any order; the target, weights and other columns are ignored.

    Raises:
        UsageError: a bad file, a missing column, or a value of another kind; names the row.
    """
    from journal_launcher.tabular.data.new_rows import (
        apply_schema,
        unused_columns,
        written_columns,
    )
    from journal_launcher.tabular.data.readers import read_file

    with about(str(path)):
        table = read_file(path, written_columns(schema), keep_rows=True)
        features, notes = apply_schema(table.frame, schema)
        return features, (*table.notes, *unused_columns(table.frame, schema), *notes)


def features_from_frame(data: Any, schema: Schema) -> tuple[Features, tuple[str, ...]]:
    """The same for a DataFrame, a table of polars or pyarrow, or a (rows, columns) array in the
    order of `schema.columns`.

    Raises:
        UsageError: as `read_features`, or an array of another shape.
    """
    import pandas as pd

    from journal_launcher.tabular.data.given_frames import as_frame
    from journal_launcher.tabular.data.new_rows import apply_schema

    if isinstance(data, pd.DataFrame) or hasattr(data, "to_pandas"):
        return apply_schema(as_frame(data), schema)
    array, names = np.asarray(data), [column.name for column in schema.columns]
    if array.ndim != 2 or array.shape[1] != len(names):
        raise UsageError(f"expected an array of shape (rows, {len(names)}), found {array.shape}")
    return apply_schema(pd.DataFrame(array, columns=names), schema)


@contextlib.contextmanager
def about(source: str) -> Iterator[None]:
    """Put the name of the data in front of what is wrong with them."""
    try:
        yield
    except UsageError as problem:
        raise UsageError(f"{source}: {problem}") from None


def _place(source: TableSource, cache: Path) -> Path:
    """Where the arrays are, or go. A resume of a study without text finds those it began with."""
    if not source.texts:
        place = cache / _key(replace(source, texts=True))
        if are_stored(place) and not Schema.from_json(stored_facts(place)["schema"]).texts:
            return place
    return cache / _key(source)


def _key(source: TableSource) -> str:
    """Everything that decides the arrays, as one hash."""
    location = source.location
    shaping = {
        **{name: getattr(source, name) for name in _SHAPING},
        **{"parser": PARSER_VERSION, "seed": source.seed, "content": fingerprint(location)},
        "format": _format(location),
    }
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()


def _format(location: str) -> list[str | None]:
    """What else than their bytes decides how files are read."""
    if location.startswith("sklearn:"):
        return ["bundled"]
    data = locate_data(location)
    return [data.kind, data.sheet]


def _accepted_metric(source: TableSource, facts: dict[str, Any]) -> str:
    """Raise UsageError if the table is not what was asked for; return the metric."""
    if source.strict_data and facts["doubts"]:
        raise UsageError(
            f"--strict-data: {'; '.join(facts['doubts'])} (mend the table, or leave out "
            "--strict-data)"
        )
    metric = _metric(source.metric, facts["task"])
    if metric in NEED_TWO_TARGETS and facts["constant"]:
        which, target = facts["constant"][0]
        regression = facts["task"] == "regression"
        other = "--split stratified" if facts["split"]["kind"] == "kfold" else "fewer --k-folds"
        raise UsageError(
            f"{which} rows with the target {target} alone, where {metric} is undefined; use "
            f"--metric {'rmse' if regression else 'log_loss'} or "
            f"{'fewer --k-folds' if regression else other}"
        )
    return metric


def _metric(asked: str | None, task: str) -> str:
    if asked is None:
        return "r2" if task == "regression" else "log_loss"
    known = REGRESSION_METRICS if task == "regression" else CLASSIFICATION_METRICS
    if asked not in known:
        raise UsageError(f"--metric {asked} does not score a {task}; use {', '.join(known)}")
    return asked


def _remove_unused(cache: Path) -> None:
    """Drop entries that nobody used for a week, and what a killed launch left half-built."""
    now = time.time()
    for entry in cached(cache):
        with contextlib.suppress(OSError):  # another launch does the same
            if now - entry.stat().st_mtime > KEEP_UNUSED:
                shutil.rmtree(entry)
