"""The protocol between parent and worker: a class for each message, on two pipes of their own.

Its name in small letters is the message's `type`, its fields are its keys; `channel.py` makes lines
of them. Death is known from the process, never from the end of a pipe.
"""

import dataclasses
from typing import Any

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.scores import Baselines, Confirmation
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import JournalLauncherError

__all__ = [
    "ForegroundTask",
    "FromParent",
    "FromWorker",
    "Message",
    "Preparation",
    "unexpected",
]


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

    through_parent: the parent writes and reads the journal for it. sees: the studies folder, or
    `folder` is one of its node, where trials have theirs as long as they run.
    """

    settings: dict[str, Any]
    folder: str
    study: str
    device: str
    device_uuid: str | None
    threads: int
    prepare: bool
    through_parent: bool = False
    sees: bool = True


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

    lease: the launch that the study's lease names. sources: digests of the user's code. gpus: how
    many the scheduler gives the worker; 0: the spec names the device. project: where the launch
    runs, and what stands for it on the node; "" is the folder that the agent is started in. host:
    as the user calls the node. environment: for the worker, where its node does not say otherwise.
    """

    lease: str
    sources: dict[str, Any]
    gpus: int
    project: str = ""
    remote_dir: str = ""
    host: str = ""
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Survey(FromParent):
    """To an agent, instead of `Carry` and spec: look around on this host, and leave."""

    settings: dict[str, Any]
    sources: dict[str, Any]
    project: str
    remote_dir: str
    host: str


@dataclass(frozen=True)
class File(FromParent, FromWorker):
    """Part of a `file`, in base64, or a `folder`, or a `link` to where `data` says: as `kind` says.

    name: in its folder. modified: when, in seconds; 0 of what is no file. trial: whose folder it is
    in; of none, to an agent, it is in that of a table's arrays, and from one in the staging folder.
    """

    name: str
    kind: str
    data: str
    modified: float
    trial: int | None


@dataclass(frozen=True)
class Whole(FromParent, FromWorker):
    """That was all of the trial's folder, or, to an agent, of a table's arrays; from an agent
    without a `trial`: all that its worker's trials have left was sent. From a worker, to its agent:
    bring this trial's folder back before my next words."""

    trial: int | None


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
    """How a trial ended, as it stands in the journal. `stop`: its code asked to end the launch.

    work: units of equal effort that it took, as the job counts them; None where trials are all
    that can be counted.
    """

    number: int
    state: str
    reason: str | None
    raised: bool
    incompatible: bool
    seconds: float
    stop: bool
    work: float | None


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

    step: what the scheduler calls it. sees: the studies folder.
    """

    host: str
    step: str | None
    sees: bool
    kind: str
    device_uuid: str | None
    index: str | None
    device: str


@dataclass(frozen=True)
class Surveyed(FromWorker):
    """Answer to `Survey`: what a launch on this host could use, as `Choice` has it.

    devices: uuid, index and name of each. cores: that its workers share. problem: why the GPUs that
    were asked for cannot be had.
    """

    devices: list[dict[str, Any]]
    cores: int
    notes: list[str]
    problem: str | None


@dataclass(frozen=True)
class Used(FromWorker):
    """CPU time of the worker and of everything it started, as its agent sees it."""

    cpu_seconds: float


@dataclass(frozen=True)
class Fetch(FromWorker):
    """An agent's node has no arrays of the table yet: send them."""


@dataclass(frozen=True)
class Exited(FromWorker):
    """The worker has ended, with this status; a signal is a negative number."""

    status: int


@dataclass(frozen=True)
class Unusable(FromWorker):
    """The device is not what it should be; other workers may go on. host: as an agent knows it."""

    message: str
    host: str | None = None


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


def unexpected(message: Message) -> JournalLauncherError:
    """What it is when a message comes at the wrong time."""
    return JournalLauncherError(
        f"expected another message, found {message.type!r}; this is an error of journal_launcher "
        "itself, please report it"
    )
