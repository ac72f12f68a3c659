"""What `status` says of a study: read from its files alone, changing none of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.artifacts.trial_attributes import TrialAttributes
from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.events import INTERRUPTED
from journal_launcher.base.files import read_json
from journal_launcher.base.paths import StudiesFolder, StudyPaths, is_study_name
from journal_launcher.base.times import utc
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.options import option_of
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.lease import holder_of
from journal_launcher.study.owner import owner_of
from journal_launcher.study.study import StudyHandle
from journal_launcher.study.tally import FINISHED, has_failed
from journal_launcher.views.figures import counted, number

__all__ = ["Status", "comparison_lines", "winner_lines"]


def comparison_lines(studies: StudiesFolder, name: str) -> Iterator[str]:
    """How a comparison of model types stands: a line for each of its studies, and the winner.

    Yields nothing if there is no comparison of this name.
    """
    types = option_of(LaunchSettings.__dataclass_fields__["model_type"]).choices
    parts = [part for part in studies.names() if part in {f"{name}_{t}" for t in types}]
    for part in parts:
        yield Status(studies.study(part)).line()
    paths = studies.study(name)
    if parts and (outcome := _outcome(paths)):
        yield from (f"{name}  {line}" for line in outcome)
        yield f"best model    {paths.directory}"


def winner_lines(studies: StudiesFolder) -> Iterator[str]:
    """A line for every comparison that has published its winner."""
    folders = (path.name for path in studies.root.iterdir() if path.is_dir())
    for name in sorted({*filter(is_study_name, folders)}.difference(studies.names())):
        yield from (f"{name}  comparison: {line}" for line in _outcome(studies.study(name)))


def _outcome(paths: StudyPaths) -> list[str]:
    """Why a comparison chose what it published, and which types failed; or why that is unknown."""
    try:
        sidecar = Sidecar.from_json(read_json(paths.sidecar, 1))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as problem:
        return [str(problem)]
    reason = sidecar.won[1]
    return [] if reason is None else [f"chosen: {reason}", *map("failed: {}".format, sidecar.lost)]


class Status:
    """One study at this moment. `damage` is what is wrong with its journal, if anything is."""

    def __init__(self, paths: StudyPaths) -> None:
        self._paths = paths
        self._holder = holder_of(paths.lease)
        self._study: StudyHandle | None = None
        self._trials: Sequence[FrozenTrial] = []
        self._best = ""
        self.damage: str | None = None
        try:
            storage = open_storage(paths.journal, read_only=True, allow_network_fs=True)
            self._study = StudyHandle.find(storage, paths.name)
            if self._study is not None:
                self._trials = self._study.trials()
                self._best = _best(self._study)
        except JournalLauncherError as error:
            self.damage = str(error)

    def line(self) -> str:
        """One line for a table of all studies."""
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
        yield f"journal       {self.damage or _soundness(self._paths.journal)}"
        if self._study is None:
            if self.damage is None:
                yield "progress      empty: the journal holds no study (deleted, or not begun)"
            return
        counts = Counter(map(self._state, self._trials))
        yield f"progress      {self._progress(self._study)}"
        yield f"trials        {', '.join(f'{n} {state}' for state, n in counts.items()) or 'none'}"
        yield f"best          {self._best or 'none yet'}"
        yield f"run by        {self._holder or 'nobody'}"
        yield f"last activity {utc(self._paths.journal.stat().st_mtime)}"
        for trial in self._trials:
            if trial.state == TrialState.RUNNING:
                yield f"trial {trial.number:<8}{self._who(trial)}"
        yield from self._best_model()

    def _best_model(self) -> Iterator[str]:
        try:
            if not Sidecar.from_json(read_json(self._paths.sidecar, 1)).left_out:
                yield f"best model    {self._paths.directory}"
        except FileNotFoundError:
            return
        except (OSError, ValueError) as problem:
            yield f"best model    {problem}"

    def _progress(self, study: StudyHandle) -> str:
        finished = sum(trial.state in FINISHED for trial in self._trials)
        return f"{counted(finished, study.budget)} finished"

    def _unfinished(self) -> Iterator[str]:
        """How many trials failed, run or are stale, if there are any."""
        running = [trial for trial in self._trials if trial.state == TrialState.RUNNING]
        stale = sum(map(self._is_stale, running))
        counts = {
            "failed": sum(map(has_failed, self._trials)),
            "running": len(running) - stale,
            "stale": stale,
        }
        return (f"{count} {word}" for word, count in counts.items() if count)

    def _state(self, trial: FrozenTrial) -> str:
        """Optuna's state; a trial that a stop interrupted is FAIL to Optuna, and no failure."""
        if trial.state == TrialState.FAIL and not has_failed(trial):
            return INTERRUPTED
        if trial.state == TrialState.RUNNING and self._is_stale(trial):
            return "stale"
        return trial.state.name.lower()

    def _is_stale(self, trial: FrozenTrial) -> bool:
        """Is a RUNNING trial of ours without a launch that runs it?"""
        return self._holder is None and owner_of(trial.user_attrs) is not None

    def _who(self, trial: FrozenTrial) -> str:
        owner = owner_of(trial.user_attrs)
        if owner is None:
            return "running, started by a foreign writer: it is left alone"
        if self._is_stale(trial):
            return f"stale, its owner was {owner}; the next launch fails it and queues it again"
        placed = TrialAttributes.from_json(trial.user_attrs).placed
        return f"running on {placed.device}, {owner}"


def _best(study: StudyHandle) -> str:
    if len(study.directions) > 1:
        return f"{len(study.pareto_front())} Pareto-optimal trials"
    best = study.best()
    if best is None or best.value is None:
        return ""
    return f"{study.metric or 'value'} {number(best.value)} (trial {best.number})"


def _soundness(journal: Path) -> str:
    with open(journal, "rb") as file:
        if file.seek(0, 2) == 0:
            return "empty"
        file.seek(-1, 2)
        if file.read(1) == b"\n":
            return "sound"
    return "sound, with half a record at its end; the next append cuts it off and keeps a copy"
