"""What a watcher decided, a line of JSON each."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.files import append_line
from journal_launcher.base.paths import is_study_name
from journal_launcher.base.plain_files import read_plain
from journal_launcher.base.times import utc

__all__ = ["Decision", "Word", "decisions"]

_SCHEMA_VERSION = 1


class Word(StrEnum):
    PROCEED = "PROCEED"
    PROCEED_WITH_NOTE = "PROCEED_WITH_NOTE"
    RETRY = "RETRY"
    SKIP_MODEL = "SKIP_MODEL"


@dataclass(frozen=True)
class Decision:
    """changed: settings of this attempt that are not the user's, which are `asked`; then: those of
    the next attempt."""

    decision: Word
    reason: str
    attempt: int
    study: str
    changed: dict[str, Any] = field(default_factory=dict)
    then: dict[str, Any] | None = None
    asked: dict[str, Any] = field(default_factory=dict)
    time: str = field(default_factory=utc)
    schema_version: int = _SCHEMA_VERSION

    def append_to(self, path: Path) -> None:
        append_line(path, json.dumps(asdict(self)).encode())


def decisions(path: Path) -> Iterator[Decision]:
    """Those in the file, in order; without what is torn, odd, or of a later version.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        lines = read_plain(path).splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path}: expected decisions to read: {error.strerror}") from None
    for line in lines:
        with suppress(ValueError, TypeError):
            found = Decision(**json.loads(line))
            if found.schema_version == _SCHEMA_VERSION and _is_sound(found):
                yield found


def _is_sound(found: Decision) -> bool:
    tables = (found.changed, found.asked, {} if found.then is None else found.then)
    named = isinstance(found.study, str) and is_study_name(found.study)
    return named and type(found.attempt) is int and all(isinstance(t, dict) for t in tables)
