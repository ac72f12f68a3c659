"""`journal-launcher repair`: find what is wrong with a journal, and mend what is beyond doubt.

Unreadable bytes are dropped where no trial was lost with them; see `positions`.
"""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.files import write_bytes
from journal_launcher.study.journal.backend import DurableJournalFileBackend
from journal_launcher.study.journal.lock import JournalLock, holding
from journal_launcher.study.positions import find_doubt
from journal_launcher.study.salvage import Problem, Scan

__all__ = ["Problem", "Report", "diagnose", "repair"]

_THEN = "put the journal back from a copy, or begin anew with --overwrite"


@dataclass(frozen=True)
class Report:
    """What is wrong with a journal and what became of it.

    `verdict` is "repairable" after `diagnose` and a dry run, "repaired" after `repair`.
    """

    journal: Path
    verdict: Literal["sound", "repairable", "repaired", "unrepairable"]
    records: int
    problems: tuple[Problem, ...] = ()
    recovered: int = 0  # whole records found in unreadable lines
    reason: str = ""  # why it cannot be repaired
    backup: Path | None = None

    def lines(self) -> list[str]:
        """The report for a person."""
        found = [f"line {p.line}, byte {p.byte}: {p.what}" for p in self.problems]
        if self.verdict == "sound":
            return [f"{self.journal}: sound, {self.records} records"]
        if self.verdict == "unrepairable":
            return [*found, f"{self.journal}: cannot be repaired, nothing changed: {self.reason}"]
        counts = f"{self.records} records, {self.recovered} of them recovered"
        kept = f"; the original is {self.backup}" if self.backup else ""
        return [*found, f"{self.journal}: {self.verdict}: {counts}{kept}"]


def diagnose(path: Path | str) -> Report:
    """Say what is wrong with a journal and whether `repair` can mend it; change nothing.

    Raises:
        UsageError: no journal there.
    """
    return _examine(Path(path))[0]


def repair(path: Path | str, dry_run: bool = False) -> Report:
    """Mend a journal, keeping the original beside it as NAME.log.<UTC time>.bak.

    Takes the journal's lock. Processes that have it open stop with "journal changed underneath".

    Raises:
        UsageError: no journal there.
        OSError: the folder cannot be written; the journal is as it was.
    """
    path = Path(os.path.abspath(path))
    if dry_run:
        return diagnose(path)
    DurableJournalFileBackend(path, create=False, allow_network_fs=True)  # checks that it can be
    with holding(JournalLock(str(path))):
        report, content = _examine(path)
        if report.verdict != "repairable":
            return report
        backup = path.with_name(f"{path.name}.{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.bak")
        os.link(path, backup)
        write_bytes(path, content)
    return replace(report, verdict="repaired", backup=backup)


def _examine(path: Path) -> tuple[Report, bytes]:
    """The report, and the mended content if there is one."""
    DurableJournalFileBackend(path, create=False, read_only=True)  # checks what it is
    scan = Scan()
    with path.open("rb") as file:
        for line in file:
            scan.read(line)
    records = [piece for piece in scan.pieces if piece is not None]
    report = Report(
        Path(os.path.abspath(path)),
        "sound",
        len(records),
        problems=tuple(scan.problems),
        recovered=scan.recovered,
    )
    if reason := find_doubt(scan.pieces):
        return replace(report, verdict="unrepairable", reason=f"{reason}; {_THEN}"), b""
    if scan.problems:
        report = replace(report, verdict="repairable")
    return report, b"".join(records)
