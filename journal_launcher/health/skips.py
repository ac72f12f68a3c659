"""What the skip registry is about, and what it knows of it."""

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from journal_launcher.base.paths import absolute
from journal_launcher.settings.launch_settings import LaunchSettings

__all__ = ["Entry", "Subject"]


@dataclass(frozen=True)
class Subject:
    """What is judged. data: an absolute path or sklearn:NAME, whose target goes without saying."""

    model_type: str
    data: str
    target: str | None

    @classmethod
    def of(cls, settings: LaunchSettings) -> "Subject":
        if settings.data.startswith("sklearn:"):
            return cls(settings.model_type, settings.data, None)
        data = os.path.abspath(absolute(settings.data))
        target = settings.target or ("y" if data.lower().endswith(".npz") else None)
        return cls(settings.model_type, data, target)

    def __str__(self) -> str:
        return f"{self.model_type} on {self.data}" + (f" ({self.target})" if self.target else "")


@dataclass(frozen=True)
class Entry:
    """What is known of a subject.

    why: the latest critical result. skip_until, updated: ISO 8601. judged: the latest results.
    """

    model_type: str
    data: str
    target: str | None
    critical_in_a_row: int = 0
    skip_until: str | None = None
    why: str = ""
    updated: str = ""
    judged: tuple[str, ...] = ()

    @property
    def subject(self) -> Subject:
        return Subject(self.model_type, self.data, self.target)

    def __str__(self) -> str:
        until = f"skipped until {self.skip_until}" if self.skip_until else "not skipped"
        return f"{self.subject}: {until}, {self.critical_in_a_row} critical in a row: {self.why}"

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> "Entry":
        """Raise ValueError, KeyError or TypeError if `item` is none."""
        optional = [item[key] for key in ("target", "skip_until") if item[key] is not None]
        texts = [item[key] for key in ("model_type", "data", "why", "updated")]
        listed = isinstance(item["judged"], list) and type(item["critical_in_a_row"]) is int
        if not listed or not all(isinstance(t, str) for t in (*texts, *optional, *item["judged"])):
            raise ValueError(f"expected an entry of the skip registry, found {item}")
        entry = cls(**{**item, "judged": tuple(item["judged"])})
        if entry.skip_until is not None and datetime.fromisoformat(entry.skip_until).tzinfo is None:
            raise ValueError(f"expected skip_until with a zone, found {entry.skip_until}")
        return entry
