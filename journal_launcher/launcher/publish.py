"""When the best model is saved, what the save must agree with, and who refits it."""

from collections.abc import Set
from contextlib import suppress
from dataclasses import replace

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.scores import Confirmation
from journal_launcher.base.artifacts.sidecar import (
    Best,
    Confirmed,
    Counts,
    Provenance,
    Sidecar,
    ToBeat,
    TrainedOn,
)
from journal_launcher.base.errors import ExitCode, JournalLauncherError
from journal_launcher.base.events import Note, PhaseChanged
from journal_launcher.base.files import finite
from journal_launcher.base.messages import Refit, Staged
from journal_launcher.base.paths import StudyPaths
from journal_launcher.launcher import model_store
from journal_launcher.launcher.ledger import TrialLedger
from journal_launcher.launcher.slot import Phase, Slot
from journal_launcher.launcher.stop import Stop
from journal_launcher.launcher.supervisor import Supervisor
from journal_launcher.study import trial_folders
from journal_launcher.study.confirmation import candidates, confirmation_of
from journal_launcher.study.study import BEST_ATTRIBUTE

__all__ = ["save_best_model"]

REFIT_ATTEMPTS = 2
_NAMED = 10  # trials that a message names


def save_best_model(
    supervisor: Supervisor, ledger: TrialLedger, paths: StudyPaths, facts: Provenance
) -> Sidecar | None:
    """Publish the best model once and return its sidecar; None if there is none to publish.

    Nothing is refitted if the best model is published already, or staged by an earlier launch.
    `facts` (versions, times) are added to what the worker says of the model.
    """
    try:
        return _saved(supervisor, ledger, paths, facts)
    except JournalLauncherError as problem:
        if problem.exit_code != ExitCode.FAILED:
            raise
        # The old model stays, and the launch ends in order.
        supervisor.begin_stop(Stop.failed(str(problem)))
        return None


def _saved(
    supervisor: Supervisor, ledger: TrialLedger, paths: StudyPaths, facts: Provenance
) -> Sidecar | None:
    wanted = _wanted(ledger)
    _keep_folders(ledger, paths, set() if wanted is None else wanted.numbers)
    if supervisor.aborting:
        return None
    foreign = ledger.study.passed_over()
    if foreign is not None:
        text = f"trial {foreign.number} ({foreign.value:.5g}) of a foreign writer is better, but"
        supervisor.emit(Note(f"{text} cannot be refitted: it is passed over"))
    if wanted is None:
        return None
    baselines = ledger.baselines
    counts = Counts(*ledger.study.count())
    confirmed = _confirmed(ledger, wanted.trial)
    sidecar = model_store.published(paths, wanted) or model_store.complete(paths, wanted)
    left_out = sidecar is not None and sidecar.left_out and not facts.part_of
    if sidecar is not None and not left_out:
        model_store.drop_staging(paths)
        _keep_folders(ledger, paths, set())
        _mark(ledger, wanted)
        # Still the best after more trials: only counts and scores moved on.
        return model_store.rewrite(paths, replace(sidecar, counts=counts, confirmed=confirmed))
    refits = ledger.settings.job_kind.refits
    supervisor.emit(PhaseChanged("refitting" if refits else "publishing"))
    refitted = _refit(supervisor, wanted, paths)
    if refitted is None:
        return None
    if refits:
        supervisor.emit(PhaseChanged("publishing"))
    sidecar = replace(
        refitted,
        provenance=facts,
        counts=counts,
        confirmed=confirmed,
        to_beat=ToBeat(list(ledger.study.directions), baselines.to_json() if baselines else None),
        best=wanted,
    )
    sidecar = model_store.publish(paths, model_store.stage(paths, sidecar))
    _tell_of_missing_files(supervisor, ledger, paths, wanted)
    _mark(ledger, wanted)
    _keep_folders(ledger, paths, set())
    return sidecar


def _tell_of_missing_files(
    supervisor: Supervisor, ledger: TrialLedger, paths: StudyPaths, saved: Best
) -> None:
    """An imported trial's folder stayed where it ran: nothing of it is in the saved model."""
    came = sorted(n for n in saved.numbers if ledger.study.has_imported(n))
    if ledger.settings.job_kind.has_folders and came and not paths.best_model_directory.exists():
        which = f"trial{'s' * (len(came) > 1)} {', '.join(map(str, came[:_NAMED]))}"
        text = f"{which} came by an import, without files: what is saved has the parameters alone"
        supervisor.emit(Note(text))


def _mark(ledger: TrialLedger, wanted: Best) -> None:
    """Name the trial in the journal, for whoever looks at it alone, such as a dashboard."""
    front = None if wanted.pareto_front is None else sorted(wanted.numbers)
    ledger.study.remember(BEST_ATTRIBUTE, wanted.trial if front is None else front)


def _keep_folders(ledger: TrialLedger, paths: StudyPaths, kept: Set[int]) -> None:
    """Keep the folders of these trials and of queued ones: what was in the best is published."""
    if ledger.settings.job_kind.has_folders:
        trial_folders.remove_unneeded(paths, ledger.study.trials(), kept)
        with suppress(OSError):  # there is none, or something is left in it
            paths.trials.rmdir()


def _wanted(ledger: TrialLedger) -> Best | None:
    """What a published model must agree with to be this study's best."""
    study = ledger.study
    identity = ledger.study.identity or Identity()
    refit = ledger.settings.refit if ledger.settings.job_kind.refits else None
    wanted = Best(study.name, identity.sha256, refit)
    best = ledger.winner()
    if best is not None:
        return replace(wanted, trial=best.number, params=finite(best.params), value=best.value)
    front = study.pareto_front()
    if not front:
        return None
    points = [{"number": t.number, "values": t.values, "params": finite(t.params)} for t in front]
    return replace(wanted, pareto_front=points)


def _confirmed(ledger: TrialLedger, number: int | None) -> Confirmed:
    """What fresh folds said of the trial and of those that it was chosen from."""
    if number is None or not ledger.settings.job_kind.has_confirmation:
        return Confirmed()
    chosen = [trial.number for trial in candidates(ledger.study, ledger.settings.confirm)]
    found = {
        n: confirmation_of(ledger.study, n) if n in chosen else None for n in {*chosen, number}
    }
    ours = found[number] or Confirmation()
    return Confirmed(
        ours.score,
        ours.fold_scores,
        {str(n): scored.score for n in chosen if (scored := found[n])},
        ours.metrics,
    )


def _refit(supervisor: Supervisor, wanted: Best, paths: StudyPaths) -> Sidecar | None:
    """Let a warm worker stage the best model; one that dies over it is replaced once."""
    for _ in range(REFIT_ATTEMPTS):
        slot = _idle_worker(supervisor)
        if slot is not None and slot.process is not None:
            slot.begin_chore("the refit")
            staging = str(model_store.clear_staging(paths))
            if supervisor.folders is not None:
                supervisor.folders.give_best(slot.process, wanted)
            slot.process.send(Refit(wanted.trial, staging))
            answer = supervisor.await_answer(slot)
            if isinstance(answer, Staged):
                device = slot.spec.device
                return replace(answer.content, trained_on=TrainedOn(device.label, device.uuid))
        if supervisor.aborting:
            return None
    supervisor.begin_stop(Stop.failed(f"the best model's refit failed {REFIT_ATTEMPTS} times"))
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
