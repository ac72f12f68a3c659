"""What TPE is shown of a long study, and that a short one is left as it is."""

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers._tpe.sampler import _split_trials
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from studies import draw, in_journal

from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.optuna_private import study_id, trial_id
from journal_launcher.worker.history import History, _Best
from journal_launcher.worker.sampling import make_sampler
from journal_launcher.worker.trials import WorkerStudy

UNIT: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1)}
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def with_directions(folder: Path, *directions: str) -> WorkerStudy:
    storage = open_storage(folder / "study.log", create=True)
    storage.create_new_study([StudyDirection[each.upper()] for each in directions], "study")
    return WorkerStudy("study", storage)


def seen_by(study: WorkerStudy, limit: int) -> History:
    storage = study._storage
    return History(study, storage, limit)  # type: ignore[arg-type]


def shown(history: History, study: WorkerStudy, *names: str) -> list[FrozenTrial]:
    return history.shown(study, names or ("x",)).get_trials(deepcopy=False, states=FINISHED)


def together(study: WorkerStudy) -> AbstractContextManager[None]:
    storage: Any = study._storage
    return storage.together()


def numbers(trials: Sequence[FrozenTrial]) -> list[int]:
    return [trial.number for trial in trials]


def add(study: WorkerStudy, *values: float, **more: Any) -> None:
    more = {"params": {"x": 0.5}, "distributions": UNIT, **more}
    study.add_trial(optuna.create_trial(values=list(values) or None, **more))


def run(study: WorkerStudy, n_trials: int, history: History | None) -> list[dict[str, Any]]:
    """Trials as a worker runs them, one sampler each; what they drew."""
    drawn = []
    for _ in range(n_trials):
        number = len(study.get_trials(deepcopy=False))
        study.sampler = make_sampler("tpe", 7, number, history)
        trial = study.ask()
        drawn.append(dict(draw(trial)))
        study.tell(trial, float(trial.params["x"]))
    return drawn


def test_up_to_the_limit_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, bound = in_journal(tmp_path / "a"), in_journal(tmp_path / "b")
    drawn = run(whole, 70, None)
    found = run(bound, 70, seen_by(bound, 60))
    assert found[:61] == drawn[:61]
    assert found != drawn


def test_beyond_it_a_worker_that_begins_anew_draws_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = in_journal(tmp_path / "a")
    drawn = run(one, 90, seen_by(one, 60))
    assert len({str(params) for params in drawn}) == 90
    two = in_journal(tmp_path / "b")
    assert run(two, 75, seen_by(two, 60)) == drawn[:75]
    two = WorkerStudy("study", open_storage(tmp_path / "b" / "study.log"))
    assert run(two, 15, seen_by(two, 60)) == drawn[75:]


@pytest.mark.parametrize("n_trials", [150, 400, 1000])
def test_the_best_the_latest_and_an_even_choice_are_shown(tmp_path: Path, n_trials: int) -> None:
    study = in_journal(tmp_path)
    best = set(range(3, 78, 3))
    with together(study):
        for number in range(n_trials):
            add(study, 0.0 if number in best else 1.0)
    found = numbers(shown(seen_by(study, 125), study))
    assert best <= set(found) and found[-25:] == list(range(n_trials - 25, n_trials))
    assert 100 <= len(found) <= 125
    chosen = [number for number in found if number not in best]
    gaps = [later - number for number, later in pairwise([0, *chosen])]
    assert max(gaps[26:] or [0]) <= 3 * n_trials / 75 + 1, "none of the middle is left out"


def any_trial(chance: random.Random) -> dict[str, Any]:
    """One of few values, so that many are equal."""
    system = {"constraints": [float(chance.randint(-2, 1))]} if chance.random() < 0.4 else {}
    if chance.random() < 0.5:
        return {"values": [float(chance.randint(0, 6))], "system_attrs": system}
    steps = {step: chance.choice([0.0, 1.0, float("nan")]) for step in range(chance.randint(0, 3))}
    return {"state": TrialState.PRUNED, "intermediate_values": steps, "system_attrs": system}


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("seed", range(6))
def test_what_optuna_calls_the_best_is_always_shown(
    tmp_path: Path, direction: str, seed: int
) -> None:
    study = with_directions(tmp_path, direction)
    chance = random.Random(seed)
    few = seed % 2  # COMPLETE and feasible ones are fewer than the best tenth
    with together(study):
        for _ in range(300):
            kwargs = any_trial(chance)
            if few and "values" in kwargs and chance.random() < 0.9:
                kwargs["system_attrs"] = {"constraints": [chance.choice([1.0, 2.0])]}
            add(study, *kwargs.pop("values", ()), **kwargs)
    trials = study.get_trials(deepcopy=False)
    expected, _ = _split_trials(study, trials, 25)
    found, _ = _split_trials(study, shown(seen_by(study, 250), study), 25)
    assert numbers(found) == numbers(expected)


@pytest.mark.parametrize("directions", [("minimize",), ("minimize", "maximize")])
def test_what_is_shown_does_not_depend_on_when_it_was_looked_at(
    tmp_path: Path, directions: tuple[str, ...]
) -> None:
    """Trials end in another order than they began."""
    study = with_directions(tmp_path, *directions)
    chance = random.Random(3)
    history = seen_by(study, 60)
    open_trials: list[optuna.Trial] = []
    for _ in range(110):
        open_trials.append(study.ask(UNIT))
        if len(open_trials) > 6:
            trial = open_trials.pop(chance.randrange(len(open_trials)))
            study.tell(trial, [float(chance.randint(0, 9)) for _ in directions])
            at_once = seen_by(study, 60)
            assert numbers(shown(history, study)) == numbers(shown(at_once, study))
    assert history.is_long() and len(shown(history, study)) <= 60


def best_of(study: WorkerStudy, most: int) -> list[int]:
    best = _Best(study.directions, most)
    for trial in study.get_trials(deepcopy=False, states=FINISHED):
        best.take(trial)
    return numbers(list(best))


def test_of_several_objectives_the_best_are_the_pareto_front(tmp_path: Path) -> None:
    study = with_directions(tmp_path, "minimize", "maximize")
    for place in range(5):
        add(study, float(place), float(place))
    add(study, 2.0, 2.0)  # of equal ones the first
    add(study, -1.0, 9.0, system_attrs={"constraints": [1.0]})
    for _ in range(80):
        add(study, 9.0, -1.0)
    assert best_of(study, 10) == [0, 1, 2, 3, 4, 6]
    assert best_of(study, 3) == [2, 3, 4], "of a large front the latest"
    history = seen_by(study, 60)
    assert {0, 1, 2, 3, 4, 6} <= set(numbers(shown(history, study)))
    study.sampler = make_sampler("tpe", 0, 87, history)
    assert 0 <= study.ask(UNIT).params["x"] <= 1


def test_of_a_rare_parameter_those_that_have_it_are_shown(tmp_path: Path) -> None:
    study = in_journal(tmp_path)
    with together(study):
        for number in range(400):
            ranges = {**UNIT, "rare": UNIT["x"]} if number in (130, 251) else UNIT
            add(study, 1.0, params=dict.fromkeys(ranges, 0.5), distributions=ranges)
    history = seen_by(study, 60)
    common = numbers(shown(history, study, "x"))
    assert not {130, 251} & set(common)
    assert numbers(shown(history, study, "rare")) == sorted([*common, 130, 251])
    assert numbers(shown(history, study, "unheard of")) == common


def test_the_common_parameters_are_those_of_all_trials(tmp_path: Path) -> None:
    study = in_journal(tmp_path)
    history = seen_by(study, 51)
    narrow, one = FloatDistribution(0, 0.6), FloatDistribution(1, 1)
    for changed in ({}, {}, {"y": narrow}, {"state": TrialState.PRUNED}, {"z": None}, {}):
        ranges: dict[str, Any] = {**dict.fromkeys("zyxw", UNIT["x"]), "one": one}
        state = changed.pop("state", TrialState.COMPLETE)
        ranges = {name: r for name, r in {**ranges, **changed}.items() if r is not None}
        values = [1.0] if state == TrialState.COMPLETE else []
        params = {name: 1.0 if name == "one" else 0.5 for name in ranges}
        add(study, *values, state=state, params=params, distributions=ranges)
        assert not history.is_long()
        expected = IntersectionSearchSpace(include_pruned=True).calculate(study)
        found = history.common_space()
        assert list(found.items()) == [(n, r) for n, r in expected.items() if not r.single()]
    add(study, state=TrialState.FAIL, params={}, distributions={})
    assert not history.is_long()
    assert list(history.common_space()) == ["w", "x"]


def test_trials_that_run_elsewhere_are_seen_at_once(tmp_path: Path) -> None:
    study = in_journal(tmp_path)
    for _ in range(70):
        add(study, 1.0)
    study.enqueue_trial({"x": 0.1})
    history = seen_by(study, 60)
    other = WorkerStudy("study", open_storage(tmp_path / "study.log"))
    assert other.ask(UNIT).number == 70
    running = (TrialState.RUNNING,)
    assert numbers(history.shown(study, "x").get_trials(states=running)) == [70]
    other.tell(70, state=TrialState.FAIL)
    assert numbers(history.shown(study, "x").get_trials(states=running)) == []
    assert 70 not in numbers(shown(history, study))


def test_what_no_order_has_a_place_for_is_not_among_the_best(tmp_path: Path) -> None:
    """Another writer may end a trial with no value, or with two."""
    study = in_journal(tmp_path)
    for values in ([float("nan")], [1.0, 2.0], None, [float("inf")]):
        trial = study.ask(UNIT)
        study._storage.set_trial_state_values(trial_id(trial), TrialState.COMPLETE, values)
    for _ in range(10):
        add(study, 5.0)
    assert best_of(study, 5) == [4, 5, 6, 7, 8]


def test_a_suggestion_in_a_long_study_reads_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never the whole study, of which it sees no more than the limit."""
    study = in_journal(tmp_path)
    storage: Any = study._storage
    with storage.together():
        for _ in range(200):
            add(study, 1.0, params={"x": 0.5, "y": 0.1, "z": "a"}, distributions=RANGES)
    history = seen_by(study, 60)
    assert history.is_long()
    handed: list[int] = []
    for name in ("trials_read", "trial_read"):
        monkeypatch.setattr(storage, name, counted(getattr(storage, name), handed))
    monkeypatch.setattr(storage, "get_all_trials", None)
    number = storage.start_trial(study_id(study), {})
    study.sampler = make_sampler("tpe", 7, number, history)
    trial = optuna.Trial(study, number)
    assert draw(trial).keys() == RANGES.keys()
    assert 0 < sum(handed) <= 9
    assert len(shown(history, study)) <= 60


RANGES: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0, 1),
    "y": FloatDistribution(1e-4, 1, log=True),
    "z": optuna.distributions.CategoricalDistribution(("a", "b", "c")),
}


def counted(read: Callable[..., Any], handed: list[int]) -> Callable[..., Any]:
    """`read`, which notes how many trials it hands out."""

    def reading(*args: Any) -> Any:
        found = read(*args)
        handed.append(len(found) if isinstance(found, list) else 1)
        return found

    return reading
