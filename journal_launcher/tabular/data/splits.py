"""Which rows train, validate and are held out: scikit-learn's splitters, over units of rows.

A unit is what must stay on one side of every cut: a row or its copies (kfold, stratified), a group,
or a moment (time). Units are cut, their rows follow; hold-out and folds obey the same rule. Where
every row is a unit, the cuts are scikit-learn's own.
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
from journal_launcher.tabular.data.dataset import Fold, Rows

__all__ = ["check_size", "hold_out", "make_folds"]

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
        cut = splitter(n_splits=1, test_size=share, random_state=seed)
        train, out = next(cut.split(first, _strata(kind, target, first, place, 2)))
    except ValueError as problem:
        raise UsageError(f"--test-size {share:g} does not fit the data: {problem}") from None
    return np.flatnonzero(np.isin(place, train)), np.flatnonzero(np.isin(place, out))


def make_folds(
    kind: str, k: int, target: NDArray[np.float64], units: Rows, rows: Rows, seed: int
) -> list[Fold]:
    """Cut `rows` into k folds; the same arguments give the same folds.

    kind: kfold, stratified, group or time; time trains on what came before (expanding windows over
    the different times, so the earliest rows are never validated).
    target: (all rows,) read by stratified only, to keep the share of each class. A unit whose rows
    have several counts as the rarest of them.
    units: (all rows,) rows with equal numbers stay together; by time, larger numbers are later.
    """
    first, place = _compact(units[rows])
    strata = _strata(kind, target[rows], first, place, k)
    splitter: Any
    if kind == "time":
        splitter = TimeSeriesSplit(n_splits=k)
    else:
        cutter = StratifiedKFold if kind == "stratified" else KFold
        splitter = cutter(n_splits=k, shuffle=True, random_state=seed)
    return [
        Fold(rows[np.isin(place, train)], rows[np.isin(place, valid)])
        for train, valid in splitter.split(first, strata)
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
    first, place = _compact(units[rows])
    what = "rows" if len(first) == len(rows) else "different rows"
    needed = {"group": k, "time": k + 1}.get(kind, 2 * k)
    if len(first) < needed:
        raise UsageError(
            f"--k-folds {k} needs {needed} {_WORDS.get(kind, what)} to train on, found "
            f"{len(first)}; use fewer folds or a smaller --test-size"
        )
    if kind == "stratified":
        of_units = np.unique(np.stack([place, target[rows].astype(np.int64)]), axis=1)
        counts = np.bincount(of_units[1], minlength=len(classes))
        if counts.min() < k:
            numbers = all(label.lstrip("-").isdigit() for label in classes)
            raise UsageError(
                f"--k-folds {k} needs {k} {what} of every class to train on, found "
                f"{counts.min()} of {classes[counts.argmin()]!r}; use fewer folds or leave the "
                f"class out{'; if these are amounts, give --task regression' if numbers else ''}"
            )


def _strata(
    kind: str, target: NDArray[np.float64], first: Rows, place: Rows, least: int
) -> NDArray[np.float64]:
    """(units,) what is shared out evenly: the class of the unit's rows.

    Of copies that disagree, the rarest one; classes that then have fewer than `least` units join
    the largest. (StratifiedGroupKFold would take a minute for 50,000 units.)
    """
    strata = target[first]
    if kind != "stratified" or np.array_equal(strata[place], target):
        return strata
    classes = target.astype(np.int64)
    rarest_first = np.lexsort((np.bincount(classes)[classes], place))
    found = classes[rarest_first][np.unique(place[rarest_first], return_index=True)[1]]
    sizes = np.bincount(found)
    found[sizes[found] < least] = sizes.argmax()
    return found.astype(np.float64)


def _compact(units: Rows) -> tuple[Rows, Rows]:
    """(position of one row of each unit, each row's position in that list)."""
    _, first, place = np.unique(units, return_index=True, return_inverse=True)
    return first, place.ravel()
