"""What a study is, and a resume of it must be: written once, by the worker that prepares."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from journal_launcher.base.artifacts.stored import (
    Whole,
    key,
    mapping,
    string,
    table,
    text,
    texts,
    whole,
)
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.job_kinds import JobKind, kind_of

__all__ = ["IDENTITY_ATTRIBUTE", "TABLE_VALUES", "Identity"]

IDENTITY_ATTRIBUTE = "journal_launcher"
"""Of the study, in the journal."""
TABLE_VALUES = "values of the table"
"""What is noted of a table beside its identity: the sha256 of what is learned from it."""


def _pattern(value: Any) -> str | Mapping[str, Any] | None:
    return string(value) or mapping(value)


def _seed(value: Any) -> int | None:
    return whole(value, below=2**32)


@dataclass(frozen=True)
class Identity(Whole):
    """kind, directions and seed are of every study; each kind has more that is its own.

    split: kind, k_folds, … of a table. reading: how those of its columns are read that are not as
    plain text has it, left out where all are. weight_column: left out where rows weigh alike.
    space: what each parameter of a command is. What two studies differ in is a question to the
    JSON, which may hold more than this version reads.
    """

    schema_version: int | None = field(default=None, metadata=key(whole))
    kind: str | None = field(default=None, metadata=key(text))
    model_type: str | None = field(default=None, metadata=key(text))
    flags: Mapping[str, Any] | None = field(default=None, metadata=key(mapping))
    data_sha256: str | None = field(default=None, metadata=key(text))
    target: str | None = field(default=None, metadata=key(text))
    task: str | None = field(default=None, metadata=key(text))
    metric: str | None = field(default=None, metadata=key(text))
    objective: str | None = field(default=None, metadata=key(string))
    command: str | None = field(default=None, metadata=key(string))
    value: str | Mapping[str, Any] | None = field(default=None, metadata=key(_pattern))
    space: Mapping[str, Any] | None = field(default=None, metadata=key(mapping))
    directions: Sequence[str] | None = field(default=None, metadata=key(texts))
    split: Mapping[str, Any] | None = field(default=None, metadata=key(mapping))
    seed: int | None = field(default=None, metadata=key(_seed))
    reading: Mapping[str, Any] | None = field(default=None, metadata=key(mapping))
    weight_column: str | None = field(default=None, metadata=key(string))

    @property
    def job_kind(self) -> JobKind:
        return kind_of({"kind": self.kind})

    @property
    def split_kind(self) -> str | None:
        return text(table(self.split).get("kind"))

    @property
    def equal_rows(self) -> str | None:
        """What rows equal in all features do: "together" or "apart"; None before that was said."""
        return text(table(self.split).get("equal_rows"))

    @property
    def sha256(self) -> str:
        """By which a published model names its study: of the JSON as it stands in the journal."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()
