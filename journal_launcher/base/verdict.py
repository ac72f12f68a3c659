"""What was found out about a trained model: the words that judging, drawing and counting share."""

from dataclasses import asdict
from typing import Any

from journal_launcher.base.dataclass import dataclass

__all__ = ["ABSENT", "CRITICAL", "OK", "WARNING", "Finding", "Verdict"]

OK = "ok"
WARNING = "warning"
CRITICAL = "critical"
ABSENT = "absent"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. threshold: the one crossed, or where a warning begins."""

    name: str
    level: str
    value: float
    threshold: float
    text: str


@dataclass(frozen=True)
class Verdict:
    """The level of the worst finding, or "absent" with a reason: nothing can be judged.

    result: identifies the judged model, so that it counts once.
    """

    study: str
    level: str
    findings: tuple[Finding, ...] = ()
    reason: str | None = None
    result: str | None = None

    @property
    def why(self) -> str:
        """The findings at its level, in short."""
        worst = [f for f in self.findings if f.level == self.level]
        return ", ".join(f"{f.name} {f.value:.3g} (limit {f.threshold:.3g})" for f in worst)

    @property
    def names_baselines(self) -> bool:
        """Whether what had to be beaten is among the findings: then nobody else judges that."""
        return any(found.name.startswith("better_than_") for found in self.findings)

    def to_json(self) -> dict[str, Any]:
        findings = [asdict(finding) for finding in self.findings]
        content = {"study": self.study, "level": self.level, "reason": self.reason}
        return {"schema_version": 1, **content, "findings": findings}
