"""Which rows train, validate and are held out: scikit-learn's splitters, over units of rows.

A unit is what must stay on one side of every cut: equal rows (kfold, stratified), a group, or a
moment (time). Units are cut, their rows follow; hold-out and folds obey the same rule.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import (
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
)

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.table import Features, Fold, Rows

__all__ = ["check_size", "equal_rows", "hold_out", "make_folds"]

_WORDS = {"group": "groups", "time": "different times"}


def hold_out(
    kind: str, share: float, target: NDArray[np.float64], units: Rows, seed: int
) -> tuple[Rows, Rows]:
    """(rows to train on, rows held out), sorted positions; `share` 0 holds nothing out.

    target, units: (rows,), see `make_folds`. By time, the latest rows are held out, and with the
    first of them all rows of the same time.

    Raises:
        UsageError: too few units for a share of them.
    """
    rows = np.arange(len(units))
    if share == 0:
        return rows, rows[:0]
    first, place = _compact(units)
    if kind == "time":
        latest = units >= np.sort(units)[-math.ceil(len(rows) * share)]
        return rows[~latest], rows[latest]
    splitter = StratifiedShuffleSplit if kind == "stratified" else ShuffleSplit
    try:
        cut = splitter(n_splits=1, test_size=share, random_state=seed).split(first, target[first])
        train, out = next(cut)
    except ValueError as problem:
        raise UsageError(f"--test-size {share:g} does not fit the data: {problem}") from None
    return np.flatnonzero(np.isin(place, train)), np.flatnonzero(np.isin(place, out))


def make_folds(
    kind: str, k: int, target: NDArray[np.float64], units: Rows, rows: Rows, seed: int
) -> list[Fold]:
    """Cut `rows` into k folds; the same arguments give the same folds.

    kind: kfold, stratified, group or time; time trains on what came before (expanding windows over
    the different times, so the earliest rows are never validated).
    target: (all rows,) read by stratified only, to keep the share of each class.
    units: (all rows,) rows with equal numbers stay together; by time, larger numbers are later.
    """
    first, place = _compact(units[rows])
    splitter: Any
    if kind == "time":
        splitter = TimeSeriesSplit(n_splits=k)
    else:
        cutter = StratifiedKFold if kind == "stratified" else KFold
        splitter = cutter(n_splits=k, shuffle=True, random_state=seed)
    return [
        Fold(rows[np.isin(place, train)], rows[np.isin(place, valid)])
        for train, valid in splitter.split(first, target[rows][first])
    ]


def check_size(
    kind: str,
    k: int,
    target: NDArray[np.float64],
    units: Rows,
    rows: Rows,
    classes: tuple[str, ...],
) -> None:
    """Raise UsageError unless `rows` suffice for k folds; classes: labels of a class target."""
    first, _ = _compact(units[rows])
    needed = {"group": k, "time": k + 1}.get(kind, 2 * k)
    if len(first) < needed:
        raise UsageError(
            f"--k-folds {k} needs {needed} {_WORDS.get(kind, 'different rows')} to train on, found "
            f"{len(first)}; use fewer folds or a smaller --test-size"
        )
    if kind == "stratified":
        counts = np.bincount(target[rows][first].astype(np.int64), minlength=len(classes))
        if counts.min() < k:
            raise UsageError(
                f"--k-folds {k} needs {k} different rows of every class to train on, found "
                f"{counts.min()} of {classes[counts.argmin()]!r}; use fewer folds or leave the "
                "class out"
            )


def equal_rows(features: Features, target: NDArray[np.float64]) -> Rows:
    """(rows,) unit of each row: rows equal in all features and the target share one."""
    # Adding 0 turns -0.0 into 0.0, and every NaN gets the same bits: equality is that of bytes.
    table = np.hstack([features.numbers + 0.0, features.codes, target[:, None]])
    table[np.isnan(table)] = np.nan
    as_bytes = table.view(np.dtype((np.void, table.itemsize * table.shape[1]))).ravel()
    _, first, place = np.unique(as_bytes, return_index=True, return_inverse=True)
    # A unit is named by its first row, so without equal rows units are the rows, in order.
    units: Rows = first[place.ravel()]
    return units


def _compact(units: Rows) -> tuple[Rows, Rows]:
    """(position of one row of each unit, each row's position in that list)."""
    _, first, place = np.unique(units, return_index=True, return_inverse=True)
    return first, place.ravel()
