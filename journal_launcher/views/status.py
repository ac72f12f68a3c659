"""What `status` says of a study: read from its files alone, changing none of them."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.artifacts.trial_attributes import TrialAttributes
from journal_launcher.base.errors import JournalLauncherError, OtherStudiesError
from journal_launcher.base.events import INTERRUPTED
from journal_launcher.base.files import read_json
from journal_launcher.base.paths import StudiesFolder, StudyPaths, is_study_name, typed
from journal_launcher.base.times import utc
from journal_launcher.launcher import model_store
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.options import option_of
from journal_launcher.study.confirmation import best_trial, confirmation_of
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.lease import holder_of
from journal_launcher.study.owner import owner_of
from journal_launcher.study.study import StudyHandle
from journal_launcher.study.tally import FINISHED, has_failed
from journal_launcher.views.figures import counted, number
from journal_launcher.views.scores import scores_json, scores_text

__all__ = [
    "Status",
    "comparison_lines",
    "model_path",
    "published_model",
    "state_of",
    "status_json",
    "winner_lines",
]

_SCHEMA_VERSION = 1
_MEANING = {
    "pruned": "ended early as unpromising; counts as finished",
    INTERRUPTED: "its launch was stopped, or its machine lost; queued again",
    "waiting": "queued; the next ones to run",
    "stale": "its launch is gone; the next one queues it again",
}
_OF_TRIALS = (
    *("metric", "directions", "n_trials", "n_finished", "n_failed", "states"),
    *("best_trial", "pareto_front", "running"),
)


def state_of(trial: FrozenTrial, *, launched: bool) -> str:
    """Optuna's state, told apart further: a trial that a stop interrupted is FAIL to Optuna, and no
    failure; a RUNNING one of ours is stale unless its study is `launched` now."""
    if trial.state == TrialState.FAIL and not has_failed(trial):
        return INTERRUPTED
    ours = owner_of(trial.user_attrs) is not None
    if trial.state == TrialState.RUNNING and ours and not launched:
        return "stale"
    return trial.state.name.lower()


def status_json(studies: StudiesFolder, name: str | None) -> tuple[dict[str, Any], bool]:
    """(the object that `status --json` prints, whether a journal is damaged). Its keys are API.

    name: of a study, which is the object then, or of a comparison; None is everything.
    """
    known = studies.names()
    if name in known:
        status = Status(studies.study(str(name)))
        return {"schema_version": _SCHEMA_VERSION, **status.to_json()}, status.damage is not None
    shown = known if name is None else _parts(studies, name)
    all_of_them = [Status(studies.study(part)) for part in shown]
    compared = _compared(studies) if name is None else [name]
    outcomes = [_comparison_json(studies.study(each)) for each in compared]
    content = {
        "schema_version": _SCHEMA_VERSION,
        "studies": [status.to_json() for status in all_of_them],
        "comparisons": [outcome for outcome in outcomes if outcome is not None],
    }
    return content, any(status.damage for status in all_of_them)


def comparison_lines(studies: StudiesFolder, name: str) -> Iterator[str]:
    """How a comparison of model types stands: a line for each of its studies, and the winner.

    Yields nothing if there is no comparison of this name.
    """
    parts = _parts(studies, name)
    for part in parts:
        yield Status(studies.study(part)).line()
    paths = studies.study(name)
    if parts and (outcome := _outcome(paths)):
        yield from (f"{name}  {line}" for line in outcome)
        yield f"best model    {paths.directory}"


def _parts(studies: StudiesFolder, name: str) -> list[str]:
    """The studies of a comparison, if there is one of this name."""
    types = option_of(LaunchSettings.__dataclass_fields__["model_type"]).choices
    return [part for part in studies.names() if part in {f"{name}_{t}" for t in types}]


def winner_lines(studies: StudiesFolder) -> Iterator[str]:
    """A line for every comparison that has published its winner."""
    for name in _compared(studies):
        yield from (f"{name}  comparison: {line}" for line in _outcome(studies.study(name)))


def _compared(studies: StudiesFolder) -> list[str]:
    """Folders without a journal of their own: a comparison's may be among them."""
    folders = (path.name for path in studies.root.iterdir() if path.is_dir())
    return sorted({*filter(is_study_name, folders)}.difference(studies.names()))


def _outcome(paths: StudyPaths) -> list[str]:
    """Why a comparison chose what it published, and which types failed; or why that is unknown."""
    sidecar, problem = published_model(paths)
    if sidecar is None:
        return [] if problem is None else [problem]
    reason = sidecar.won[1]
    return [] if reason is None else [f"chosen: {reason}", *map("failed: {}".format, sidecar.lost)]


def _comparison_json(paths: StudyPaths) -> dict[str, Any] | None:
    """The same by its parts; None if no comparison has published here."""
    sidecar, problem = published_model(paths)
    reason = None if sidecar is None else sidecar.won[1]
    if reason is None and problem is None:
        return None
    failed = [] if sidecar is None else list(sidecar.lost)
    return {"name": paths.name, "reason": reason, "failed": failed, "problem": problem}


def published_model(paths: StudyPaths) -> tuple[Sidecar | None, str | None]:
    """(what is said of the model in a folder, why that cannot be read)."""
    try:
        return Sidecar.from_json(read_json(paths.sidecar, 1)), None
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError) as problem:
        return None, str(problem)


def model_path(paths: StudyPaths, sidecar: Sidecar) -> Path | None:
    """Where the model is; None if a comparison did not keep it, or a foreign file names it."""
    kept = sidecar.names_our_files and not sidecar.left_out
    return model_store.model_path(paths, sidecar) if kept else None


class Status:
    """One study at this moment. `damage` is what is wrong with its journal, if anything is.

    A journal that another program put there has studies of other names, and is whole.
    """

    def __init__(self, paths: StudyPaths) -> None:
        self._paths = paths
        self._holder = holder_of(paths.lease)
        self._study: StudyHandle | None = None
        self._trials: Sequence[FrozenTrial] = []
        self._front: list[FrozenTrial] = []
        self._best = ""
        self.damage: str | None = None
        self._others: Sequence[str] | None = None
        try:
            storage = open_storage(paths.journal, read_only=True, allow_network_fs=True)
            self._study = StudyHandle.find(storage, paths.name)
            if self._study is not None:
                self._trials = self._study.trials()
                self._front = self._study.pareto_front()
                self._best = _best(self._study, self._front)
        except OtherStudiesError as other:
            self._others = other.names
        except JournalLauncherError as error:
            self.damage = str(error)

    def to_json(self) -> dict[str, Any]:
        """Everything; what an empty or damaged journal does not say is null."""
        sidecar, problem = published_model(self._paths)
        path = None if sidecar is None else model_path(self._paths, sidecar)
        study = None if self.damage else self._study
        return {
            "study": self._paths.name,
            "journal": str(self._paths.journal),
            "damage": self.damage,
            "other_studies": None if self._others is None else list(self._others),
            **(dict.fromkeys(_OF_TRIALS) if study is None else self._trials_json(study)),
            "run_by": self._holder,
            "last_activity": utc(self._paths.journal.stat().st_mtime),
            "model_path": None if path is None else str(path),
            "model_problem": problem,
            "scores": None if sidecar is None else scores_json(sidecar),
        }

    def _trials_json(self, study: StudyHandle) -> dict[str, Any]:
        finished, failed = study.count()
        several = len(study.directions) > 1
        best = best_trial(study)
        running = (trial for trial in self._trials if trial.state == TrialState.RUNNING)
        values: tuple[Any, ...] = (
            study.metric,
            list(study.directions),
            study.budget,
            finished,
            failed,
            dict(Counter(map(self._state, self._trials))),
            None if best is None else _best_json(study, best),
            [trial.number for trial in self._front] if several else None,
            [self._running_json(trial) for trial in running],
        )
        return dict(zip(_OF_TRIALS, values, strict=True))

    def _running_json(self, trial: FrozenTrial) -> dict[str, Any]:
        owner = owner_of(trial.user_attrs)
        return {
            "number": trial.number,
            "state": self._state(trial),
            "device": TrialAttributes.from_json(trial.user_attrs).placed.device,
            "owner": None if owner is None else str(owner),
        }

    def line(self) -> str:
        """One line for a table of all studies."""
        if self._others is not None:
            return f"{self._paths.name}  {self._foreign(self._others)}"
        if self._study is None or self.damage:
            return f"{self._paths.name}  {'damaged' if self.damage else 'empty'}"
        best = f"best {self._best}" if self._best else ""
        parts = [self._progress(self._study), *self._unfinished(), best]
        parts += [f"run by {self._holder}"] if self._holder else []
        return f"{self._paths.name}  {', '.join(part for part in parts if part)}"

    def lines(self) -> Iterator[str]:
        """Everything, a line each."""
        yield f"study         {self._paths.name}"
        yield f"file          {self._paths.journal}"
        if self._others is not None:
            yield f"journal       {self._foreign(self._others)}"
            return
        yield f"journal       {self.damage or _soundness(self._paths.journal)}"
        if self._study is None:
            if self.damage is None:
                yield "progress      empty: the journal holds no study (deleted, or not begun)"
            return
        counts = Counter(map(self._state, self._trials))
        yield f"progress      {self._progress(self._study)}"
        yield f"trials        {', '.join(f'{n} {state}' for state, n in counts.items()) or 'none'}"
        yield from (
            f"              {word}: {_MEANING[word]}" for word in counts if word in _MEANING
        )
        yield f"best          {self._best or 'none yet'}"
        yield f"run by        {self._holder or 'nobody'}"
        yield f"last activity {utc(self._paths.journal.stat().st_mtime)}"
        for trial in self._trials:
            if trial.state == TrialState.RUNNING:
                yield f"trial {trial.number:<8}{self._who(trial)}"
        yield from self._best_model()

    def _foreign(self, names: Sequence[str]) -> str:
        from journal_launcher.views.summary import studies_dir  # which imports what draws

        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        which = "" if len(names) == 1 else " --study-name NAME"
        how = f"{typed()} import {shlex.quote(str(self._paths.journal))}{which}"
        folder = studies_dir(self._paths.folder)
        kind = "study" if len(names) == 1 else "studies"
        return f"a journal of another program with the {kind} {shown}; to go on: {how}{folder}"

    def _best_model(self) -> Iterator[str]:
        sidecar, problem = published_model(self._paths)
        if problem or (sidecar is not None and not sidecar.left_out):
            yield f"best model    {problem or self._paths.directory}"
        if sidecar is not None and (text := scores_text(sidecar)):
            yield f"scores        {text}"

    def _progress(self, study: StudyHandle) -> str:
        finished = sum(trial.state in FINISHED for trial in self._trials)
        return f"{counted(finished, study.budget)} finished"

    def _unfinished(self) -> Iterator[str]:
        """How many trials failed, run or are stale, if there are any."""
        states = Counter(map(self._state, self._trials))
        counts = {"failed": states["fail"], "running": states["running"], "stale": states["stale"]}
        return (f"{count} {word}" for word, count in counts.items() if count)

    def _state(self, trial: FrozenTrial) -> str:
        return state_of(trial, launched=self._holder is not None)

    def _who(self, trial: FrozenTrial) -> str:
        owner = owner_of(trial.user_attrs)
        if owner is None:
            return "running, started by a foreign writer: it is left alone"
        if self._state(trial) == "stale":
            return f"stale, its owner was {owner}; the next launch fails it and queues it again"
        placed = TrialAttributes.from_json(trial.user_attrs).placed
        return f"running on {placed.device}, {owner}"


def _best(study: StudyHandle, front: Sequence[FrozenTrial]) -> str:
    if len(study.directions) > 1:
        return f"{len(front)} Pareto-optimal trials"
    best = best_trial(study)
    if best is None or best.value is None:
        return ""
    text = f"{study.metric or 'value'} {number(best.value)}"
    found = confirmation_of(study, best.number)
    if found is not None and found.score is not None:
        text += f" chosen, {number(found.score)} confirmed"
    return f"{text} (trial {best.number})"


def _best_json(study: StudyHandle, best: FrozenTrial) -> dict[str, Any]:
    found = confirmation_of(study, best.number)
    confirmed = None if found is None else found.score
    return {"number": best.number, "value": best.value, "confirmed": confirmed}


def _soundness(journal: Path) -> str:
    with open(journal, "rb") as file:
        if file.seek(0, 2) == 0:
            return "empty"
        file.seek(-1, 2)
        if file.read(1) == b"\n":
            return "sound"
    return "sound, with half a record at its end; the next append cuts it off and keeps a copy"
