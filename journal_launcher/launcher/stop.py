"""Why a launch grants nothing more, and how it will exit."""

import signal
from dataclasses import replace

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import ExitCode, JournalLauncherError, UsageError

__all__ = ["Stop", "stopping"]

_RETRIED = (ExitCode.DONE, ExitCode.FAILED)


@dataclass(frozen=True)
class Stop:
    """`reason` is the exit reason; `abort`: running trials are stopped too, not awaited."""

    reason: str
    exit_code: ExitCode = ExitCode.DONE
    message: str | None = None
    abort: bool = False

    @classmethod
    def failed(cls, message: str, exit_code: ExitCode = ExitCode.FAILED) -> "Stop":
        return cls("failed", exit_code, message, abort=True)

    @classmethod
    def incompatible(cls, reason: str, carry_over: str) -> "Stop":
        """carry_over: what to type to keep the trials that fit."""
        return cls.failed(
            f"the search space contradicts the study ({reason}); use another --study-name, move "
            "the old study aside with --overwrite, or carry over the trials that fit, with the new "
            f"choices as [space] in a file: {carry_over}"
        )

    @classmethod
    def by_signal(cls, number: int) -> "Stop":
        if number == signal.SIGINT:
            return cls("signal", ExitCode.INTERRUPTED, "stopped by Ctrl-C", abort=True)
        text = f"stopped by {signal.Signals(number).name}"
        return cls("signal", ExitCode.RESUMABLE, text, abort=True)

    def after(self, before: "Stop | None") -> "Stop":
        """Which of the two stands: an abort overrules a stop that waits for running trials, and a
        signal overrules a mere failure, for whoever sent it wants no other attempt."""
        if before is None:
            return self
        of_old, of_new = ((stop.abort, stop.exit_code not in _RETRIED) for stop in (before, self))
        if of_new <= of_old:
            return before
        said = [stop.message for stop in (before, self) if stop.message]
        return replace(self, message="; ".join(said) or None)

    def as_error(self) -> JournalLauncherError:
        """What a stop before the study exists amounts to."""
        kind = UsageError if self.exit_code == ExitCode.USAGE else JournalLauncherError
        error = kind(self.message or f"no trial began before the {self.reason}")
        error.exit_code = self.exit_code or ExitCode.FAILED  # it is no success either
        return error


def stopping(number: int, seconds: float) -> str:
    """What to tell the user who sent a signal."""
    again = "; Ctrl-C again kills them now" if number == signal.SIGINT else ""
    return f"stopping: running trials have {seconds:.0f} s to end{again}"
