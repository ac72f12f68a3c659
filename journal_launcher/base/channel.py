"""How a message is a line of JSON, and a line a message again.

Every line also carries v, program (the package's version), launch and worker. Unknown keys are
ignored; an unknown type, a missing or mistyped key and another `v` are errors that name both
versions: they differ when the package was replaced under a running launch, which restarts a worker.
"""

import dataclasses
import functools
import json
import types
from collections.abc import Callable
from typing import Any, TypeVar, Union, cast, get_args, get_origin

from journal_launcher import __version__
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import AGAIN, JournalLauncherError
from journal_launcher.base.messages import Message

__all__ = ["VERSION", "Channel", "LineBuffer", "is_message", "program_of", "quoted", "type_of"]

VERSION = 1
_TYPE = b'"type":"'
_BEGINNING = b'{"v":'
_NO_LINES = b'"lines":""'  # inside of text, its quotes would be escaped

Kind = TypeVar("Kind", bound=Message)


@dataclass(frozen=True)
class Channel:
    """Who speaks: stamps outgoing lines and checks incoming ones."""

    launch: str
    worker: int

    def encode(self, message: Message, lines: bytes = b"") -> bytes:
        """One line. lines: `quoted` ones, which take the place of the empty ones of `Records`."""
        who = {"launch": self.launch, "worker": self.worker}
        line = {"v": VERSION, "program": __version__, "type": message.type, **who, **vars(message)}
        encoded = _to_line(line).encode() + b"\n"
        return encoded.replace(_NO_LINES, b'"lines":"%b"' % lines, 1) if lines else encoded

    @classmethod
    def of_spec(cls, line: bytes) -> "Channel":
        """The channel that a worker's first line, its spec, belongs to."""
        try:
            spec = json.loads(line)
            return cls(spec["launch"], spec["worker"])
        except (ValueError, TypeError, KeyError):
            raise JournalLauncherError(f"expected a spec, found {line[:80]!r}") from None

    def decode(self, line: bytes, kind: type[Kind]) -> Kind:
        """Parse one line: `FromParent` in a worker, `FromWorker` in the parent.

        Raises:
            JournalLauncherError: not a message of this program version or of this launch.
        """
        try:
            found = json.loads(line)
            version = found["v"]
            launch = found["launch"]
            name = found["type"]
        except (ValueError, TypeError, KeyError):
            raise JournalLauncherError(
                f"worker {self.worker}: expected a message, found {line[:80]!r}"
            ) from None
        if version != VERSION or launch != self.launch:
            expected = f"expected protocol {VERSION} of launch {self.launch}"
            raise self._refused(found, f"{expected}, found {version} of {launch}")
        known = _by_type(cast(Any, kind))
        if not isinstance(name, str) or name not in known:
            raise self._refused(found, f"expected a known message, found the type {name!r:.80}")
        try:
            made: Kind = _made(known[name], found)
        except ValueError as problem:
            raise self._refused(found, str(problem)) from None
        return made

    def _refused(self, found: dict[str, Any], problem: str) -> JournalLauncherError:
        other = found.get("program", "an unknown version")
        return JournalLauncherError(
            f"worker {self.worker}: {problem}; this end runs journal_launcher {__version__}, the "
            f"other {other}: {AGAIN}"
        )


@dataclass(frozen=True)
class _Field:
    """A field of a message: what JSON may have for it, and the type to make of an object."""

    name: str
    said: str
    types: tuple[type, ...]
    read: Callable[[Any], Any] | None


@functools.cache
def _by_type(kind: Any) -> dict[str, Any]:
    return {one.__name__.lower(): one for one in kind.__subclasses__()}


@functools.cache
def _fields(kind: Any) -> tuple[_Field, ...]:
    """Worked out once a kind: a parent reads three messages a trial."""
    return tuple(map(_field, dataclasses.fields(kind)))


def _field(one: dataclasses.Field[Any]) -> _Field:
    union = get_origin(one.type) in (Union, types.UnionType)
    options = get_args(one.type) if union else (one.type,)
    made: Any = next(filter(dataclasses.is_dataclass, options), None)
    read = made and getattr(made, "from_json", functools.partial(_made, made))
    said = getattr(one.type, "__name__", str(one.type))
    return _Field(one.name, said, tuple(kind for o in options for kind in _in_json(o)), read)


def _in_json(wanted: Any) -> tuple[type, ...]:
    """JSON has no float where one happens to be whole."""
    if dataclasses.is_dataclass(wanted):
        return (dict,)
    return (int, float) if wanted is float else (get_origin(wanted) or wanted,)


def _made(kind: Any, found: dict[str, Any]) -> Any:
    """A dataclass of what was found under its fields' names; ValueError says what is wrong."""
    content = {}
    for field in _fields(kind):
        if field.name not in found:
            raise ValueError(f"expected {kind.__name__.lower()!r} with {field.name!r}, found none")
        value = found[field.name]
        fits = bool in field.types if isinstance(value, bool) else isinstance(value, field.types)
        if not fits:
            expected = f"expected {kind.__name__.lower()!r} with {field.name!r} of {field.said}"
            raise ValueError(f"{expected}, found {value!r:.80}")
        if field.read is not None and isinstance(value, dict):
            value = field.read(value)
        content[field.name] = value
    return kind(**content)


def _to_json(value: Any) -> Any:
    """Of a part of a message that is a type of its own."""
    return value.to_json() if hasattr(value, "to_json") else vars(value)


_to_line = json.JSONEncoder(separators=(",", ":"), default=_to_json).encode


def quoted(text: str) -> bytes:
    """Text as it stands in a message, without the quotation marks around it."""
    return _to_line(text)[1:-1].encode()


def type_of(line: bytes) -> str:
    """The type that a line says it is, without parsing it; what it holds comes after that."""
    start = line.find(_TYPE) + len(_TYPE)
    return line[start : line.find(b'"', start)].decode(errors="replace")


def is_message(line: bytes) -> bool:
    """Does a line look like one, and not like what some program has printed?"""
    return line.startswith(_BEGINNING)


def program_of(line: bytes) -> str:
    """The version of the program that has encoded a line."""
    return str(json.loads(line)["program"])


class LineBuffer:
    """Cut a byte stream into whole lines."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of a line without its end; joined once, not each time

    def feed(self, chunk: bytes) -> list[bytes]:
        first, *others = chunk.split(b"\n")
        self._parts.append(first)
        if not others:
            return []
        *lines, rest = (b"".join(self._parts), *others)
        self._parts = [rest]
        return [line for line in lines if line]
