"""Which model types fail a table again and again, and are passed over for a while.

One file for all studies of a folder. Writers hold an operating-system lock and replace the file
whole; readers need no lock. Times are the wall clock's, in UTC.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.files import locked, read_json, write_json
from journal_launcher.base.paths import absolute
from journal_launcher.base.times import utc
from journal_launcher.base.verdict import ABSENT, CRITICAL, Verdict
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.limits import SkipLimits

__all__ = ["Entry", "SkipRegistry", "Subject"]

_SCHEMA_VERSION = 1
_REMEMBERED = 100
"""Results of a subject that are known by name, so that none counts twice."""


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


class SkipRegistry:
    """The registry in the file `path`, which need not exist.

    Every method raises UsageError if the file is damaged; it is not replaced then.
    """

    def __init__(
        self,
        path: Path,
        limits: SkipLimits | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = path
        self._limits = limits or SkipLimits()
        self._clock = clock

    def skipped(self, subject: Subject) -> Entry | None:
        """The entry that says to skip `subject` now, if there is one."""
        entry = self._read().get(subject)
        if entry is None or entry.skip_until is None:
            return None
        return entry if self._clock() < datetime.fromisoformat(entry.skip_until) else None

    def entries(self) -> list[Entry]:
        return list(self._read().values())

    def record(self, subject: Subject, verdict: Verdict) -> Entry | None:
        """Count a judged result, once. Critical ones add up; any other begins anew."""
        if verdict.level == ABSENT or verdict.result is None:
            return None
        with locked(self.path):
            entries = self._read()
            entry = entries.get(subject) or Entry(**asdict(subject))
            if verdict.result not in entry.judged:
                entry = entries[subject] = self._after(entry, verdict, verdict.result)
                self._write(entries)
        return entry

    def clear(self, model_type: str | None = None, data: str | None = None) -> list[Entry]:
        """Begin anew with the critical entries that agree with what is given; return them.

        Their results stay known: repeating an old command does not count them again.
        """
        if not self.path.exists():
            return []
        with locked(self.path):
            entries = self._read()
            gone = [
                entry
                for entry in entries.values()
                if entry.critical_in_a_row
                and entry.model_type == (model_type or entry.model_type)
                and entry.data == (data or entry.data)
            ]
            for entry in gone:
                entries[entry.subject] = replace(entry, critical_in_a_row=0, skip_until=None)
            if gone:
                self._write(entries)
        return gone

    def _after(self, entry: Entry, verdict: Verdict, result: str) -> Entry:
        now = self._clock()
        judged = (*entry.judged, result)[-_REMEMBERED:]
        entry = replace(entry, judged=judged, updated=utc(now.timestamp()))
        if verdict.level != CRITICAL:
            return replace(entry, critical_in_a_row=0, skip_until=None)
        count = entry.critical_in_a_row + 1
        skip = count >= self._limits.critical_results
        until = utc((now + timedelta(hours=self._limits.hours)).timestamp()) if skip else None
        return replace(entry, critical_in_a_row=count, skip_until=until, why=verdict.why)

    def _read(self) -> dict[Subject, Entry]:
        try:
            content = read_json(self.path, _SCHEMA_VERSION)
            entries = [Entry.from_json(item) for item in content["entries"]]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as problem:
            odd = isinstance(problem, KeyError | TypeError)
            what = f"found {problem!r}" if odd else str(problem)
            raise UsageError(
                f"{self.path}: the skip registry cannot be read ({what}); mend it, or remove it to "
                "forget what is skipped"
            ) from None
        return {entry.subject: entry for entry in entries}

    def _write(self, entries: dict[Subject, Entry]) -> None:
        listed = [asdict(entry) for entry in entries.values()]
        write_json(self.path, {"schema_version": _SCHEMA_VERSION, "entries": listed})
