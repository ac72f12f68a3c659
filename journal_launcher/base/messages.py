"""The protocol between parent and worker: JSON lines on two pipes of their own.

One class a message; its name in small letters is its `type`, its fields are its keys. Every line
also carries v, program (the package's version), launch and worker. Unknown keys are ignored; an
unknown type, a missing or mistyped key and another `v` are errors that name both versions: they
differ when the package was replaced under a running launch, which restarts a worker.

Death is known from the process, never from the end of a pipe.
"""

import dataclasses
import functools
import json
import types
from collections.abc import Callable
from typing import Any, TypeVar, Union, get_args, get_origin

from journal_launcher import __version__
from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.scores import Baselines, Confirmation
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import AGAIN, JournalLauncherError

__all__ = [
    "VERSION",
    "Channel",
    "ForegroundTask",
    "FromParent",
    "FromWorker",
    "LineBuffer",
    "Message",
    "Preparation",
    "program_of",
    "type_of",
    "unexpected",
]

VERSION = 1
_TYPE = b'"type":"'


class Message:
    """What one end tells the other."""

    @property
    def type(self) -> str:
        return self.__class__.__name__.lower()


class FromParent(Message):
    """What a worker is told."""


class FromWorker(Message):
    """What the parent is told."""


@dataclass(frozen=True)
class Preparation:
    """What a job found in its input, and every worker opens it with.

    identity: what the study is, and a resume of it must be. notes: lines for the user. noted: what
    may change between launches, with one note. content: what the job itself needs.
    """

    identity: Identity
    notes: list[str] = dataclasses.field(default_factory=list)
    noted: dict[str, Any] = dataclasses.field(default_factory=dict)
    content: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Spec(FromParent):
    """The first line: who the worker is. `prepare`: it is told to, before it warms up.

    through_parent: the parent writes and reads the journal for it.
    """

    settings: dict[str, Any]
    folder: str
    study: str
    device: str
    device_uuid: str | None
    threads: int
    prepare: bool
    through_parent: bool = False


@dataclass(frozen=True)
class Prepare(FromParent):
    """Look at the input; nobody does it twice, unless the worker that did is gone. `begun`: the
    identity of the study that the launch goes on with."""

    seed: int
    begun: Identity | None


@dataclass(frozen=True)
class Open(FromParent):
    """The study exists: open it, load the data."""

    prepared: Preparation
    seed: int


@dataclass(frozen=True)
class Grant(FromParent):
    """Start one trial; `trial` is the number of a queued one, or None."""

    trial: int | None


@dataclass(frozen=True)
class Baseline(FromParent):
    """Score the dummy and the linear model."""


@dataclass(frozen=True)
class Confirm(FromParent):
    """Score this trial's parameters on fresh folds."""

    trial: int


@dataclass(frozen=True)
class Refit(FromParent):
    """Train the best parameters, stage the files; no `trial` where several are best."""

    trial: int | None
    staging: str


@dataclass(frozen=True)
class Records(FromParent):
    """Answer to `Append` and `Read`: whole lines of the journal, up to byte `offset`.

    more: others follow. error, errno: why nothing that was to be appended counts.
    """

    id: int
    lines: str
    offset: int
    more: bool
    error: str | None
    errno: int | None


@dataclass(frozen=True)
class Carry(FromParent):
    """The first line to an agent, before the spec: what its node must have, and what it gives.

    lease: the launch that the study's lease names. sources: digests of the user's code. gpus: what
    the worker's device consists of; 0 is the CPU.
    """

    lease: str
    sources: dict[str, Any]
    gpus: int


@dataclass(frozen=True)
class Signal(FromParent):
    """To an agent: send SIGTERM, SIGKILL or SIGUSR2 to the worker, as `name` (TERM) says."""

    name: str


@dataclass(frozen=True)
class Bye(FromParent):
    """Leave."""


@dataclass(frozen=True)
class Prepared(FromWorker):
    """Answer to `Prepare`."""

    content: Preparation


@dataclass(frozen=True)
class Ready(FromWorker):
    """The device is right, the journal is open. `defaults`: parameters of trial 0, if any."""

    defaults: dict[str, Any] | None


@dataclass(frozen=True)
class Request(FromWorker):
    """Ready for something to do; what was granted before and not used returns."""


@dataclass(frozen=True)
class Started(FromWorker):
    """The granted trial runs."""

    number: int


@dataclass(frozen=True)
class Progress(FromWorker):
    """How far a trial is. round: of the step under way, so many of `rounds` are done."""

    number: int
    unit: str
    step: int
    total: int | None
    value: float | None
    round: int | None
    rounds: int | None


@dataclass(frozen=True)
class Note(FromWorker):
    """One line for the user."""

    text: str


@dataclass(frozen=True)
class Ended(FromWorker):
    """How a trial ended, as it stands in the journal. `stop`: its code asked to end the launch."""

    number: int
    state: str
    reason: str | None
    raised: bool
    incompatible: bool
    seconds: float
    stop: bool


@dataclass(frozen=True)
class Scored(FromWorker):
    """Answer to `Baseline`."""

    content: Baselines | None


@dataclass(frozen=True)
class Confirmed(FromWorker):
    """Answer to `Confirm`."""

    number: int
    content: Confirmation


@dataclass(frozen=True)
class Staged(FromWorker):
    """Answer to `Refit`: what the worker knows of the sidecar."""

    content: Sidecar


@dataclass(frozen=True)
class Append(FromWorker):
    """Write records to the journal for a worker that cannot; then as `Read`."""

    id: int
    offset: int
    records: list[dict[str, Any]]


@dataclass(frozen=True)
class Read(FromWorker):
    """What follows in the journal from byte `offset` on."""

    id: int
    offset: int


@dataclass(frozen=True)
class Placed(FromWorker):
    """An agent has found its node to be right, and starts the worker there, on this device.

    step: what the scheduler calls it.
    """

    host: str
    step: str | None
    kind: str
    device_uuid: str | None
    index: str | None
    device: str


@dataclass(frozen=True)
class Used(FromWorker):
    """CPU time of the worker and of everything it started, as its agent sees it."""

    cpu_seconds: float


@dataclass(frozen=True)
class File(FromWorker):
    """Part of a staged file, or a `folder`, by its name in the staging folder; base64."""

    name: str
    data: str
    folder: bool


@dataclass(frozen=True)
class Exited(FromWorker):
    """The worker has ended, with this status; a signal is a negative number."""

    status: int


@dataclass(frozen=True)
class Unusable(FromWorker):
    """The device is not what it should be; other workers may go on."""

    message: str


@dataclass(frozen=True)
class Failed(FromWorker):
    """The launch cannot go on.

    traceback: only of an error that we do not raise on purpose. internal: no code of the user's
    took part in it.
    """

    message: str
    exit_code: int
    traceback: str | None
    internal: bool = False


@dataclass(frozen=True)
class ForegroundTask:
    """What a worker in the foreground is told on its command line, instead of all messages.

    folder to unlike are of a replay: which trial, whether nothing but equal bits will do, and the
    device of the trial, if what another one computes says nothing about it.
    """

    settings: dict[str, Any]
    device: str
    device_uuid: str | None
    threads: int
    folder: str = ""
    study: str = ""
    number: int = 0
    exact: bool = False
    unlike: str = ""


Kind = TypeVar("Kind", bound=Message)


@dataclass(frozen=True)
class Channel:
    """Who speaks: stamps outgoing lines and checks incoming ones."""

    launch: str
    worker: int

    def encode(self, message: Message) -> bytes:
        who = {"launch": self.launch, "worker": self.worker}
        line = {"v": VERSION, "program": __version__, "type": message.type, **who, **vars(message)}
        return _to_line(line).encode() + b"\n"

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
        known = {one.__name__.lower(): one for one in kind.__subclasses__()}
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


def type_of(line: bytes) -> str:
    """The type that a line says it is, without parsing it; what it holds comes after that."""
    start = line.find(_TYPE) + len(_TYPE)
    return line[start : line.find(b'"', start)].decode(errors="replace")


def program_of(line: bytes) -> str:
    """The version of the program that has encoded a line."""
    return str(json.loads(line)["program"])


def unexpected(message: Message) -> JournalLauncherError:
    """What it is when a message comes at the wrong time."""
    return JournalLauncherError(
        f"expected another message, found {message.type!r}; this is an error of journal_launcher "
        "itself, please report it"
    )


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
