"""Confirming the best trials: who scores which, what a death costs, and what stays after a kill."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from launcher.fake_stage import Clock, Stage
from launcher.harness import ROOT, Workshop, finish

from journal_launcher.base import events
from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.scores import Confirmation
from journal_launcher.launcher.confirm import DEATHS, _Round, confirm_best
from journal_launcher.launcher.stop import Stop
from journal_launcher.launcher.watchdog import TrialTimeout
from journal_launcher.settings.launch_settings import LaunchSettings


class Confirming:
    """A round of confirmations among fakes: what workers are told, and what they answer."""

    def __init__(self, clock: Clock, workers: int, numbers: list[int]) -> None:
        self.stage = Stage(clock, workers)
        self.scores: dict[int, float | None] = {}
        ledger: Any = self.stage.ledger
        ledger.wanted, ledger.confirmations_answered = 0, set()
        ledger.keep_confirmation = self.keep
        for index in range(workers):
            self.stage.ready(index)
        self.stage.supervisor.step()
        self.round = _Round(self.stage.supervisor, ledger, numbers)

    def keep(self, number: int, found: Confirmation) -> None:
        self.stage.ledger.confirmations_answered.add(number)  # type: ignore[attr-defined]
        self.scores[number] = found.score

    def given(self) -> dict[int, int]:
        """worker -> trial that it scores now"""
        return {slot.index: number for slot, _, number in self.round._given}

    def turn(self) -> None:
        self.round._give()
        self.stage.supervisor.step()
        for given in self.round._given[:]:
            self.round._look_at(*given)

    def answer(self, worker: int, number: int) -> None:
        process = self.stage.process(worker)
        process.say("confirmed", number=number, content=Confirmation(0.5, [0.5]))
        process.say("request")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def test_idle_workers_share_the_candidates(clock: Clock) -> None:
    round = Confirming(clock, 2, [7, 5, 3])
    round.turn()
    assert round.given() == {0: 7, 1: 5}
    round.answer(1, 5)
    round.turn()
    round.turn()
    assert round.given() == {0: 7, 1: 3}
    round.answer(0, 7)
    round.answer(1, 3)
    round.round.run()
    assert set(round.scores) == {7, 5, 3}
    assert round.stage.process(0).told.count("confirm") == 1


def test_a_dead_workers_candidate_goes_to_another(clock: Clock) -> None:
    round = Confirming(clock, 2, [7, 5])
    round.turn()
    round.stage.process(0).status = -9
    round.answer(1, 5)
    round.turn()
    round.turn()
    assert round.given() == {1: 7}
    round.answer(1, 7)
    round.round.run()
    assert set(round.scores) == {7, 5}


def test_two_deaths_end_the_round_and_it_is_said(clock: Clock) -> None:
    round = Confirming(clock, 1, [7, 5])
    for _ in range(2):
        round.turn()
        round.stage.process().status = -9
        round.turn()
        round.stage.turns(3.0)
        if round.stage.process() is not None:
            round.stage.ready()
            round.stage.supervisor.step()
    round.round.run()
    assert round.scores == {}
    warnings = [e.text for e in round.stage.seen if getattr(e, "level", "") == "warning"]
    assert warnings == ["confirming went wrong twice; the scores so far decide"]


def test_workers_that_die_at_their_start_are_not_started_for_ever(clock: Clock) -> None:
    """After a timeout of the launch there is no other count of their deaths."""
    round = Confirming(clock, 1, [7])
    round.stage.supervisor.begin_stop(Stop("timeout"))
    before = len(round.stage.pool.started)
    for _ in range(10):
        if round.stage.process() is not None:
            round.stage.process().status = -11
        round.turn()
    assert len(round.stage.pool.started) - before == DEATHS
    round.round.run()
    assert round.scores == {}


def test_a_confirmation_that_hangs_is_ended_by_the_trial_timeout(clock: Clock) -> None:
    round = Confirming(clock, 1, [7])
    supervisor = round.stage.supervisor
    supervisor.trial_timeout = TrialTimeout(supervisor.pool, 60.0)
    round.turn()
    round.stage.turns(61.0)
    assert "SIGTERM" in round.stage.process().told


@pytest.mark.parametrize(
    ("confirm", "split", "said"), [(0, "kfold", []), (3, "time", ["--split time has no fresh"])]
)
def test_nothing_is_confirmed_if_nobody_wants_it_or_there_are_no_fresh_folds(
    confirm: int, split: str, said: list[str]
) -> None:
    seen: list[Any] = []
    supervisor: Any = SimpleNamespace(emit=seen.append, aborting=False)
    study = SimpleNamespace(identity=Identity(split={"kind": split}), directions=("maximize",))
    study.trials = lambda *states: []
    ledger: Any = SimpleNamespace(settings=LaunchSettings(confirm=confirm), study=study)
    confirm_best(supervisor, ledger)
    assert [event.text[:25] for event in seen] == said


# --- whole launches of a table

# The parent kills itself as soon as one confirmed score is in the journal.
DEADLY = """
import os, signal
from journal_launcher.launcher import ledger
keep = ledger.keep_confirmation
def deadly(*arguments):
    keep(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
ledger.keep_confirmation = deadly
"""


def table(shop: Workshop, do: Any = None, **options: Any) -> Any:
    given = {"model_type": "linear", "k_folds": 3, **options}
    return shop.launch(do, objective=None, **given)


def confirmed(shop: Workshop) -> dict[int, dict[str, Any]]:
    prefix = "journal_launcher_confirmed_"
    attributes = shop.study().user_attrs.items()
    return {int(k.removeprefix(prefix)): v for k, v in attributes if k.startswith(prefix)}


def best_three(shop: Workshop) -> list[optuna.trial.FrozenTrial]:
    """Of the completed trials: one that was pruned has a value too, of some of its folds."""
    complete = [trial for trial in shop.trials() if trial.state.name == "COMPLETE"]
    return sorted(complete, key=lambda trial: -(trial.value or 0.0))[:3]


def appends(shop: Workshop) -> int:
    """How often a confirmed score was written to the journal."""
    return sum("journal_launcher_confirmed_" in str(record) for record in shop.records())


@pytest.mark.slow  # every worker imports scikit-learn
def test_the_winner_is_the_best_on_fresh_folds_and_the_sidecar_has_both_scores(
    workshop: Workshop,
) -> None:
    result = table(workshop, n_trials=6, workers=2, pruner="none")
    assert result.exit_code == 0, result.message
    best = best_three(workshop)
    scores = confirmed(workshop)
    assert set(scores) == {trial.number for trial in best}
    won = max(best, key=lambda trial: scores[trial.number]["score"])
    sidecar = workshop.sidecar()
    assert sidecar["trial"] == won.number == result.best_trial["number"]
    assert sidecar["value"] == won.value == result.best_trial["value"]
    assert {"selection_score", "cv_score"}.isdisjoint(sidecar), "a number has one name"
    assert sidecar["confirmed_score"] == scores[won.number]["score"]
    assert sidecar["confirmed_fold_scores"] == scores[won.number]["fold_scores"]
    assert sidecar["confirmed_trials"] == {str(n): found["score"] for n, found in scores.items()}
    assert workshop.states() == ["COMPLETE"] * 6
    linear = sidecar["baselines"]["linear"]
    assert linear["confirmed_score"] != linear["score"]
    assert len(linear["confirmed_fold_scores"]) == 3


@pytest.mark.slow
def test_more_trials_confirm_only_what_is_new_and_replace_only_a_beaten_model(
    workshop: Workshop,
) -> None:
    assert table(workshop, n_trials=3).exit_code == 0
    before, first = confirmed(workshop), workshop.sidecar()
    assert table(workshop, n_trials=3).exit_code == 0
    assert confirmed(workshop) == before and workshop.sidecar() == first
    assert table(workshop, n_trials=9).exit_code == 0
    after, second = confirmed(workshop), workshop.sidecar()
    assert {number: after[number] for number in before} == before
    lines = [
        record for record in workshop.records() if "journal_launcher_confirmed_" in str(record)
    ]
    assert len(lines) == len(after), "no trial was confirmed twice"
    top = best_three(workshop)
    won = max(top, key=lambda trial: after[trial.number]["score"])
    assert second["trial"] == won.number
    assert (second["published"] == first["published"]) == (won.number == first["trial"])
    assert table(workshop, n_trials=9, confirm=0).exit_code == 0
    third = workshop.sidecar()
    assert third["trial"] == top[0].number and third["confirmed_score"] is None


@pytest.mark.slow
def test_a_kill_while_confirming_keeps_what_is_confirmed(workshop: Workshop) -> None:
    code = f"import sys\n{DEADLY}\nfrom journal_launcher.__main__ import main; main(sys.argv[1:])"
    options = ["--model-type", "linear", "--k-folds", "3", "--n-trials", "4", "--gpus", "none"]
    names = ["--study-name", "study", "--studies-dir", str(workshop.paths.folder)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", *options, *names],
        cwd=workshop.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert finish(process).code == -signal.SIGKILL
    first = confirmed(workshop)
    assert len(first) == 1 and not workshop.paths.sidecar.exists()
    assert table(workshop, n_trials=4).exit_code == 0
    assert len(confirmed(workshop)) == 3
    lines = [
        record for record in workshop.records() if "journal_launcher_confirmed_" in str(record)
    ]
    assert len(lines) == 3
    assert not [e for e in workshop.of(events.TrialEnded)]
