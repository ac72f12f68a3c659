"""`run --compare-models`: a study for each model type, one winner published under one name.

Every type's launch is an ordinary one and survives a kill like any other; whatever was finished is
found again by the same command. The hold-out is shown and decides nothing.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import field, replace
from typing import Any

from journal_launcher.base.artifacts.scores import Baselines
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import (
    ExitCode,
    JournalLauncherError,
    StudyInUseError,
    UsageError,
)
from journal_launcher.base.events import ComparedModel, Comparison, LaunchEnded, Listener, Note
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.launcher import model_store
from journal_launcher.launcher.archive import move_aside
from journal_launcher.launcher.launch import run_launch
from journal_launcher.launcher.rehearsal import rehearse
from journal_launcher.launcher.trouble import nothing_left_of_bad_input
from journal_launcher.pipeline.corrected_t import corrected_t
from journal_launcher.pipeline.launch_with_health import WrappedLaunch, launch_with_health
from journal_launcher.settings.comparison import parts_of
from journal_launcher.settings.inputs import check_inputs
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import SIMPLEST_FIRST, check_installed
from journal_launcher.study.folder import check_folder
from journal_launcher.study.lease import Lease

__all__ = ["compare_models"]

NOISE = 1.0
"""Standard errors: what a simpler type may be behind, Breiman's one-standard-error rule."""
STOPPED = (ExitCode.RESUMABLE, ExitCode.INTERRUPTED)

OF_THE_RUN = {"exit_code", "exit_reason", "seconds", "folder", "overwrite", "model_path", "sidecar"}
View = Callable[[], AbstractContextManager[Listener]]


def compare_models(
    settings: LaunchSettings,
    view: View,
    launch: WrappedLaunch = launch_with_health,
    watched: bool = False,
) -> Comparison:
    """Launch every model type in turn and publish the best one. `view` is opened for each launch.

    watched: nobody is there to mend a type, so one that fails is left out, and `launch` itself
    begins anew a study of other data or settings.

    Raises:
        JournalLauncherError: bad usage or input, a type that cannot learn from the table (unless
            --leave-out-failed), or none could even start.
    """
    if watched:
        settings = replace(settings, leave_out_failed=True)
    parts = parts_of(settings)
    check_inputs(settings)
    studies = StudiesFolder.at(settings.studies_dir)
    paths = studies.study(settings.name)
    if paths.journal.exists():
        raise UsageError(
            f"{paths.journal} is a study of its own; give the comparison another --study-name"
        )
    for one in parts.values():  # it is no failure of the type
        check_folder(studies.study(one.name))
    with nothing_left_of_bad_input(paths), Lease(paths.lease, paths.name, "comparison") as lease:
        asked = replace(settings, overwrite=True) if watched else settings
        return _Comparing(settings, parts, paths, view, launch).run(asked, lease)


@dataclass
class _Comparing:
    """One comparison while it runs. `ended` and `errors`: what became of each model type."""

    settings: LaunchSettings
    parts: dict[str, LaunchSettings]
    paths: StudyPaths
    view: View
    launch: WrappedLaunch
    ended: dict[str, LaunchEnded] = field(default_factory=dict)
    errors: dict[str, JournalLauncherError] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def run(self, rehearsed: LaunchSettings, lease: Lease) -> Comparison:
        self._rehearse(rehearsed, lease)
        if self.settings.overwrite and self.paths.sidecar.exists():
            # Nobody shall take the old winner for the new one meanwhile.
            move_aside(self.paths, self.settings.data)
        for name in self.parts:
            if name in self.errors:
                continue
            self._launch(name, whole=self.settings.save_all_models)
            if name in self.ended and self.ended[name].exit_code in STOPPED:
                return _unpublished(self._result(), self.ended[name])
        if not self.ended:
            raise next(iter(self.errors.values()))
        found = self._result()
        return found if found.winner is None else self._publish(found, found.winner)

    def _rehearse(self, rehearsed: LaunchSettings, lease: Lease) -> None:
        """Try every type on the table before any takes its time."""
        with self.view() as listen:
            if self.settings.model_types is None:
                _say_what_is_left_out(listen)
            listen(Note(f"trying {len(self.parts)} model types before the first trial"))
            problems = rehearse(rehearsed, self.paths, lease, listen)
            if problems and not self.settings.leave_out_failed:
                raise UsageError(_refusal(problems, len(self.parts)))
            for name, problem in problems.items():
                listen(Note(f"left out: {name}: {problem}", "warning"))
                self.errors[name] = UsageError(problem)

    def _launch(self, name: str, *, whole: bool) -> None:
        """Run one type; what it raises is its own failure, unless every type would raise it.

        whole: refit a model that an earlier comparison left out.
        """
        place = f"{list(self.parts).index(name) + 1} of {len(self.parts)}"
        paths = self._paths_of(name)
        if whole and (found := model_store.read(paths)) is not None and found.left_out:
            paths.sidecar.unlink()
        with self.view() as listen:
            listen(Note(f"comparing model types, {place}: {name}"))
            try:
                ended = self.launch(
                    self.parts[name],
                    listen,
                    lambda part, emit, **more: run_launch(
                        part, emit, part_of=self.paths.name, **more
                    ),
                )
                listen(_in_brief(ended, name))
                self._check_folds(name, ended)
                self.ended[name] = ended
            except JournalLauncherError as error:
                same = not self.ended and str(error) in map(str, self.errors.values())
                if same or error.exit_code in STOPPED:
                    raise  # it is not the type's fault
                self.errors[name] = error
                listen(Note(f"{name} failed: {error}", "warning"))

    def _check_folds(self, name: str, ended: LaunchEnded) -> None:
        """Refuse a study whose rows were divided in another way: it was begun with another seed, or
        the data changed since."""
        for other, earlier in self.ended.items():
            mine = ended.sidecar
            theirs = earlier.sidecar
            if mine is None or theirs is None:
                continue
            if (mine.rows, ended.folds) != (theirs.rows, earlier.folds):
                study = self.parts[name].name
                raise UsageError(
                    f"{study} has another seed or other data than {self.parts[other].name}, or was "
                    "begun under another rule, and so has other folds; give all --seed, or begin "
                    "anew with --overwrite"
                )

    def _paths_of(self, name: str) -> StudyPaths:
        return StudyPaths(self.paths.folder, self.parts[name].name)

    # --- what came out

    def _result(self) -> Comparison:
        ended = self.ended.values()
        worst = max(ended, key=lambda e: e.exit_code)
        opened = next((e for e in ended if e.directions), worst)
        direction = opened.directions[0] if opened.directions else "maximize"
        sidecars = {n: e.sidecar for n, e in self.ended.items() if e.sidecar and not e.exit_code}
        confirmed = all(s.confirmed.score is not None for s in sidecars.values())
        models = [
            self._model(name, sidecars.get(name, Sidecar()), confirmed) for name in self.parts
        ]
        ranked = _ranked(models, direction)
        metric = opened.metric or "score"
        winner, p, reason = _choose(ranked, metric, growing=self.settings.split == "time")
        found = Comparison(
            name=self.paths.name,
            metric=metric,
            direction=direction,
            confirmed=confirmed,
            models=ranked,
            baselines=next((e.baselines for e in ended if e.baselines), Baselines()),
            winner=winner,
            p_value=p,
            reason=reason,
            exit_code=ExitCode.DONE,
            exit_reason=worst.exit_reason,
            seconds=time.monotonic() - self.began,
            folder=self.paths.folder,
            overwrite=self.settings.overwrite,
        )
        tolerated = self.settings.leave_out_failed and winner is not None
        if found.failed and not tolerated:
            return replace(found, exit_code=ExitCode.FAILED, exit_reason="failed")
        return found

    def _model(self, name: str, sidecar: Sidecar, confirmed: bool) -> ComparedModel:
        """sidecar: what is published, if the type succeeded; else empty."""
        study = self.parts[name].name
        ended = self.ended.get(name)
        if ended is None:
            return ComparedModel(name, study, message=str(self.errors.get(name, "not run")))
        folds = sidecar.confirmed.fold_scores if confirmed else sidecar.fold_scores
        interval = sidecar.holdout.interval
        return ComparedModel(
            name,
            study,
            score=sidecar.confirmed.score if confirmed else sidecar.best.value,
            fold_scores=list(folds or ()),
            holdout=(sidecar.holdout.metrics or {}).get(sidecar.metric or ""),
            holdout_interval=None if interval is None else list(interval),
            seconds=ended.trial_seconds,
            n_finished=ended.n_finished,
            n_failed=ended.n_failed,
            message=ended.message,
            skipped=ended.exit_reason == "skipped" and not ended.exit_code,
        )

    # --- the winner

    def _publish(self, found: Comparison, name: str) -> Comparison:
        """Copy the winner's model to the comparison's name, then leave the others' models out."""
        told = {key: value for key, value in found.to_json().items() if key not in OF_THE_RUN}
        told["models"] = list(told["models"])
        published = self._republish(name, told)
        if published is None:  # left out by an earlier comparison, which it did not win
            del self.ended[name]
            self._launch(name, whole=True)
            if name not in self.ended:
                raise self.errors[name]
            published = self._republish(name, told)
        if published is None:
            return _unpublished(found, self.ended[name])
        for other in self.parts if not self.settings.save_all_models else ():
            self._leave_out(self._paths_of(other))
        return replace(
            found,
            exit_reason="complete" if found.exit_code == ExitCode.DONE else found.exit_reason,
            model_path=model_store.model_path(self.paths, published),
            sidecar=published,
        )

    def _republish(self, name: str, told: dict[str, Any]) -> Sidecar | None:
        source = self._paths_of(name)
        ended = self.ended[name]
        if ended.sidecar is None or ended.exit_code:
            return None
        return model_store.republish(source, self.paths, ended.sidecar, told)

    def _leave_out(self, paths: StudyPaths) -> None:
        """Only what a comparison of this name published: a model of the user's own run stays."""
        sidecar = model_store.read(paths)
        if sidecar is not None and sidecar.provenance.part_of == self.paths.name:
            with suppress(StudyInUseError), Lease(paths.lease, paths.name, "comparison"):
                model_store.leave_out(paths, sidecar)


def _refusal(problems: dict[str, str], n_types: int) -> str:
    """One line for what is wrong with some types, or all: the first one in full."""
    name, *others = problems
    told = f"{name}: {problems[name]}"
    if others:
        told += f"; {', '.join(others)} failed too"
    told += "; no trial was run: mend that"
    if len(problems) < n_types:
        told += ", or leave out what fails with --leave-out-failed"
    return told


def _say_what_is_left_out(listen: Listener) -> None:
    for name in SIMPLEST_FIRST:
        try:
            check_installed(name)
        except UsageError as missing:
            listen(Note(f"left out: {missing}"))


def _unpublished(found: Comparison, ended: LaunchEnded) -> Comparison:
    code = ended.exit_code or ExitCode.FAILED
    return replace(found, winner=None, exit_code=code, exit_reason=ended.exit_reason)


def _in_brief(ended: LaunchEnded, name: str) -> Note:
    """A launch within a comparison ends with one line instead of a summary."""
    if ended.exit_reason == "skipped":
        return Note(ended.message or f"{name} is skipped")
    if ended.exit_code == 0:
        return Note(f"{name}: {ended.n_finished} of {ended.n_trials} trials finished")
    return Note(f"{name} failed: {ended.message or ended.exit_reason}", "warning")


def _ranked(models: list[ComparedModel], direction: str) -> tuple[ComparedModel, ...]:
    """Best score first, with ranks; equal scores: the simpler first; failed types last."""
    sign = 1 if direction == "minimize" else -1
    scored = sorted(
        (model for model in models if model.score is not None),
        key=lambda m: (sign * (m.score or 0.0), SIMPLEST_FIRST.index(m.model_type)),
    )
    ranked = [replace(model, rank=rank) for rank, model in enumerate(scored, start=1)]
    return (*ranked, *(model for model in models if model.score is None))


def _choose(
    models: tuple[ComparedModel, ...], metric: str, growing: bool = False
) -> tuple[str | None, float | None, str]:
    """(winner, p of the first against the second, why), from `_ranked` models; see `corrected_t`.

    The reason is a sentence that begins with the winner.
    """
    scored = [model for model in models if model.score is not None]
    if not scored:
        return None, None, "no model type has a score"
    first, *others = scored
    if not others:
        return first.model_type, None, f"{first.model_type}, the only one with a score"
    second = others[0]
    t, p = corrected_t(first.fold_scores, second.fold_scores, growing)
    best = f"{metric} {first.score:.5g}"
    next_best = f"{second.score:.5g}"
    test = f"(corrected t-test, p = {p:.2g})"
    simpler = min(first, second, key=lambda m: SIMPLEST_FIRST.index(m.model_type))
    if abs(t) > NOISE:
        why = (
            f"its {best} is better than the {next_best} of {second.model_type} "
            f"by more than a standard error {test}"
        )
    elif simpler is first:
        why = (
            f"its {best} is the best, and {second.model_type}, within a standard error of it "
            f"with {next_best} {test}, is not simpler"
        )
    else:
        first, second = second, first
        why = (
            f"it is simpler than {second.model_type}, whose {best} is ahead of its {next_best} "
            f"by no more than a standard error {test}"
        )
    return first.model_type, p, f"{first.model_type}, because {why}"
