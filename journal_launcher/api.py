"""The program from Python: `launch` and `load_model`."""

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.events import Listener, Note
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.base.unknown_names import did_you_mean
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.options import option_of, parse_duration

if TYPE_CHECKING:
    from pandas import DataFrame

    from journal_launcher.tabular.predict import LoadedModel

__all__ = ["LaunchResult", "launch", "load_model"]

_View = Callable[[], AbstractContextManager[Listener]]

FRAME = "frame"
"""What a study of a table without a file is named after."""


@dataclass(frozen=True)
class LaunchResult:
    """How a launch ended.

    best_trial: {number, value or values, params}, None if no trial completed.
    model_path: the published model, a folder that `save_best` wrote, or the sidecar.
    exit_reason: complete, patience, timeout, stopped, failed, signal or skipped; exit_code as on
    the command line. health: ok, warning, critical or absent (not judged); None without a model of
    a table. journal: of the study; of a comparison there is none of this name.
    """

    study_name: str
    best_trial: dict[str, Any] | None
    model_path: Path | None
    exit_reason: str
    exit_code: int
    message: str | None
    health: str | None = None
    journal: Path | None = dataclasses.field(default=None, compare=False)

    @property
    def trials(self) -> "DataFrame":
        """All trials of the study as they are now, a row each; of a comparison the winner's.

        Columns: number, state, value (or values_0, …), params_*, device, duration_s (seconds),
        fold_0, … (scores), metric_* (means over the folds), reason (of a failure), user_attrs_*.

        Raises:
            UsageError: there is no such study, for the launch did not begin one.
        """
        from journal_launcher.tabular.frame_of_trials import frame_of
        from journal_launcher.views.best import study_of
        from journal_launcher.views.trials import TrialList

        listed = TrialList(study_of(self._home))
        return frame_of({**listed.columns(), **listed.attributes()})

    def report(self, out: Path | str | None = None) -> Path:
        """Write the page about the study (by default beside its journal) and return its path.

        Raises:
            UsageError: no study, no plotly, or `out` is another file that is no report.
        """
        from journal_launcher.views.report.page import report_path, write_report

        file = report_path(self._home) if out is None else Path(out).absolute()
        write_report(self._home, file, "report(out=…)")
        return file

    @property
    def _home(self) -> StudyPaths:
        assert self.journal is not None
        return StudyPaths(self.journal.parent, self.study_name)


def launch(
    *,
    on_event: Listener | None = None,
    progress: bool | None = None,
    save_best: Callable[..., Any] | None = None,
    **options: Any,
) -> LaunchResult:
    """Run one launch, the same as `journal-launcher run`, and wait for its end.

    `options` are those of the command line with underscores, such as
    `launch(objective=objective, n_trials=50, gpus="auto", timeout="2h")`; a path may be a Path, and
    `data` a DataFrame (or a table of polars or pyarrow): it is kept in the study's folder, and the
    study is called "frame" and the target, unless `study_name` is given.

    `objective` is a function of a module, of a notebook or any other, or the name of one, such as
    "train.py:objective". Workers are processes of their own: a function goes to them with the
    variables that it uses, and what it changes in them stays there. `save_best(study, directory)`
    likewise. Own samplers, pruners and callbacks are named, not passed. `arguments` is what follows
    `--`; `space`, `spaces`, `value` and `report` are what the tables of --config say.

    `progress`: show it, in a notebook in the cell, else as the command line does. Not given, a
    notebook without `on_event` shows it, and anything else prints nothing. Signal handlers are
    installed in the main thread only.

    Raises:
        UsageError: an option that does not exist or cannot work; nothing was started.
        JournalLauncherError: the study is in use, or its journal is damaged.
    """
    from journal_launcher.study.naming import named

    code: bytes | None = None
    objective = options.get("objective")
    if save_best is not None or not (objective is None or _is_name(objective)):
        options["objective"], code = _given(objective, save_best, options.get("study_name"))
    view = partial(_view, on_event, progress)
    data = options.get("data")
    if data is None or isinstance(data, str | os.PathLike):
        return _launch(named(_settings(options)), view, code)
    return _launch_frame(_settings({**options, "data": FRAME}), data, view)


def _is_name(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


def _given(objective: Any, save_best: Any, study_name: Any) -> tuple[str, bytes]:
    """(what the study calls the objective, the functions as workers get them)."""
    if objective is None:
        raise UsageError("launch(save_best=…) belongs to objective=…, found none")
    for name, value in (("objective", objective), ("save_best", save_best)):
        if not (callable(value) or value is None or (name == "objective" and _is_name(value))):
            raise UsageError(f"launch({name}=…): expected a function, found {value!r:.80}")
    from journal_launcher.launcher.given_code import GivenCode

    code = GivenCode.of(os.fspath(objective) if _is_name(objective) else objective, save_best)
    if code.reference.startswith("__main__:") and study_name is None:
        raise UsageError(
            'launch(objective=…): expected study_name="…" too, since no file gives the study of '
            "this function a name; the same name goes on with its trials later"
        )
    return code.reference, code.content


@contextmanager
def _view(on_event: Listener | None, progress: bool | None) -> Iterator[Listener]:
    """Who hears of a launch: the caller, and what draws."""
    from journal_launcher.views.listeners import fan_out, from_first_event

    heard = on_event or (lambda event: None)
    notebook = _in_notebook()
    if not (notebook and on_event is None if progress is None else progress):
        yield heard
        return

    def opened() -> AbstractContextManager[Listener]:
        from journal_launcher.views.cell import CellView
        from journal_launcher.views.view import make_view

        return CellView(sys.stdout) if notebook else make_view(sys.stderr.isatty(), False, 0)

    with from_first_event(opened) as view:
        yield fan_out(heard, view)


def _in_notebook() -> bool:
    """Is this Python a notebook's kernel? Nothing is imported to find out."""
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)
    return getattr(get_shell(), "kernel", None) is not None


def _launch_frame(settings: LaunchSettings, data: Any, view: _View) -> LaunchResult:
    """The launch of a table that is there in Python, and no file."""
    from journal_launcher.launcher.given_table import kept_table
    from journal_launcher.tabular.data.given_frames import as_frame, frame_file

    try:
        content = frame_file(as_frame(data))
    except UsageError as problem:
        raise UsageError(f"launch(data=…): {problem}") from None
    with kept_table(settings, content) as kept:
        with view() as listener:
            listener(Note(f"study {kept.name} has its data in {kept.data}"))
        return _launch(kept, view)


def _launch(settings: LaunchSettings, view: _View, code: bytes | None = None) -> LaunchResult:
    from journal_launcher.launcher.launch import run_launch
    from journal_launcher.pipeline.launch_with_health import launch_with_health

    if settings.compare_models:
        return _compare(settings, view)
    with view() as listener:
        ended = launch_with_health(settings, listener, partial(run_launch, code=code))
        listener(ended)
    return LaunchResult(
        ended.study,
        None if ended.best_trial is None else ended.best_trial.to_json(),
        ended.model_path,
        ended.exit_reason,
        int(ended.exit_code),
        ended.message,
        None if ended.health is None else ended.health.level,
        ended.journal,
    )


def _settings(options: dict[str, Any]) -> LaunchSettings:
    """What the options mean: paths and durations as people write them are fine."""
    known = {field.name: field for field in dataclasses.fields(LaunchSettings)}
    for name, value in options.items():
        if name not in known:
            raise UsageError(f"launch(): unknown option {name!r}{did_you_mean(name, known)}")
        if isinstance(value, os.PathLike):
            options[name] = value = os.fspath(value)
        if option_of(known[name]).reference or name == "objective":
            _check_named(name, value)
        if option_of(known[name]).many:
            options[name] = (value,) if isinstance(value, str) else value
        elif isinstance(value, str) and name in ("timeout", "trial_timeout"):
            options[name] = parse_duration(value)
    if options.get("debug"):
        raise UsageError(
            "launch(debug=True): one trial in the foreground takes over the terminal; type "
            "journal-launcher run --debug with the same options"
        )
    return LaunchSettings(**options)


def _check_named(option: str, given: Any) -> None:
    """Refuse an object where its name is needed: every worker imports it in its own process."""
    for item in given if isinstance(given, list | tuple) else (given,):
        if item is not None and not isinstance(item, str):
            module = getattr(item, "__module__", "module")
            name = getattr(item, "__name__", option)
            what = "function" if callable(item) else "object"
            raise UsageError(
                f'launch({option}=…): expected a name such as "{module}:{name}" or '
                f'"file.py:{name}", found the {what} itself; every worker imports it in its own '
                "process"
            )


def _compare(settings: LaunchSettings, view: _View) -> LaunchResult:
    from journal_launcher.pipeline.compare import compare_models

    found = compare_models(settings, view)
    sidecar = found.sidecar
    best = None
    if sidecar is not None:
        won = sidecar.best
        best = {"number": won.trial, "value": won.value, "params": won.params}
        best["confirmed_score"] = sidecar.confirmed.score
    path = found.model_path
    code = found.exit_code
    failed = (f"{model.model_type} failed: {model.message}" for model in found.failed)
    said = "; ".join((found.reason, *failed))
    journal = StudiesFolder.at(settings.studies_dir).study(found.name).journal
    return LaunchResult(found.name, best, path, found.exit_reason, code, said, journal=journal)


def load_model(path: Path | str) -> "LoadedModel":
    """The published best model at `path`: a study's folder, its sidecar, or the model file.

    Its `predict(DataFrame | ndarray)` returns (rows,) values or labels. Nothing is unpickled.

    Raises:
        UsageError: no model there, a file that does not match its sidecar, or a newer format.
    """
    from journal_launcher.tabular.predict import load

    return load(Path(path))
