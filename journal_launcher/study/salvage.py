"""Cut a damaged journal into whole records and holes."""

import re
from dataclasses import field

from journal_launcher.base.dataclass import dataclass
from journal_launcher.study.journal.lines import parse_record

__all__ = ["Pieces", "Problem", "Scan"]

_STARTS = re.compile(rb'(?=\{"op_code":)|(\0+)')  # inside a record's strings, quotes are escaped
_UNFINISHED = re.compile(rb'\{"op_code":[ -~]*')  # a whole beginning: killed in mid-write
_NOT_A_CREATE = re.compile(rb'\{"op_code":([1-35-9]|10),[ -~]*')

# Records; None is a hole: lost bytes that may have created a trial.
Pieces = list[bytes | None]


@dataclass(frozen=True)
class Problem:
    """One unreadable place; `line` and `byte` count from 1 and 0."""

    line: int
    byte: int
    what: str


@dataclass
class Scan:
    """Cut the journal into records and holes; `recovered` counts records of unreadable lines."""

    pieces: Pieces = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    recovered: int = 0
    _byte: int = 0
    _line: int = 0

    @property
    def holes(self) -> int:
        """How many places may have held a lost trial."""
        return self.pieces.count(None)

    def read(self, line: bytes) -> None:
        """Take the next line of the journal, with its newline if it has one."""
        self._line += 1
        try:
            parse_record(line)
        except ValueError as error:
            what = str(error)
            salvaged = _salvage(line)
        else:
            what = "" if line.endswith(b"\n") else "a record that lacks its newline"
            salvaged = [line if not what else line + b"\n"]
        if what:
            saved = len(salvaged) - salvaged.count(None)
            self.recovered += saved
            self.problems.append(
                Problem(self._line, self._byte, f"{what}; {saved} records recovered")
            )
        self.pieces += salvaged
        self._byte += len(line)


def _salvage(line: bytes) -> Pieces:
    """Whole records inside an unreadable line, and a hole where a lost record may have been."""
    parts = [part for part in _STARTS.split(line.rstrip(b"\r\n")) if part and part.strip()]
    whole = [_is_record(part) for part in parts]
    pieces: Pieces = []
    for index, part in enumerate(parts):
        followed = any(whole[index + 1 :])
        if whole[index]:
            pieces.append(part + b"\n")
        elif _certainly_lost(part, followed, line):
            continue
        elif None not in pieces[-1:]:
            pieces.append(None)
    return pieces


def _certainly_lost(part: bytes, followed: bool, line: bytes) -> bool:
    """Whether `part` is no hole: never acknowledged, or no CREATE record, so nobody counted it."""
    if not line.endswith(b"\n"):
        return True  # the torn tail of the journal
    if _NOT_A_CREATE.fullmatch(part):
        return True
    # A writer was killed and the next one wrote on the same line, or wrote after unwritten blocks.
    unwritten = not part.strip(b"\0") and line.startswith(part)
    return followed and (unwritten or _UNFINISHED.fullmatch(part) is not None)


def _is_record(part: bytes) -> bool:
    try:
        return "worker_id" in parse_record(part)
    except ValueError:
        return False
