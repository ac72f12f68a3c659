"""From a file to the arrays of a study: target, task, columns, hold-out and folds."""

import difflib
import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.base.data_text import fingerprint
from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.columns import Typed, features_of, list_names, number_of, type_of
from journal_launcher.tabular.data.data_checks import check_data
from journal_launcher.tabular.data.equal_rows import are_copies, count_repeats, equal_rows
from journal_launcher.tabular.data.frames import TableFile
from journal_launcher.tabular.data.readers import content_sha256, read_bundled, read_file
from journal_launcher.tabular.data.source import TableSource
from journal_launcher.tabular.data.splits import check_size, hold_out, make_folds
from journal_launcher.tabular.data.table import Features, Rows, Schema

__all__ = ["Parsed", "parse"]

_AUTO_CLASSES = 20
"""Whole numbers with at most this many distinct values are classes, if the task is auto."""
_MOSTLY = 0.9
"""A text column in which more rows than this share are numbers probably has a slip in it."""

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

_Columns = dict[str, Typed]


@dataclass(frozen=True)
class Parsed:
    """What is kept of a table. arrays: by file name; facts: JSON, what `prepare` reports."""

    schema: Schema
    arrays: dict[str, NDArray[Any]]
    facts: dict[str, Any]


@dataclass(frozen=True)
class _Target:
    """values: float64, of the rows that have one; for classification positions in `classes`."""

    name: str
    task: str
    values: NDArray[np.float64]
    classes: tuple[str, ...] = ()


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

    Rows without a target are left out. The column of --group-column is no feature, that of
    --time-column is one.

    Raises:
        UsageError: bad data, or options that do not fit them; says where.
    """
    table, target_name, sha256 = _read(source)
    frame = table.frame
    columns = {str(name): type_of(str(name), frame[name]) for name in frame.columns}
    file, notes = table.format, list(table.notes)
    del table, frame  # the typed columns are a copy: one is enough
    keys = _split_keys(source, target_name, columns)
    whole_target = columns.pop(target_name)
    target = _target(source.task, target_name, whole_target)
    rows = np.flatnonzero(~whole_target.missing)
    if len(rows) < len(whole_target.values):
        notes += _note_rows(len(whole_target.values) - len(rows), "without a target", "left out")
        columns = {name: column.take(rows) for name, column in columns.items()}
    if source.group_column is not None:
        del columns[source.group_column]
    notes += _drop_useless(columns, target_name)
    notes += _doubts(columns, source.time_column)
    schema, features = _features(columns, target)
    kind = _split_kind(source.split, target.task)
    units = _units(source, features, target, None if keys is None else keys[rows])
    notes += units.notes
    cuts = _cut(kind, source, target, units.rows)
    facts: dict[str, Any] = {
        **{"data_sha256": sha256, "file": asdict(file), "target": target_name, "task": target.task},
        "split": {
            **{"kind": kind, "k_folds": source.k_folds, "test_size": source.test_size},
            **{"group_column": source.group_column, "time_column": source.time_column},
            **({"equal_rows": units.equal_rows} if units.equal_rows else {}),
        },
        **{"n_rows": len(rows), "n_train": len(cuts["train"]), "n_holdout": len(cuts["holdout"])},
        **{"n_features": len(schema.columns), "classes": list(target.classes)},
        **{"schema_sha256": schema.sha256, "duplicates": units.duplicates, "notes": notes},
        **{
            "folds_sha256": _sha256([*cuts.values(), units.rows]),
            "constant": _constant(cuts, target),
        },
        "doubts": check_data(schema, features, target.values, cuts["train"], cuts["holdout"]),
    }
    arrays = {**cuts, "numbers": features.numbers, "codes": features.codes}
    return Parsed(schema, {**arrays, "target": target.values, "units": units.rows}, facts)


def _read(source: TableSource) -> tuple[TableFile, str, str]:
    """(table, name of the target column, sha256 of the content)."""
    location = source.location
    if location.startswith("sklearn:"):
        frame, target = read_bundled(location.removeprefix("sklearn:"))
        return TableFile(frame), target, content_sha256(frame)
    table, sha256 = read_file(location), fingerprint(location)
    default = "y" if location.lower().endswith(".npz") else None
    names = [str(name) for name in table.frame.columns]
    wanted = source.target or default
    if wanted is None:
        raise UsageError(f"needs --target COLUMN, one of {_listed(names)}")
    return table, _existing("--target", wanted, names), sha256


def _existing(flag: str, name: str, names: Iterable[str]) -> str:
    names = list(names)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {_listed(names)}"
    raise UsageError(f"{flag} {name}: no such column; {hint}")


def _listed(names: list[str]) -> str:
    # Without a header, what stands for a name may be a whole text.
    shown = [name if len(name) <= 60 else f"{name[:59]}…" for name in names[:20]]
    return ", ".join(shown) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _split_keys(source: TableSource, target: str, columns: _Columns) -> NDArray[Any] | None:
    """(rows,) what --group-column or --time-column holds: groups, or moments in order."""
    name = source.group_column or source.time_column
    if name is None:
        return None
    flag = "--group-column" if source.group_column else "--time-column"
    column = columns[_existing(flag, name, columns)]
    if name == target:
        raise UsageError(f"{flag} {name}: is the target; name another column")
    if column.missing.any():
        row = int(np.argmax(column.missing)) + 1
        raise UsageError(f"{flag} {name}: expected a value in every row, row {row} has none")
    if source.time_column and column.kind not in ("number", "date"):
        raise UsageError(
            f"{flag} {name}: expected numbers or dates such as 2024-01-31, found "
            f"{column.labels[0] if column.labels else 'true or false'!r}"
        )
    return column.values


def _target(asked: str, name: str, column: Typed) -> _Target:
    present = column.values[~column.missing]
    distinct = np.unique(present)
    if len(distinct) < 2:
        raise UsageError(
            f"target {name!r}: expected different values, found "
            f"{'the same in every row' if len(distinct) else 'none'}"
        )
    if column.kind == "date":
        raise UsageError(f"target {name!r}: expected numbers or classes, found dates")
    whole = column.kind == "number" and bool((distinct == np.floor(distinct)).all())
    classes = column.kind in ("category", "boolean") or (whole and len(distinct) <= _AUTO_CLASSES)
    task = ("classification" if classes else "regression") if asked == "auto" else asked
    slip = _slip(column) if asked == "auto" else None
    if column.kind == "category" and (slip or task == "regression"):
        row, text = slip or _first_text(column)
        raise UsageError(
            f"row {row}, target {name!r}: expected a number, found {text!r}; if these are classes, "
            "give --task classification"
        )
    if task == "regression":
        return _Target(name, task, present)
    if column.kind == "category":
        described, codes = Typed("category", present, column.labels).as_column(name)
        return _Target(name, task, codes.astype(np.float64), described.categories)
    if column.kind == "number" and not whole:
        odd = float(distinct[distinct != np.floor(distinct)][0])
        raise UsageError(
            f"target {name!r}: --task classification needs text or whole numbers, found {odd}"
        )
    labels = ("False", "True") if column.kind == "boolean" else tuple(f"{v:.0f}" for v in distinct)
    return _Target(name, task, np.searchsorted(distinct, present).astype(np.float64), labels)


def _slip(column: Typed) -> tuple[int, str] | None:
    """(row, text) of the first text in a column of numbers, if that is what this one is."""
    if column.kind != "category":
        return None
    numbers = np.array([number_of(label) is not None for label in column.labels] + [False])
    is_number = numbers[column.values]
    if np.count_nonzero(is_number) <= _MOSTLY * np.count_nonzero(~column.missing):
        return None
    row = int(np.argmax(~is_number & ~column.missing))
    return row + 1, column.labels[column.values[row]]


def _first_text(column: Typed) -> tuple[int, str]:
    places = [place for place, label in enumerate(column.labels) if number_of(label) is None]
    row = int(np.argmax(column.values == places[0]))
    return row + 1, column.labels[places[0]]


def _drop_useless(columns: _Columns, target: str) -> list[str]:
    """Remove the columns that carry nothing, and say which.

    Whether a column is constant, a copy, or text that never repeats is the file's structure:
    held-out rows are looked at too, but none of their values reaches a model by it.
    """
    reasons: dict[str, list[str]] = {}
    seen: set[tuple[Any, ...]] = set()
    for name, column in columns.items():
        known = column.values[~column.missing]
        content = hashlib.sha256(column.values.tobytes()).digest()
        alike = (column.kind, column.labels, content)
        if not name:
            why = "without a name, as an index has none"
        elif not len(known) or (len(known) == len(column.values) and (known == known[0]).all()):
            why = "constant"
        elif alike in seen:
            why = "copies of another column"
        elif column.kind == "category" and 1 < len(known) == len(np.unique(known)):
            why = "text that never repeats, as in an id"
        else:
            seen.add(alike)
            continue
        reasons.setdefault(why, []).append(name)
    for name in itertools.chain(*reasons.values()):
        del columns[name]
    if not columns:
        raise UsageError(f"expected a useful column beside the target {target!r}, found none")
    return [f"columns left out, {why}: {list_names(names)}" for why, names in reasons.items()]


def _doubts(columns: _Columns, time_column: str | None) -> list[str]:
    """Notes on columns that are kept and may be mistakes."""
    notes = []
    for name, column in columns.items():
        slip = _slip(column)
        if slip:
            notes.append(
                f"column {name!r} is read as categories: nearly all of it is numbers, but row "
                f"{slip[0]} holds {slip[1]!r}"
            )
        counts_rows = column.kind == "number" and bool((np.diff(column.values) == 1).all())
        if counts_rows and name != time_column:
            notes.append(f"column {name!r} counts the rows; remove it if it is only a number")
    return notes


def _features(columns: _Columns, target: _Target) -> tuple[Schema, Features]:
    described = {name: column.as_column(name) for name, column in columns.items()}
    order = tuple(column for column, _ in described.values())
    schema = Schema(order, target.name, target.task, target.classes)
    arrays = {name: values for name, (_, values) in described.items()}
    return schema, features_of(schema, arrays, len(target.values))


def _split_kind(asked: str, task: str) -> str:
    if asked == "auto":
        return "stratified" if task == "classification" else "kfold"
    if asked == "stratified" and task == "regression":
        raise UsageError("--split stratified needs classes, this is a regression; use kfold")
    return asked


def _units(
    source: TableSource, features: Features, target: _Target, keys: NDArray[Any] | None
) -> _Units:
    columns = features.columns
    if keys is not None:
        count = count_repeats(equal_rows([*columns, target.values]))
        notes = _note_rows(count, "equal to an earlier row", "splits may separate them")
        return _Units(
            np.unique(keys, return_inverse=True)[1].ravel().astype(np.int64), count, notes
        )
    equal = equal_rows(columns)
    copies = are_copies(columns, equal)
    units = equal if copies else np.arange(len(equal))
    if source.target_in_units:
        former = equal_rows([*columns, target.values])
        count = count_repeats(former)
        notes = _note_rows(count, "equal to an earlier row", "kept together in every split")
        return _Units(former, count, notes + ([] if np.array_equal(former, units) else [_FORMER]))
    count = count_repeats(equal)
    notes = _note_rows(count, "with the features of an earlier one", _COPIES if copies else _CHANCE)
    return _Units(units, count, notes, "together" if copies else "apart")


def _cut(kind: str, source: TableSource, target: _Target, units: Rows) -> dict[str, NDArray[Any]]:
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


def _constant(cuts: dict[str, NDArray[Any]], target: _Target) -> list[tuple[str, str]]:
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


def _sha256(arrays: list[NDArray[Any]]) -> str:
    return hashlib.sha256(
        b"".join(hashlib.sha256(a.tobytes()).digest() for a in arrays)
    ).hexdigest()


def _note_rows(count: int, which: str, what: str) -> list[str]:
    return [f"{count:,} row{'s' if count > 1 else ''} {which}: {what}"] if count else []
