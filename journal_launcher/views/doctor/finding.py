"""What `doctor` says: one line for each thing that it looked at."""

from typing import Any, Literal

from journal_launcher.base.dataclass import dataclass

__all__ = ["Finding", "Level", "doctor_json", "doctor_lines", "gib"]

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    level: `problem` would stop a launch, or keep it from every GPU there is; `note` is worth
    knowing. remedy: what to do, of a problem always.
    """

    level: Level
    topic: str
    text: str
    remedy: str = ""


def doctor_lines(findings: list[Finding]) -> list[str]:
    """A line for each finding."""
    return [
        f"{found.level:<9}{found.topic:<11}{found.text}{'; ' if found.remedy else ''}{found.remedy}"
        for found in findings
    ]


def doctor_json(findings: list[Finding]) -> dict[str, Any]:
    """The same for a script."""
    return {
        "schema_version": 1,
        "can_launch": all(found.level != "problem" for found in findings),
        "findings": [vars(found) for found in findings],
    }


def gib(size: float) -> str:
    """A size in bytes, in GiB."""
    return f"{size / 2**30:.1f} GiB"
