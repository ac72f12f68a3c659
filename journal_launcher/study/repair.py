"""`journal-launcher repair`: find what is wrong with a journal, and mend what is beyond doubt.

Ids are positions: a replay numbers trials by the order of their CREATE records. Dropping unreadable
bytes that were such a record would give every later trial another one's results. Where that is
possible, repair replays the journal both without them and with a trial in their place, and accepts
the result only if exactly one of the two makes sense of every later record. Where nothing is
created afterwards, no id can shift: the bytes are dropped, as half a record at the end is.
"""

import itertools
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from optuna.storages.journal._file import get_lock_file
from optuna.storages.journal._storage import JournalOperation

from journal_launcher.base.files import write_bytes
from journal_launcher.study.journal.backend import DurableJournalFileBackend
from journal_launcher.study.journal.lines import parse_record
from journal_launcher.study.journal.lock import JournalLock
from journal_launcher.study.replay import Variant
from journal_launcher.study.salvage import Problem, Scan

__all__ = ["Problem", "Report", "diagnose", "repair"]

_MOST_HOLES = 6  # each doubles the number of replays


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
    replaced: int = 0  # lost trials that got a placeholder
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
        if self.replaced:
            counts += f", {self.replaced} lost trials replaced"
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
    with get_lock_file(JournalLock(str(path))):
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
    report = Report(
        Path(os.path.abspath(path)),
        "unrepairable",
        len(scan.pieces),
        problems=tuple(scan.problems),
        recovered=scan.recovered,
    )
    if scan.holes > _MOST_HOLES:
        return replace(report, reason=f"{scan.holes} places may have held a trial"), b""
    fitting, reason = _fitting(scan)
    if len(fitting) != 1:
        return replace(report, reason=reason), b""
    if not scan.problems:
        return replace(report, verdict="sound"), b""
    mended = fitting[0]
    report = replace(report, records=len(mended.content), replaced=mended.replaced)
    return replace(report, verdict="repairable"), b"".join(mended.content)


def _fitting(scan: Scan) -> tuple[list[Variant], str]:
    """The different ways to fill the holes that make sense, and why there is not exactly one."""
    fitting: list[Variant] = []
    reason = ""
    for filled in itertools.product((False, True), repeat=scan.holes):
        variant = Variant(scan.pieces, filled)
        if variant.fits and not any(filled) and _renumbers_nothing(scan):
            return [variant], ""
        reason = variant.meaningless or reason
        if variant.fits and all(variant.content != other.content for other in fitting):
            fitting.append(variant)
    how = "both with and without" if fitting else "neither with nor without"
    return fitting, reason or f"later records make sense {how} a trial in place of the lost bytes"


def _renumbers_nothing(scan: Scan) -> bool:
    """No study or trial is created after the first hole: what is dropped there shifts no id."""
    after = itertools.dropwhile(lambda piece: piece is not None, scan.pieces)
    creates = (JournalOperation.CREATE_STUDY, JournalOperation.CREATE_TRIAL)
    return not any(piece and parse_record(piece)["op_code"] in creates for piece in after)
