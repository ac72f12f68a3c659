"""What may be wrong with a table, said before a long night.

All rows are looked at, the target too: nothing found here reaches a model, only the user.
"""

import numpy as np
from numpy.typing import NDArray

from journal_launcher.tabular.data.dataset import Features, Rows, Schema
from journal_launcher.tabular.data.equal_rows import are_copies, equal_rows, exact

__all__ = ["check_data"]

_SAME = 0.9999
"""A number column whose correlation with the target is beyond this is the target."""
_EVIDENCE = 10
"""Fewer rows with a value prove nothing about a column."""
_ONE_VALUE, _NARROW = 0.999, 1e-6
"""Almost no variance: this share of rows has one value, or the spread is so small a share of it."""
_DIGITS = 6

Floats = NDArray[np.float64]


def check_data(
    schema: Schema, features: Features, target: Floats, train: Rows, holdout: Rows
) -> list[str]:
    """A line for each thing that makes a score worthless or too good; sound tables have none."""
    notes = _leaks(schema, features, target) + _narrow(schema, target)
    if len(schema.columns) > len(train):
        notes.append(
            f"{len(schema.columns)} features and {len(train)} rows to train on: chance alone can "
            "fit so few rows"
        )
    return notes + _across(features, target, train, holdout)


def _leaks(schema: Schema, features: Features, target: Floats) -> list[str]:
    order = np.argsort(target, kind="stable")
    ordered = target[order]
    classes = schema.task == "classification"
    notes = []
    for column, values in zip(schema.numbers, features.numbers.T, strict=True):
        known = ~np.isnan(values)
        if classes:
            found = _stands_for(values[order], known[order], ordered)
            why = "each of its values stands for one class" if found else ""
        else:
            same = abs(_correlation(values[known], target[known]))
            why = f"their correlation is {same:.6f}" if same > _SAME else ""
        notes += [(column.name, why)] if why else []
    for column, codes in zip(schema.categories, features.codes.T, strict=True):
        if _stands_for(codes[order], codes[order] >= 0, ordered):
            each = "class" if classes else "value of the target"
            notes.append((column.name, f"each of its values stands for one {each}"))
    return [
        f"column {name!r} is the target: {why}; leave it out of the table unless it is known "
        "before the target is"
        for name, why in notes
    ]


def _correlation(values: Floats, target: Floats) -> float:
    """Pearson's; 0 where it is undefined."""
    if len(values) < _EVIDENCE:
        return 0.0
    scale = float(values.std() * target.std())
    # Not by a product of BLAS, whose threads wait for each other on a busy machine.
    shared = float(np.mean((values - values.mean()) * (target - target.mean())))
    return shared / scale if scale > 0 else 0.0


def _stands_for(values: NDArray[np.generic], known: NDArray[np.bool_], ordered: Floats) -> bool:
    """Whether values and targets, in the order of the target, correspond one to one."""
    values, target = values[known], ordered[known]
    if len(values) < _EVIDENCE:
        return False
    starts = np.flatnonzero(np.concatenate([[True], target[1:] != target[:-1]]))
    if len(starts) < 2 or len(starts) == len(target):
        return False
    same: NDArray[np.bool_] = values[1:] == values[:-1]
    inside = np.ones(len(same), dtype=bool)
    inside[starts[1:] - 1] = False
    return bool(same[inside].all()) and len(np.unique(values[starts])) == len(starts)


def _narrow(schema: Schema, target: Floats) -> list[str]:
    values, counts = np.unique(target, return_counts=True)
    share = counts.max() / len(target)
    what = f"target {schema.target!r} has almost no variance"
    if share > _ONE_VALUE:
        common = values[counts.argmax()]
        shown = repr(schema.classes[int(common)]) if schema.classes else f"{common:g}"
        return [f"{what}: {share:.2%} of its rows hold {shown}"]
    spread, size = float(target.std()), float(np.abs(target).max())
    if not schema.classes and spread < _NARROW * size:
        return [f"{what}: its standard deviation is {spread:g}, its values are near {size:g}"]
    return []


def _across(features: Features, target: Floats, train: Rows, holdout: Rows) -> list[str]:
    """Copies that were not exact, and so not kept together; repeats by chance are no leak."""
    if not len(holdout):
        return []
    columns = features.columns
    units = equal_rows([*columns, target], _rounded)
    found = int(np.count_nonzero(np.isin(units[holdout], units[train])))
    if not found or not are_copies(columns, equal_rows(columns, _rounded), _rounded):
        return []
    rows = f"{found:,} held-out rows equal" if found > 1 else "1 held-out row equals"
    return [f"{rows} training rows to {_DIGITS} digits: the hold-out score may be too good"]


def _rounded(values: NDArray[np.generic]) -> Floats:
    """To so many significant digits."""
    values = values.astype(np.float64)
    size = np.abs(values)
    size[~(size > 1e-290)] = 1.0
    scale = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(size)))
    return exact(np.round(values * scale) / scale)
