"""Is a study's model what the same command would give now? Fingerprints decide; times only ask."""

import json

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.sidecar import Best, Sidecar
from journal_launcher.base.data_source import data_source, locate_data
from journal_launcher.base.data_text import fingerprint
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.times import utc
from journal_launcher.launcher import model_store
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.confirmation import winner
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.study import StudyHandle

__all__ = ["CHANGED", "FRESH", "MISSING", "STALE", "Freshness", "freshness"]

FRESH = "fresh"
STALE = "stale"
CHANGED = "changed"
MISSING = "missing"
_JUDGING = {"health", "skip", "ignore_skip", "strict_data"}
"""What is said about a model and changes none."""


@dataclass(frozen=True)
class Freshness:
    """state: fresh; stale: the inputs are the same, but there is more to do; changed: they are not;
    missing: there is no study."""

    state: str
    reason: str


def freshness(paths: StudyPaths, settings: LaunchSettings) -> Freshness:
    """Compare a study and its model with what `settings` ask for. Changes nothing.

    Raises:
        JournalLauncherError: the journal is damaged.
    """
    study = None
    if paths.journal.exists():
        study = StudyHandle.find(
            open_storage(paths.journal, read_only=True, allow_network_fs=True), paths.name
        )
    if study is None or study.identity is None:
        return Freshness(MISSING, "no study yet")
    source = data_source(settings.data)
    asked = json.loads(json.dumps({**settings.of_trials(), "data": source}))
    found = study.settings
    other = [key for key in sorted({*asked, *found} - _JUDGING) if asked.get(key) != found.get(key)]
    if other:
        return Freshness(CHANGED, f"made with other settings: {', '.join(other)}")
    sidecar = model_store.published(paths, Best())
    same, times = _data(source, study.identity.data_sha256, sidecar)
    if not same:
        return Freshness(CHANGED, f"made from other data{times}")
    stale = _unfinished(study, settings, sidecar)
    return Freshness(STALE if stale else FRESH, (stale or "fresh and complete") + times)


def _data(source: str, sha256: str | None, sidecar: Sidecar | None) -> tuple[bool, str]:
    """(is it the data of the study?, the times). It is read only if it is newer than the launch
    that published: then something may have replaced it since."""
    published = (sidecar.provenance.started if sidecar else None) or ""
    if source.startswith("sklearn:"):
        return True, ""  # the launch itself compares it
    try:
        data = locate_data(source)
        stats = [path.stat() for path in (*data.files, *data.folders)]
    except (UsageError, OSError):
        return True, ""  # the launch misses it
    changed = utc(max(max(stat.st_mtime, stat.st_ctime) for stat in stats))  # `cp -p` keeps one
    times = f" (data of {changed}, model of {published or 'no time'})"
    if changed < published:
        return True, times
    try:
        return fingerprint(source) == sha256, times
    except UsageError:  # the launch says what is wrong with it
        return True, times


def _unfinished(
    study: StudyHandle, settings: LaunchSettings, sidecar: Sidecar | None
) -> str | None:
    """What is left to do, if anything."""
    finished = study.count()[0]
    best = winner(study, settings.confirm)
    identity = study.identity or Identity()
    if sidecar is None or sidecar.best.identity_sha256 != identity.sha256:
        return "no model of this study is published"
    if best is None or best.number != sidecar.best.trial:
        return "the best trial is another one by now"
    if study.wants_more(settings.n_trials) or finished != sidecar.counts.n_finished:
        return f"{finished} trials finished, {sidecar.counts.n_finished} when the model was saved"
    return None
