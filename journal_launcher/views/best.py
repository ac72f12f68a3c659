"""The best trial of a study: its scores, and how to train its parameters again."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.scores import Confirmation
from journal_launcher.base.artifacts.sidecar import Best, Confirmed, Sidecar
from journal_launcher.base.artifacts.trial_attributes import FoldScores
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudyPaths, is_study_name, slug, typed
from journal_launcher.settings.command_template import as_text, parse_template
from journal_launcher.settings.config_file import resolved
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.attributes import whole
from journal_launcher.study.confirmation import best_trial, candidates, confirmation_of
from journal_launcher.study.reading import had_arguments, open_study, recorded_settings
from journal_launcher.study.study import StudyHandle
from journal_launcher.views.figures import counted, number, parameter, spread
from journal_launcher.views.scores import scores_json, scores_text
from journal_launcher.views.status import model_path, published_model
from journal_launcher.views.summary import holdout_json, holdout_text, studies_dir
from journal_launcher.views.trials import Row as TrialRow
from journal_launcher.views.trials import table_lines

__all__ = ["BestTrials", "study_of"]

_SCHEMA_VERSION = 1
_DEFAULTS = LaunchSettings()


Row = tuple[str, str]


def study_of(home: StudyPaths) -> StudyPaths:
    """The study of this name; of a comparison the one that won it."""
    if not home.journal.exists():
        sidecar, _ = published_model(home)
        won = None if sidecar is None else sidecar.best.study
        if won is not None and is_study_name(won):
            return StudyPaths(home.folder, won)
    return home


def _says_how(study: StudyHandle, paths: StudyPaths) -> bool:
    try:
        recorded_settings(study, paths.folder)
    except UsageError:
        return False
    return True


def _line(row: Row) -> str:
    return f"{row[0]:<12}{row[1]}"


class BestTrials:
    """What a launch would publish of a study at this moment: a trial, or a Pareto front.

    home: of the study, or of a comparison, which shows the study that won and the model here.
    asked: the number of another COMPLETE trial instead. study: the one of `study_of`, where it is
    open already. trial: None of several objectives, which have a `front`. sidecar: of the model in
    the folder, whichever trial it is of.

    Raises:
        UsageError: there is no such study, or no such trial.
        JournalDamagedError: its journal cannot be read.
    """

    def __init__(
        self, home: StudyPaths, asked: int | None = None, study: StudyHandle | None = None
    ) -> None:
        self._home = home
        self._paths = paths = study_of(home)
        self._study = study = study or open_study(paths)
        self._identity = study.identity or Identity()
        self._top = whole(study.settings.get("confirm", _DEFAULTS.confirm)) or 0
        found = best_trial(study) if asked is None else self._complete(asked)
        self.front = study.pareto_front() if found is None else []
        if found is None and not self.front:
            raise UsageError(
                f"study {study.name} has no best trial yet: none of its {len(study.trials())} "
                f"trials is COMPLETE; see {self._command('trials')}"
            )
        self.trial = found
        self.sidecar, self._problem = published_model(home)
        self._had_arguments = had_arguments(study)
        self._says_how = _says_how(study, paths)

    def _complete(self, asked: int) -> FrozenTrial:
        trials = self._study.trials()
        if not 0 <= asked < len(trials):
            known = f"its trials are 0 to {len(trials) - 1}" if trials else "it has no trial yet"
            raise UsageError(f"study {self._study.name} has no trial {asked}; {known}")
        if trials[asked].state != TrialState.COMPLETE:
            raise UsageError(
                f"trial {asked} is {trials[asked].state.name}; only a COMPLETE one has scores"
            )
        return trials[asked]

    # --- what is known of it

    def _row(self, trial: FrozenTrial) -> TrialRow:
        return TrialRow.of(trial, len(self._study.directions), launched=False)

    def _confirmation(self, trial: FrozenTrial) -> Confirmation | None:
        return confirmation_of(self._study, trial.number)

    def published(self, trial: FrozenTrial) -> Sidecar:
        """What is said of the published model, if it is this trial's."""
        wanted = Best(self._study.name, self._identity.sha256, trial=trial.number)
        found = self.sidecar
        return found if found is not None and found.is_of(wanted) else Sidecar()

    def _command(self, name: str, *words: str) -> str:
        said = [typed(), name, self._study.name, *words]
        return " ".join(said) + studies_dir(self._paths.folder)

    def _again(self, trial: str) -> str | None:
        """What trains a trial again as it was; None where nobody recorded how."""
        if not self._says_how:
            return None
        return self._command("replay", trial) + (" -- …" if self._had_arguments else "")

    def _script(self, trial: FrozenTrial) -> str | None:
        """What to type to run the script itself with the trial's parameters."""
        command = self._identity.command
        if command is None:
            return None
        try:
            template = parse_template(command, trial.params)
            return template.typed({name: as_text(value) for name, value in trial.params.items()})
        except UsageError:
            return None  # not the command that this trial ran

    def _config(self, trial: FrozenTrial | None) -> str | None:
        """What trains the parameters as a study of their own."""
        if not (self._identity.job_kind.has_model_type or self._identity.command is not None):
            return None
        number = "NUMBER" if trial is None else str(trial.number)
        chosen = () if trial is not None and self._is_best(trial) else ("--trial", number)
        toml = self._command("best", *chosen, "--toml")
        then = f"{typed()} --config best.toml{studies_dir(self._paths.folder)}"
        return f"{toml} > best.toml && {then}"

    def _is_best(self, trial: FrozenTrial) -> bool:
        best = best_trial(self._study)
        return best is not None and best.number == trial.number

    # --- in words

    def lines(self, width: int | None) -> Iterator[str]:
        """Everything; width: of a terminal."""
        trial = self.trial
        name = self._study.name
        finished = counted(self._study.count()[0], self._study.budget)
        if trial is None:
            yield f"study       {name}, {finished} trials finished"
            yield from map(_line, self.facts())
            yield ""
            rows = [self._row(one) for one in self.front]
            lines, note = table_lines(self._study, rows, width)
            yield from lines
            if note:
                yield f"({note})"
            return
        yield f"study       {name}, {finished} trials finished"
        yield from map(_line, self.facts())
        if trial.params:
            yield ""
        widest = max(map(len, trial.params), default=0)
        for key, value in trial.params.items():
            yield f"{key:<{widest}}  {parameter(value)}"

    def facts(self) -> Iterator[Row]:
        """(label, text): the trial, its scores, the model and what trains it again."""
        if self.trial is not None:
            yield "trial", str(self.trial.number)
            yield from self._score_rows(self.trial)
        else:
            of = f"{len(self._study.directions)} objectives"
            yield "best", f"{len(self.front)} Pareto-optimal trials of {of}"
        yield from self._model(self.trial)
        yield from self._ways(self.trial)

    def _score_rows(self, trial: FrozenTrial) -> Iterator[Row]:
        metric = self._study.metric or "value"
        row = self._row(trial)
        found = self._confirmation(trial)
        sidecar = self.published(trial)
        label = "chosen" if found or not self._is_best(trial) else "best"
        label = "values" if len(row.values) > 1 else label
        scores = ", ".join(map(number, row.values))
        yield label, f"{metric} {scores}{spread(row.fold_scores, 'folds')}"
        if found is not None and found.score is not None:
            text = f"{metric} {number(found.score)}{spread(found.fold_scores, 'fresh folds')}"
            among = self._confirmed() if self._is_best(trial) else []
            others = f", the best of trials {', '.join(among)}" if len(among) > 1 else ""
            yield "confirmed", text + others
        if text := holdout_text(sidecar):
            yield "hold-out", text
        if text := scores_text(self._scores(trial), without=self._study.metric):
            yield "also", text

    def _scores(self, trial: FrozenTrial) -> Sidecar:
        """What a sidecar says, or would say, of all metrics of the trial."""
        found = self._confirmation(trial) or Confirmation()
        return replace(
            self.published(trial),
            cv_metrics=FoldScores.from_json(trial.user_attrs).metrics,
            confirmed=Confirmed(metrics=found.metrics),
        )

    def _confirmed(self) -> list[str]:
        top = candidates(self._study, self._top)
        return [str(trial.number) for trial in top if self._confirmation(trial) is not None]

    def _model(self, trial: FrozenTrial | None) -> Iterator[Row]:
        if self._problem is not None:
            yield "model", self._problem
        if self.sidecar is None or (path := model_path(self._home, self.sidecar)) is None:
            return
        ours = trial is not None and self.published(trial) is self.sidecar
        of = ", ".join(map(str, sorted(self.sidecar.best.numbers)))
        trials = f" (of trial{'s' * (', ' in of)} {of})"
        yield "model", f"{path}{'' if ours else trials}"

    def _ways(self, trial: FrozenTrial | None) -> Iterator[Row]:
        again = self._again("NUMBER" if trial is None else str(trial.number))
        ways = {
            "again": again or "the study does not say how its trials ran",
            "script": None if trial is None else self._script(trial),
            "config": self._config(trial) if again else None,
        }
        for label, text in ways.items():
            if text is not None:
                yield label, text

    # --- for programs

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints. Its keys are API."""
        trial = self.trial
        found = None if trial is None else self._confirmation(trial)
        sidecar = Sidecar() if trial is None else self.published(trial)
        path = None if self.sidecar is None else model_path(self._home, self.sidecar)
        return {
            "schema_version": _SCHEMA_VERSION,
            "study": self._study.name,
            "metric": self._study.metric,
            "directions": list(self._study.directions),
            "best_trial": None if trial is None else self._trial_json(trial),
            "confirmed": None if found is None else found.to_json(),
            "holdout": holdout_json(sidecar),
            "scores": None if trial is None else scores_json(self._scores(trial)),
            "pareto_front": [self._trial_json(one) for one in self.front] or None,
            "model_path": None if path is None else str(path),
            "model_trials": [] if self.sidecar is None else sorted(self.sidecar.best.numbers),
            "arguments_needed": self._had_arguments,
        }

    def _trial_json(self, trial: FrozenTrial) -> dict[str, Any]:
        return {
            **self._row(trial).to_json(),
            "again": self._again(str(trial.number)),
            "script": self._script(trial),
        }

    def to_toml(self) -> str:
        """A file for `--config` that trains the parameters as a study of their own.

        Raises:
            UsageError: a front is no one trial; or no file can say what an objective suggests.
        """
        study = self._study
        trial = self.trial
        if trial is None:
            front = ", ".join(str(one.number) for one in self.front[:10])
            raise UsageError(
                f"study {study.name} has {len(self.front)} Pareto-optimal trials: choose one with "
                f"--trial NUMBER ({front})"
            )
        settings = recorded_settings(study, self._paths.folder)
        params = dict(trial.params)
        if settings.job_kind.has_model_type:
            fixed: dict[str, Any] = {"spaces": {settings.model_type: params}, "dropout": None}
        elif settings.command is not None:
            fixed = {"space": params}
        else:
            again = self._again(str(trial.number))
            raise UsageError(
                "--toml is of a table or a script: no file can say what an objective suggests; "
                f"to train trial {trial.number} again: {again}"
            )
        alone = {"study_name": slug(f"{study.name}_trial_{trial.number}"), "n_trials": 1}
        unused = ("sampler", "pruner", "callback", "compare_models", "model_types")
        content = settings.to_json() | {name: getattr(_DEFAULTS, name) for name in unused}
        written = resolved(LaunchSettings.from_json(content | alone | fixed), defaults=False)
        return f"# Trial {trial.number} of study {study.name}, alone.\n\n{written}"
