"""JSON objects as frozen dataclasses, a field a key, and readers that forgive.

Other versions, dashboards and users write into the same objects. What is of another kind than a key
should be is read as absent, and what no field knows is kept when the object is written again.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import Field, field, fields
from typing import Any, Self

from journal_launcher.base.dataclass import dataclass

__all__ = [
    "Part",
    "Whole",
    "key",
    "mapping",
    "number",
    "numbers",
    "numbers_by_name",
    "part",
    "section",
    "string",
    "table",
    "text",
    "texts",
    "whole",
]

_LONGEST = 200


# --- readers: the value, or None (of `table`, an empty one) where it is something else


def whole(value: Any, least: int = 0, below: int = 2**31) -> int | None:
    return value if type(value) is int and least <= value < below else None


def number(value: Any) -> float | None:
    """A finite number."""
    if type(value) not in (int, float) or abs(value) > 1e308 or not math.isfinite(value):
        return None
    return float(value)


def numbers(value: Any) -> list[float] | None:
    """A list of finite numbers."""
    if not isinstance(value, list):
        return None
    known = [found for item in value if (found := number(item)) is not None]
    return known if len(known) == len(value) else None


def numbers_by_name(value: Any) -> dict[str, float | None] | None:
    """What is no finite number has none."""
    return {name: number(item) for name, item in value.items()} if isinstance(value, dict) else None


def string(value: Any) -> str | None:
    """Of any length."""
    return value if isinstance(value, str) else None


def text(value: Any) -> str | None:
    """A name or a word, and no book."""
    return value if isinstance(value, str) and len(value) <= _LONGEST else None


def texts(value: Any) -> list[str] | None:
    """A list of words."""
    words = isinstance(value, list) and all(text(item) is not None for item in value)
    return value if words else None


def mapping(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def table(value: Any) -> dict[str, Any]:
    return mapping(value) or {}


# --- dataclasses

Reader = Callable[[Any], Any]


def key(read: Reader, *names: str, null: bool = False, judged: bool = True) -> dict[str, Any]:
    """The metadata of a field that is one key.

    names: the key, where it is not the field's name, and then those that older files have instead.
    null: None is written as null; otherwise it leaves the key out.
    judged: it is odd if such a key is not there.
    """
    return {"read": read, "names": names, "null": null, "due": null and judged}


def part(kind: "type[Part]") -> dict[str, Any]:
    """The metadata of a field that is several keys; what changes is written with all of them."""
    return {"part": kind}


def section(kind: "type[Part]") -> dict[str, Any]:
    """The metadata of a field that is one key, an object in which the part's keys are."""
    return {"section": kind}


@dataclass(frozen=True)
class _Key:
    """How a field is read and written."""

    name: str
    keys: tuple[str, ...]
    read: Reader
    null: bool
    due: bool = False
    part: "type[Part] | None" = None
    section: "type[Part] | None" = None

    @classmethod
    def of(cls, one: "Field[Any]") -> Self:
        said = one.metadata
        kind: type[Part] | None = said.get("part")
        if kind is not None:
            keys = tuple(name for inner in _keys(kind) for name in inner.keys)
            return cls(one.name, keys, kind.from_json, False, part=kind)
        inside: type[Part] | None = said.get("section")
        if inside is not None:
            return cls(one.name, (one.name,), inside.if_object, False, section=inside)
        keys = said["names"] or (one.name,)
        return cls(one.name, keys, said["read"], said["null"], said["due"])

    def value_in(self, content: Mapping[str, Any]) -> Any:
        if self.part is not None:
            return self.read(content)
        value = self.read(content.get(self.keys[0]))
        for older in self.keys[1:]:
            value = self.read(content.get(older)) if value is None else value
        return value

    def written(self, value: Any, content: Mapping[str, Any]) -> dict[str, Any]:
        """What becomes of `content`'s keys; a section keeps what its part does not know."""
        if self.part is not None:
            return dict(value.to_json())
        if self.section is not None:
            value = table(content.get(self.keys[0])) | value.to_json()
        return {self.keys[0]: value}

    def odd_in(self, content: Mapping[str, Any]) -> list[str]:
        if self.part is not None:
            return _odd_in(self.part, content)
        name = self.keys[0]
        if self.value_in(content) is None:
            wrong = self.section is not None or content.get(name) is not None
            return [name] if (wrong if name in content else self.due) else []
        if self.section is None:
            return []
        return [f"{name}.{odd}" for odd in _odd_in(self.section, content[name])]


_known: dict[object, tuple[_Key, ...]] = {}  # by class; a study has many trials to read


def _keys(kind: "type[Part | Whole]") -> tuple[_Key, ...]:
    if kind not in _known:
        _known[kind] = tuple(_Key.of(one) for one in fields(kind) if one.name != "stored")
    return _known[kind]


def _odd_in(kind: "type[Part | Whole]", content: Mapping[str, Any]) -> list[str]:
    return [odd for one in _keys(kind) for odd in one.odd_in(content)]


@dataclass(frozen=True)
class Part:
    """Some keys of a JSON object."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        return cls(**{one.name: one.value_in(content) for one in _keys(cls)})

    @classmethod
    def if_object(cls, value: Any) -> Self | None:
        return cls.from_json(value) if isinstance(value, dict) else None

    def to_json(self) -> dict[str, Any]:
        said = ((one, getattr(self, one.name)) for one in _keys(type(self)))
        return {one.keys[0]: value for one, value in said if value is not None or one.null}


@dataclass(frozen=True)
class Whole:
    """A JSON object. `stored` is as it was found; `replace` changes what fields say of it."""

    stored: Mapping[str, Any] = field(default_factory=dict, repr=False, kw_only=True)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        return cls(**{one.name: one.value_in(content) for one in _keys(cls)}, stored=content)

    def to_json(self) -> dict[str, Any]:
        """What was found, key by key as it stood there, but for what was changed since."""
        content = dict(self.stored)
        for one in _keys(type(self)):
            value = getattr(self, one.name)
            if value == one.value_in(self.stored):
                continue
            if value is None:
                for name in one.keys:
                    content.pop(name, None)
            else:
                content |= one.written(value, content)
        return content

    @property
    def odd(self) -> list[str]:
        """The keys that are of another kind, and those that are missing instead of null."""
        return _odd_in(type(self), self.stored)
