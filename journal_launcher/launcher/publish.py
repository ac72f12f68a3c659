"""When the best model is saved, what the save must agree with, and who refits it."""

from typing import Any

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.errors import ExitCode, JournalLauncherError
from journal_launcher.base.events import Note, PhaseChanged
from journal_launcher.base.files import finite, write_json
from journal_launcher.base.messages import Refit
from journal_launcher.base.paths import StudyPaths
from journal_launcher.launcher import model_store
from journal_launcher.launcher.ledger import TrialLedger
from journal_launcher.launcher.slot import Phase, Slot
from journal_launcher.launcher.stop import Stop
from journal_launcher.launcher.supervisor import Supervisor
from journal_launcher.study.confirmation import candidates, confirmation_of
from journal_launcher.study.study import StudyRecord

__all__ = ["save_best_model"]

REFIT_ATTEMPTS = 2


def save_best_model(
    supervisor: Supervisor, ledger: TrialLedger, paths: StudyPaths, facts: dict[str, Any]
) -> dict[str, Any] | None:
    """Publish the best model once and return its sidecar; None if there is none to publish.

    Nothing is refitted if the best model is published already, or staged by an earlier launch.
    `facts` (versions, times) are added to what the worker says of the model.
    """
    if supervisor.aborting:
        return None
    try:
        return _saved(supervisor, ledger, paths, facts)
    except JournalLauncherError as problem:
        if problem.exit_code != ExitCode.FAILED:
            raise
        # The old model stays, and the launch ends in order.
        supervisor.end(Stop.failed(str(problem)))
        return None


def _saved(
    supervisor: Supervisor, ledger: TrialLedger, paths: StudyPaths, facts: dict[str, Any]
) -> dict[str, Any] | None:
    foreign = ledger.study.passed_over()
    if foreign is not None:
        text = f"trial {foreign.number} ({foreign.value:.5g}) of a foreign writer is better, but"
        supervisor.emit(Note(f"{text} cannot be refitted: it is passed over"))
    wanted = _wanted(ledger)
    if wanted is None:
        return None
    counts = dict(zip(("n_finished", "n_failed"), ledger.study.count(), strict=True))
    current = {**counts, **_scores(ledger, wanted.get("trial"))}
    sidecar = model_store.published(paths, wanted) or model_store.complete(paths, wanted)
    left_out = sidecar is not None and sidecar.get("left_out") and not facts["part_of"]
    if sidecar is not None and not left_out:
        model_store.drop_staging(paths)
        _drop_trials(ledger, paths)
        return _brought_up_to_date(paths, sidecar, current)
    refits = ledger.settings.job_kind.refits
    supervisor.emit(PhaseChanged("refitting" if refits else "publishing"))
    refitted = _refit(supervisor, wanted.get("trial"), paths)
    if refitted is None:
        return None
    if refits:
        supervisor.emit(PhaseChanged("publishing"))
    more = {"directions": list(ledger.study.directions), "baselines": ledger.baselines}
    content = {**refitted, **facts, **current, **more, **wanted}
    sidecar = model_store.publish(paths, model_store.stage(paths, content))
    _drop_trials(ledger, paths)
    return sidecar


def _drop_trials(ledger: TrialLedger, paths: StudyPaths) -> None:
    if ledger.settings.job_kind.has_folders:
        model_store.drop_trials(paths, len(ledger.study.trials()))


def _wanted(ledger: TrialLedger) -> dict[str, Any] | None:
    """What a published model must agree with to be this study's best."""
    study: StudyRecord = ledger.study
    identity = study.identity or Identity()
    wanted: dict[str, Any] = {"study": study.name, "identity_sha256": identity.sha256}
    if ledger.settings.job_kind.refits:
        wanted["refit"] = ledger.settings.refit
    best = ledger.winner()
    if best is not None:
        return wanted | {"trial": best.number, "params": finite(best.params), "value": best.value}
    front = study.pareto_front()
    if not front:
        return None
    points = [{"number": t.number, "values": t.values, "params": finite(t.params)} for t in front]
    return wanted | {"pareto_front": points}


def _scores(ledger: TrialLedger, number: int | None) -> dict[str, Any]:
    """What chose the trial, which is too good for it, and what fresh folds said of it."""
    if number is None or not ledger.settings.job_kind.has_confirmation:
        return {}
    chosen = [trial.number for trial in candidates(ledger.study, ledger.settings.confirm)]
    found = {
        n: confirmation_of(ledger.study, n) if n in chosen else None for n in {*chosen, number}
    }
    ours = found[number] or {}
    return {
        "selection_score": ledger.study.trial(number).value,
        "confirmed_score": ours.get("score"),
        "confirmed_fold_scores": ours.get("fold_scores"),
        "confirmed_trials": {str(n): scored["score"] for n in chosen if (scored := found[n])},
    }


def _brought_up_to_date(
    paths: StudyPaths, sidecar: dict[str, Any], current: dict[str, Any]
) -> dict[str, Any]:
    """The model is still the best after more trials: only counts and scores moved on."""
    if any(sidecar.get(key) != value for key, value in current.items()):
        sidecar = {**sidecar, **current}
        write_json(paths.sidecar, sidecar)
    return sidecar


def _refit(supervisor: Supervisor, number: int | None, paths: StudyPaths) -> dict[str, Any] | None:
    """Let a warm worker stage the best model; one that dies over it is replaced once."""
    for _ in range(REFIT_ATTEMPTS):
        slot = _idle_worker(supervisor)
        if slot is not None and slot.process is not None:
            slot.begin_task("the refit")
            staging = str(model_store.clear_staging(paths))
            slot.process.send(Refit(number, staging))
            answer = supervisor.await_answer(slot)
            if answer is not None:
                device = slot.spec.device
                content = {"device": device.label, "device_uuid": device.uuid}
                return {**answer.content, **content}
        if supervisor.aborting:
            return None
    supervisor.end(Stop.failed(f"the best model's refit failed {REFIT_ATTEMPTS} times"))
    return None


def _idle_worker(supervisor: Supervisor) -> Slot | None:
    """A worker that waits for work; if all are gone, start one. None if it dies or we must stop."""
    slots = supervisor.pool.slots
    usable = next((slot for slot in slots if not slot.unusable), None)
    if usable is not None and not any(slot.alive for slot in slots):
        supervisor.start(usable)
    while not supervisor.aborting and any(slot.alive for slot in slots):
        idle = next((slot for slot in slots if slot.phase is Phase.IDLE), None)
        if idle is not None:
            return idle
        supervisor.step()
    return None
