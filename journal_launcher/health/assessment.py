"""Is a study's published model healthy?"""

from journal_launcher.base.artifacts.diagnostics import Diagnostics
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import UsageError
from journal_launcher.base.files import read_json
from journal_launcher.base.paths import StudyPaths, unknown_study
from journal_launcher.base.verdict import ABSENT, CRITICAL, OK, WARNING, Finding, Verdict
from journal_launcher.health.findings import against_baselines, findings_in
from journal_launcher.settings.limits import HealthLimits

__all__ = ["assess_health", "diagnostics_of"]

_SCHEMA_VERSION = 1
_LEVELS = (OK, WARNING, CRITICAL)


def assess_health(paths: StudyPaths, limits: HealthLimits | None = None) -> Verdict:
    """Judge the published model of a study by the diagnostics that were published with it.

    Diagnostics that are missing, unreadable or of another model judge nothing: "absent".

    Raises:
        UsageError: no such study, or no model in it.
    """
    if not paths.directory.is_dir():
        raise unknown_study(paths)
    try:
        sidecar = Sidecar.from_json(read_json(paths.sidecar, _SCHEMA_VERSION))
    except FileNotFoundError:
        raise UsageError(
            f"{paths.sidecar}: there is no model here yet; finish the study with "
            "journal-launcher run"
        ) from None
    except (ValueError, OSError) as problem:
        raise UsageError(str(problem)) from None
    try:
        diagnostics = diagnostics_of(paths, sidecar)
        findings = _worst(
            *findings_in(diagnostics, limits or HealthLimits()), *against_baselines(sidecar)
        )
    except (ValueError, OSError) as problem:
        return Verdict(paths.name, ABSENT, reason=str(problem))
    level = max((finding.level for finding in findings), key=_LEVELS.index)
    result = sidecar.provenance.launch or diagnostics.model_sha256
    return Verdict(paths.name, level, findings, result=str(result))


def _worst(*findings: Finding) -> tuple[Finding, ...]:
    """Each name once: what was looked at twice, on folds and on fresh ones, at its worse level."""
    found: dict[str, Finding] = {}
    for one in findings:
        other = found.get(one.name)
        if other is None or _LEVELS.index(one.level) > _LEVELS.index(other.level):
            found[one.name] = one
    return tuple(found.values())


def diagnostics_of(paths: StudyPaths, sidecar: Sidecar) -> Diagnostics:
    """What was measured of the model that the sidecar names.

    Raises:
        ValueError: there are no diagnostics of it, or none that can be read.
        OSError: as `read_json`.
    """
    if not sidecar.job_kind.has_health:
        raise ValueError("a script's model has no diagnostics")
    try:
        found = Diagnostics.from_json(read_json(paths.diagnostics, _SCHEMA_VERSION))
    except FileNotFoundError:
        raise ValueError(f"no {paths.diagnostics.name} beside the model") from None
    sha256 = (sidecar.files or {}).get(sidecar.model_file or "")
    if sidecar.left_out:  # by a comparison: its hash is gone, the diagnostics stayed
        sha256 = found.model_sha256
    if (found.trial, found.model_sha256) != (sidecar.best.trial, sha256):
        raise ValueError(f"{paths.diagnostics} belongs to another model and says nothing of this")
    if found.failed:
        raise ValueError(f"the diagnostics failed: {found.failed}")
    if found.odd:
        odd = ", ".join(found.odd)
        raise ValueError(f"{paths.diagnostics}: expected diagnostics, found no valid {odd}")
    return found
