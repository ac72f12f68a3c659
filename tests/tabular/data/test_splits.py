"""Which rows train, validate and are held out."""

import numpy as np
import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.splits import check_size, hold_out, make_folds

KINDS = ("kfold", "stratified", "group", "time")


def table(rows: int = 200, units: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """(target with three classes, unit of each row); equal units have equal targets."""
    rng = np.random.default_rng(7)
    unit = rng.integers(0, units, rows)
    return (unit % 3).astype(np.float64), unit


@pytest.mark.parametrize("kind", KINDS)
def test_hold_out_and_folds_share_no_unit(kind: str) -> None:
    target, units = table()
    train, holdout = hold_out(kind, 0.25, target, units, seed=1)
    assert np.array_equal(np.sort(np.r_[train, holdout]), np.arange(200))
    assert not set(units[train]) & set(units[holdout])
    assert len(holdout) > 20
    folds = make_folds(kind, 4, target, units, train, seed=1)
    assert len(folds) == 4
    for fold in folds:
        assert not set(units[fold.train]) & set(units[fold.valid])
        assert set(np.r_[fold.train, fold.valid]) <= set(train)
        assert (np.diff(fold.train) > 0).all() and (np.diff(fold.valid) > 0).all()


@pytest.mark.parametrize("kind", ["kfold", "stratified", "group"])
def test_every_training_row_is_validated_once(kind: str) -> None:
    target, units = table()
    rows = np.arange(0, 200, 2)
    folds = make_folds(kind, 5, target, units, rows, seed=0)
    assert np.array_equal(np.sort(np.concatenate([fold.valid for fold in folds])), rows)
    for fold in folds:
        assert np.array_equal(np.sort(np.r_[fold.train, fold.valid]), rows)


@pytest.mark.parametrize("kind", ["kfold", "stratified", "group"])
def test_the_seed_alone_decides(kind: str) -> None:
    target, units = table()
    rows = np.arange(200)
    valid = [
        [fold.valid.tolist() for fold in make_folds(kind, 3, target, units, rows, seed)]
        for seed in (0, 0, 1)
    ]
    assert valid[0] == valid[1]
    assert valid[0] != valid[2]


def test_stratified_keeps_the_share_of_each_class() -> None:
    target = np.repeat([0.0, 1.0], [900, 100])
    units = np.arange(1000)
    train, holdout = hold_out("stratified", 0.2, target, units, seed=0)
    assert target[holdout].sum() == 20
    for fold in make_folds("stratified", 5, target, units, train, seed=0):
        assert target[fold.valid].sum() == 16


def test_only_stratified_reads_the_target() -> None:
    target, units = table()
    scrambled = np.random.default_rng(0).permutation(target)
    for kind in ("kfold", "group", "time"):
        first = (
            hold_out(kind, 0.2, target, units, 0),
            make_folds(kind, 3, target, units, np.arange(200), 0),
        )
        second = (
            hold_out(kind, 0.2, scrambled, units, 0),
            make_folds(kind, 3, scrambled, units, np.arange(200), 0),
        )
        assert repr(first) == repr(second)


def test_time_never_trains_on_the_future() -> None:
    target, moments = table()
    train, holdout = hold_out("time", 0.2, target, moments, seed=0)
    assert moments[train].max() < moments[holdout].min()
    assert 40 <= len(holdout) < 40 + np.bincount(moments).max()
    for fold in make_folds("time", 4, target, moments, train, seed=0):
        assert moments[fold.train].max() < moments[fold.valid].min()


def test_nothing_is_held_out_at_zero() -> None:
    target, units = table()
    for kind in KINDS:
        train, holdout = hold_out(kind, 0, target, units, seed=0)
        assert train.tolist() == list(range(200)) and holdout.tolist() == []


@pytest.mark.parametrize("kind", ["kfold", "stratified"])
def test_where_every_row_is_a_unit_the_cuts_are_those_of_scikit_learn(kind: str) -> None:
    from sklearn import model_selection

    stratified = kind == "stratified"
    shuffled = (
        model_selection.StratifiedShuffleSplit if stratified else model_selection.ShuffleSplit
    )
    folded = model_selection.StratifiedKFold if stratified else model_selection.KFold
    target = np.random.default_rng(0).integers(0, 3, 101).astype(np.float64)
    train, out = next(shuffled(1, test_size=0.2, random_state=3).split(target, target))
    found = hold_out(kind, 0.2, target, np.arange(101), seed=3)
    assert [rows.tolist() for rows in found] == [sorted(train), sorted(out)]
    cuts = folded(5, shuffle=True, random_state=3).split(found[0], target[found[0]])
    folds = make_folds(kind, 5, target, np.arange(101), found[0], seed=3)
    for fold, (train, valid) in zip(folds, cuts, strict=True):
        assert fold.train.tolist() == found[0][train].tolist()
        assert fold.valid.tolist() == found[0][valid].tolist()


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
def test_copies_that_disagree_stay_together_and_are_stratified(share: float) -> None:
    """Also where every unit has both classes, and a single one is of the common one alone."""
    rng = np.random.default_rng(0)
    unit = np.r_[np.arange(500), np.arange(500)]
    target = (rng.random(500) < 0.1).astype(np.float64)[unit]
    common = np.flatnonzero(target[:500] == 0)[0]
    flipped = np.flatnonzero((rng.random(500) < share) & (np.arange(500) != common)) + 500
    target[flipped] = 1 - target[flipped]
    train, out = hold_out("stratified", 0.2, target, unit, seed=0)
    folds = make_folds("stratified", 5, target, unit, train, seed=0)
    for one, other in [(train, out), *((fold.train, fold.valid) for fold in folds)]:
        assert not set(unit[one]) & set(unit[other])
        assert target[other].mean() == pytest.approx(target.mean(), rel=0.25)
        assert abs(len(other) - (len(one) + len(other)) / 5) < 3


def test_too_little_is_refused_by_name() -> None:
    rows = np.arange(12)
    with pytest.raises(UsageError, match=r"--k-folds 7 needs 14 rows to train on, found 12"):
        check_size("kfold", 7, np.zeros(12), rows, rows, ())
    with pytest.raises(UsageError, match="needs 3 groups to train on, found 2"):
        check_size("group", 3, np.zeros(12), rows % 2, rows, ())
    with pytest.raises(UsageError, match="needs 4 different times to train on, found 3"):
        check_size("time", 3, np.zeros(12), rows % 3, rows, ())
    target = np.array([0.0] * 9 + [1.0] * 3)
    with pytest.raises(UsageError, match=r"needs 4 rows of every class .* 3 of 'rare'"):
        check_size("stratified", 4, target, rows, rows, ("common", "rare"))
    check_size("stratified", 3, target, rows, rows, ("common", "rare"))
    with pytest.raises(UsageError, match=r"needs 3 different rows of every class .* 2 of 'rare'"):
        check_size("stratified", 3, target, np.minimum(rows, 10), rows, ("common", "rare"))
    with pytest.raises(UsageError, match=r"3 of '7'; .*if these are amounts.* --task regression"):
        check_size("stratified", 4, target, rows, rows, ("-2", "7"))


def test_a_share_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--test-size 0\.99"):
        hold_out("kfold", 0.99, np.zeros(10), np.arange(10), seed=0)
    with pytest.raises(UsageError, match=r"--test-size 0\.01 does not fit"):
        hold_out("stratified", 0.01, np.arange(20.0) % 4, np.arange(20), seed=0)
