"""The protocol between parent and worker: JSON lines on two pipes of their own.

Parent to worker:

    spec     settings, folder, study, seed, device, device_uuid, threads, prepare
                                                         first line; `prepare` for one worker only
    prepare                                              prepare after all: the one before cannot
    open     prepared, seed                              the study exists: open it, load the data
    grant    trial                                       start one trial; `trial` is queued or null
    baseline                                             score the dummy and the linear model
    confirm  trial                                       score its parameters on fresh folds
    refit    trial, staging                              train the best parameters, stage the files
    bye                                                  leave

Worker to parent:

    prepared content                                     what preparation found (see `Prepared`)
    ready    device_uuid, device_status, defaults        the device is right, the journal is open
    request                                              ready for a trial
    started  number
    progress number, unit, step, total, value
    note     text                                        one line for the user
    ended    number, state, reason, raised, incompatible, seconds, stop
    scored   content                                     answer to baseline
    confirmed number, content                            answer to confirm
    staged   content                                     answer to refit
    unusable message                                     the device is not; other workers may go on
    failed   message, exit_code, traceback               the launch cannot go on

Every line carries v, type, launch and worker. Unknown keys are ignored; another `v` is a set-up
failure. Death is known from the process, never from the end of a pipe.
"""

import json
from dataclasses import dataclass
from typing import Any

from journal_launcher.base.errors import JournalLauncherError

__all__ = ["VERSION", "Channel", "LineBuffer", "Message"]

VERSION = 1

Message = dict[str, Any]


@dataclass(frozen=True)
class Channel:
    """Who speaks: stamps outgoing lines and checks incoming ones."""

    launch: str
    worker: int

    def encode(self, type: str, **content: Any) -> bytes:
        line = {"v": VERSION, "type": type, "launch": self.launch, "worker": self.worker, **content}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def of_spec(cls, line: bytes) -> "Channel":
        """The channel that a worker's first line, its spec, belongs to."""
        spec = json.loads(line)
        return cls(spec["launch"], spec["worker"])

    def decode(self, line: bytes) -> Message:
        """Parse one line.

        Raises:
            JournalLauncherError: not a line of this protocol version or of this launch.
        """
        try:
            message = json.loads(line)
            version, launch = message["v"], message["launch"]
        except (ValueError, TypeError, KeyError):
            raise JournalLauncherError(
                f"worker {self.worker}: expected a message, found {line[:80]!r}"
            ) from None
        if version != VERSION or launch != self.launch:
            raise JournalLauncherError(
                f"worker {self.worker}: expected protocol {VERSION} of launch {self.launch}, found "
                f"{version} of {launch}; parent and worker run different versions of this program"
            )
        assert isinstance(message, dict)
        return message


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
