"""Whether a study that exists is another one than a launch asks for, and how that is said."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from journal_launcher.base.artifacts.identity import TABLE_VALUES
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.paths import is_frame_name, typed
from journal_launcher.study.attributes import table

__all__ = ["Data", "carry_over", "same_values", "shortened", "why_another"]

_NOTHING_TO_KEEP = "nothing has finished in it yet: to begin anew, add --overwrite once"


_LONGEST = 300  # of what a message quotes


@dataclass(frozen=True)
class _Words:
    """What is said where the data is not what it was."""

    changed: str = "the data changed since this study began"
    rewritten: str = (
        "the file was written anew since this study began, with the same values in other words"
    )
    new: str = "the new data"
    back: str = "put the old file back"
    aside: str = "choose another --study-name, or move the old study aside with --overwrite"


_OF_A_FRAME = _Words(
    changed="the DataFrame is not the one that this study began with",
    rewritten="the DataFrame has the values that this study began with, in columns of other types",
    new="the new DataFrame",
    back="pass the old DataFrame",
    aside="choose another study_name, or move the old study aside with overwrite=True",
)


@dataclass(frozen=True)
class Data:
    """What the last launch called its data and what this one does; same_values: the two tables have
    the same values, whatever their files look like."""

    before: str | None
    now: str | None
    same_values: bool

    @property
    def words(self) -> "_Words":
        return _OF_A_FRAME if self._is_frame else _Words()

    @property
    def other(self) -> str:
        """That it goes by another name, if it does."""
        if not self.before or self.before == self.now:
            return ""
        if self._is_frame:
            return f" (that one is in {self.before})"
        return f" (it had {self.before}, this launch has {self.now})"

    @property
    def _is_frame(self) -> bool:
        return self.now is not None and is_frame_name(os.path.basename(self.now))


def same_values(before: Any, noted: Mapping[str, Any] | None) -> bool:
    """Whether two launches noted the same values of their tables."""
    values = table(before).get(TABLE_VALUES)
    return values is not None and values == (noted or {}).get(TABLE_VALUES)


def why_another(
    found: Mapping[str, Any],
    wanted: Mapping[str, Any],
    data: Data,
    other_space: str,
    finished: bool,
) -> str | None:
    """What follows the study's name where it was created for something else; None if it was not.

    found, wanted: identities. other_space: what to type for a changed search space. finished: it
    has finished trials.
    """
    changed = {key: both for key, *both in _differences(found, wanted)}
    words, aside = data.words, data.words.aside
    if data.same_values and {"data_sha256"} <= set(changed) <= {"data_sha256", "reading"}:
        how = f" ({_read_otherwise(found, wanted)})" if "reading" in changed else ""
        return f": {words.rewritten}{how}{data.other}; {words.back}, or {aside}"
    if list(changed) == ["data_sha256"]:
        return (
            f": {words.changed}{data.other}; for {words.new}, {aside}; for the old study, "
            f"{words.back}"
        )
    if list(changed) == ["reading"]:
        reading = _read_otherwise(found, wanted)
        return f": {reading}, and scores of two readings do not compare; {aside}"
    if not changed:
        return None
    told = {"data_sha256": f"{words.rewritten if data.same_values else words.changed}{data.other}"}
    if "reading" in changed:
        told["reading"] = _read_otherwise(found, wanted)
    differences = [
        told.get(key)
        or f"{key[:_LONGEST]}: the study has {shortened(has)}, this launch {shortened(asks)}"
        for key, (has, asks) in changed.items()
    ]
    if finished and all(key.startswith("space.") for key in changed):
        aside += f", or carry over the trials that fit the new [space]: {other_space}"
    then = f"repeat the first command, {aside}" if finished else _NOTHING_TO_KEEP
    return f" was created for something else ({'; '.join(differences)}); {then}"


def carry_over(name: str) -> str:
    """What to type for a study of another space."""
    return f"{typed()} import {name} --study-name NEW --config FILE.toml"


def _differences(
    found: Mapping[str, Any], wanted: Mapping[str, Any], of: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """(key, what is found, what is wanted) of all that differ; in a table of both, of its keys."""
    for key in sorted({*found, *wanted}):
        has = found.get(key)
        asks = wanted.get(key)
        if has == asks:
            continue
        inside: list[tuple[str, Any, Any]] = []
        # What is inside of a reading are columns: a message of their own names them.
        if key != "reading" and isinstance(has, Mapping) and isinstance(asks, Mapping):
            inside = list(_differences(has, asks, f"{of}{key}."))
        yield from inside or [(f"{of}{key}", has, asks)]  # of null and absent the whole differs


def _read_otherwise(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The columns that are read otherwise than when the study began."""
    before = table(found.get("reading"))
    now = table(wanted.get("reading"))
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    told = [
        f"{name[:_LONGEST]!r} (then {_shown(before.get(name))}, now {_shown(now.get(name))})"
        for name in names[:5]
    ]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"columns are read otherwise than when it began: {', '.join(told)}{more}"


def _shown(reading: Any) -> str:
    """How a column was read; most are read plainly, which is not recorded."""
    return "plainly" if reading is None else str(reading)[:_LONGEST]


def shortened(value: Any) -> str:
    """The repr, as a message quotes what anybody may have written."""
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
