"""`watch`: launch, judge, and where the model is critical try again with something changed.

Every attempt is an ordinary launch, in a study of its own. Every decision is a line in
NAME/decisions.jsonl, from which a watcher that was killed goes on.
"""

import json
from dataclasses import replace
from functools import partial
from typing import Any

from journal_launcher.base.errors import ExitCode, IdentityError, JournalLauncherError, UsageError
from journal_launcher.base.events import LaunchEnded, Listener, Note
from journal_launcher.base.paths import StudiesFolder, StudyPaths, is_study_name
from journal_launcher.base.verdict import CRITICAL, OK
from journal_launcher.health.decisions import Decision, Word, decisions
from journal_launcher.health.remedies import remedied
from journal_launcher.launcher import model_store
from journal_launcher.pipeline.freshness import CHANGED, MISSING, freshness
from journal_launcher.pipeline.launch_with_health import RunLaunch, launch_with_health, not_begun
from journal_launcher.settings.comparison import part
from journal_launcher.settings.inputs import check_inputs
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES
from journal_launcher.study.folder import check_folder
from journal_launcher.study.lease import Lease

__all__ = ["watched_launch"]


def watched_launch(
    settings: LaunchSettings,
    emit: Listener = lambda event: None,
    run: RunLaunch | None = None,
    *,
    retries: int = 2,
    other_types: bool = True,
    step_timeout: float | None = None,
) -> LaunchEnded:
    """Launch until a model is good enough, and publish it under the name of `settings`.

    other_types: where nothing else is left to change, try the next model type. step_timeout:
    seconds after which an attempt is stopped, whatever it is at, and has failed.

    Raises:
        JournalLauncherError: as `run_launch`, but for a failure of the launch itself.
    """
    if not settings.job_kind.has_health or settings.debug:
        raise UsageError("watch judges the models of a table (--data); for anything else type run")
    check_inputs(settings)
    studies = StudiesFolder.at(settings.studies_dir)
    home = studies.study(settings.name)
    if retries and not is_study_name(f"{home.name}_retry{retries}"):
        raise UsageError(
            f"study name {home.name}: watch adds _retry{retries} to it, which makes it too long; "
            "choose a shorter --study-name"
        )
    check_folder(home)  # a decision is written there also where nothing is launched
    launch = partial(launch_with_health, run=run, limit=step_timeout)
    attempt, current = _beginning(settings, home, retries)
    while True:
        ended = _attempt(current, attempt, emit, launch)
        if ended.exit_code not in (ExitCode.DONE, ExitCode.FAILED):
            break  # stopped: no decision
        word, reason = _decision(ended)
        then = None
        if word == Word.SKIP_MODEL and attempt < retries:
            then = _changed(settings, current, ended, other_types)
        if then is not None:
            then = replace(then, study_name=f"{home.name}_retry{attempt + 1}")
            word = Word.RETRY
            new = (f"{key} = {value}" for key, value in _differences(current, then).items())
            reason += f"; next: {', '.join(new)}"
        home.directory.mkdir(parents=True, exist_ok=True)
        Decision(
            word,
            reason,
            attempt,
            current.name,
            changed=_differences(settings, current),
            then=None if then is None else _differences(settings, then),
            asked=_asked(settings),
        ).append_to(home.decisions)
        emit(Note(f"{word}: {reason}", "note" if word == Word.PROCEED else "warning"))
        if then is None:
            ended = _closed(home, ended, word, reason)
            break
        attempt = attempt + 1
        current = then
    return ended


def _beginning(
    settings: LaunchSettings, home: StudyPaths, retries: int
) -> tuple[int, LaunchSettings]:
    """Where the last watcher stopped, or ended well, if its inputs are still the same."""
    *_, last = None, *decisions(home.decisions)
    if last is None or last.decision == Word.SKIP_MODEL or settings.overwrite:
        return 0, settings
    if last.asked != _asked(settings):
        return 0, settings
    try:
        judged = replace(settings, **last.changed)
        then = last.then and replace(settings, **last.then)
    except (UsageError, TypeError):  # they do not go with what is asked for now
        return 0, settings
    state = freshness(StudyPaths(home.folder, last.study), judged).state
    if state == CHANGED or (state == MISSING and not then):  # it may have failed without a study
        return 0, settings
    if then and last.attempt < retries:
        return last.attempt + 1, then
    return last.attempt, judged


def _asked(settings: LaunchSettings) -> dict[str, Any]:
    """What the user asks for, where it decides a trial's score."""
    found: dict[str, Any] = json.loads(json.dumps(settings.of_trials()))
    return found


def _attempt(
    current: LaunchSettings, attempt: int, emit: Listener, launch: RunLaunch
) -> LaunchEnded:
    """One launch. A study of other data or settings makes room; a failure is an end like others."""
    if not current.overwrite:
        found = freshness(StudiesFolder.at(current.studies_dir).study(current.name), current)
        emit(Note(f"{current.name} ({current.model_type}): {found.reason}"))
        if attempt and found.state == CHANGED:  # the first attempt's study is the user's as well
            current = replace(current, overwrite=True)
    try:
        return launch(current, emit)
    except IdentityError as changed:
        emit(Note(f"stale, so it is moved aside: {changed}", "warning"))
        return _attempt(replace(current, overwrite=True), attempt, emit, launch)
    except JournalLauncherError as error:
        # What was changed may not go with the user's settings or the machine: another failure.
        failed = (ExitCode.FAILED, ExitCode.USAGE) if attempt else (ExitCode.FAILED,)
        if error.exit_code not in failed:
            raise
        return not_begun(current, "failed", ExitCode.FAILED, str(error))


def _decision(ended: LaunchEnded) -> tuple[Word, str]:
    """(decision, reason); SKIP_MODEL stands unless something can be changed."""
    verdict = ended.health
    if verdict is None or ended.exit_code:
        return Word.SKIP_MODEL, f"{ended.study} {ended.exit_reason}: {ended.message}"
    reason = f"{ended.study} is {verdict.level}"
    if verdict.level == OK:
        return Word.PROCEED, reason
    word = Word.SKIP_MODEL if verdict.level == CRITICAL else Word.PROCEED_WITH_NOTE
    return word, f"{reason}: {verdict.reason or verdict.why}"


def _changed(
    settings: LaunchSettings, current: LaunchSettings, ended: LaunchEnded, other_types: bool
) -> LaunchSettings | None:
    """The next attempt: a remedy of what is critical, else the next simpler model type."""
    if ended.health is not None and not ended.exit_code:
        findings = [found.name for found in ended.health.findings if found.level == CRITICAL]
        if (changed := remedied(current, findings)) is not None:
            return changed
    kind = current.model_type
    types = [name for name, spec in MODEL_TYPES.items() if spec.installed or name == kind]
    following = types[(types.index(kind) + 1) % len(types)]
    return part(settings, following) if other_types and following != settings.model_type else None


def _differences(settings: LaunchSettings, current: LaunchSettings) -> dict[str, Any]:
    before = settings.to_json()
    return {name: value for name, value in current.to_json().items() if value != before[name]}


def _closed(home: StudyPaths, ended: LaunchEnded, word: Word, reason: str) -> LaunchEnded:
    """Publish a good model of a retry under the watched name; what is not good is a failure."""
    if word == Word.SKIP_MODEL:
        why = "skipped" if ended.exit_reason == "skipped" else "failed"
        message = f"{word}: {reason}"
        return replace(ended, exit_reason=why, exit_code=ExitCode.FAILED, message=message)
    if ended.study == home.name or ended.sidecar is None:
        return ended
    with Lease(home.lease, home.name, "watch"):
        source = StudyPaths(home.folder, ended.study)
        sidecar = model_store.republish(source, home, ended.sidecar)
    path = model_store.model_path(home, sidecar)
    return replace(ended, study=home.name, sidecar=sidecar, model_path=path)
