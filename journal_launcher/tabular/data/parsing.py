"""From a file to the arrays of a study: target, task, columns, hold-out and folds."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.arrays import PackedTexts
from journal_launcher.tabular.data.data_checks import check_data
from journal_launcher.tabular.data.dataset import Features, Rows, Schema
from journal_launcher.tabular.data.equal_rows import are_copies, count_repeats, equal_rows
from journal_launcher.tabular.data.frames import note_rows
from journal_launcher.tabular.data.source import TableSource
from journal_launcher.tabular.data.splits import check_size, hold_out, make_folds
from journal_launcher.tabular.data.targets import Target
from journal_launcher.tabular.data.typed_table import read_table

__all__ = ["Parsed", "parse"]

_COPIES = "copies (as many rows differ without any one column), kept together in every split"
_CHANCE = (
    "few values that meet by chance (without one of the columns far fewer rows differ), divided "
    "like any other rows"
)
_FORMER = (
    "this study began under a former rule and goes on under it: rows equal in features and target "
    "are kept together, which makes its scores too bad where few values meet by chance; to divide "
    "the rows by today's rule, begin anew with --overwrite"
)


@dataclass(frozen=True)
class Parsed:
    """What is kept of a table. arrays: by file name; facts: JSON, what `prepare` reports."""

    schema: Schema
    arrays: dict[str, NDArray[Any]]
    facts: dict[str, Any]


@dataclass(frozen=True)
class _Units:
    """rows: what must stay together, see `splits`. duplicates: rows equal to an earlier one.
    equal_rows: "together" or "apart", where that was the question."""

    rows: Rows
    duplicates: int
    notes: list[str]
    equal_rows: str | None = None


def parse(source: TableSource) -> Parsed:
    """Read and split a table; everything is looked at, nothing is fitted.

    Rows without a target, or of weight 0, are left out. The columns of --group-column and
    --weight-column are no features, that of --time-column is one.

    Raises:
        UsageError: bad data, or options that do not fit them; says where.
    """
    table = read_table(source)
    target, notes = table.target, list(table.notes)
    schema, features = table.features()
    kind = _split_kind(source.split, target.task)
    units = _units(source, features, target, table.keys)
    notes += units.notes
    try:
        cuts = _cut(kind, source, target, units.rows)
    except UsageError as problem:
        if not target.by_number:
            raise
        raise UsageError(
            f"{problem}; if {target.name!r} counts or measures something, give --task regression"
        ) from None
    facts: dict[str, Any] = {
        "data_sha256": table.sha256,
        "values_sha256": _values_sha256(schema, features, target, units.rows, table.weights),
        **{"file": asdict(table.file)},
        **{"target": target.name, "task": target.task},
        "split": {
            **{"kind": kind, "k_folds": source.k_folds, "test_size": source.test_size},
            **{"group_column": source.group_column, "time_column": source.time_column},
            **({"equal_rows": units.equal_rows} if units.equal_rows else {}),
        },
        **({"weight_column": source.weight_column} if source.weight_column else {}),
        **{"n_rows": len(target.values), "n_train": len(cuts["train"])},
        **{"n_holdout": len(cuts["holdout"]), "n_features": len(schema.columns)},
        **{"classes": list(target.classes), "summary": table.summary, "reading": table.reading},
        **{"schema_sha256": schema.sha256, "duplicates": units.duplicates, "notes": notes},
        **{
            "folds_sha256": _sha256([*cuts.values(), units.rows]),
            "constant": _constant(cuts, target),
        },
        "doubts": [
            *table.doubts,
            *check_data(schema, features, target.values, cuts["train"], cuts["holdout"]),
        ],
    }
    arrays = {**cuts, "numbers": features.numbers, "codes": features.codes}
    if table.weights is not None:
        arrays["weights"] = table.weights
    if features.texts is not None:
        packed = PackedTexts.of(features.texts[:])
        arrays |= {"texts": packed.content, "text_ends": packed.ends}
    return Parsed(schema, {**arrays, "target": target.values, "units": units.rows}, facts)


def _split_kind(asked: str, task: str) -> str:
    if asked == "auto":
        return "stratified" if task == "classification" else "kfold"
    if asked == "stratified" and task == "regression":
        raise UsageError("--split stratified needs classes, this is a regression; use kfold")
    return asked


def _units(
    source: TableSource, features: Features, target: Target, keys: NDArray[Any] | None
) -> _Units:
    columns = features.columns
    if keys is not None:
        count = count_repeats(equal_rows([*columns, target.values]))
        notes = note_rows(count, "equal to an earlier row", "splits may separate them")
        return _Units(
            np.unique(keys, return_inverse=True)[1].ravel().astype(np.int64), count, notes
        )
    equal = equal_rows(columns)
    copies = are_copies(columns, equal)
    units = equal if copies else np.arange(len(equal))
    if source.target_in_units:
        former = equal_rows([*columns, target.values])
        count = count_repeats(former)
        notes = note_rows(count, "equal to an earlier row", "kept together in every split")
        return _Units(former, count, notes + ([] if np.array_equal(former, units) else [_FORMER]))
    count = count_repeats(equal)
    notes = note_rows(count, "with the features of an earlier one", _COPIES if copies else _CHANCE)
    return _Units(units, count, notes, "together" if copies else "apart")


def _cut(kind: str, source: TableSource, target: Target, units: Rows) -> dict[str, NDArray[Any]]:
    k, values = source.k_folds, target.values
    check_size(kind, k, values, units, np.arange(len(units)), target.classes)
    train, holdout = hold_out(kind, source.test_size, values, units, source.seed)
    check_size(kind, k, values, units, train, target.classes)
    folds = make_folds(kind, k, values, units, train, source.seed)
    for number, fold in enumerate(folds, start=1):
        for label in np.setdiff1d(np.arange(len(target.classes)), values[fold.train]):
            raise UsageError(
                f"fold {number} has no row of class {target.classes[label]!r} to train on; use "
                "--split stratified, fewer folds or leave the class out"
            )
    return {
        **{"train": train, "holdout": holdout},
        **{f"fold{number}_train": fold.train for number, fold in enumerate(folds)},
        **{f"fold{number}_valid": fold.valid for number, fold in enumerate(folds)},
    }


def _constant(cuts: dict[str, NDArray[Any]], target: Target) -> list[tuple[str, str]]:
    """(which rows, their target) where a part of a fold has one: some metrics need two."""
    found = []
    for name, rows in cuts.items():
        values = target.values[rows]
        if name.startswith("fold") and values.min() == values.max():
            number, part = name.removeprefix("fold").split("_")
            does = "trains on" if part == "train" else "validates"
            shown = repr(target.classes[int(values[0])]) if target.classes else f"{values[0]:g}"
            found.append((f"fold {int(number) + 1} {does}", shown))
    return found


def _values_sha256(
    schema: Schema,
    features: Features,
    target: Target,
    units: Rows,
    weights: NDArray[np.float64] | None,
) -> str:
    """Of what a model learns from, however the file writes it."""
    names = [[column.name, column.kind, *column.categories] for column in schema.columns]
    words = json.dumps([names, target.name, target.task, target.classes]).encode()
    return _sha256(
        [
            *(np.frombuffer(words, np.uint8), features.numbers, features.codes, target.values),
            *([units] if weights is None else [units, weights]),
        ]
    )


def _sha256(arrays: list[NDArray[Any]]) -> str:
    return hashlib.sha256(
        b"".join(hashlib.sha256(a.tobytes()).digest() for a in arrays)
    ).hexdigest()
