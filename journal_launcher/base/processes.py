"""The end of a process: how it is noticed, and its exit status in words."""

import os
import signal

__all__ = ["describe_exit", "pidfd"]


def pidfd(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends; None where there is none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def describe_exit(status: int) -> str:
    """ "killed by SIGSEGV", "exited with 1"."""
    if status >= 0:
        return f"exited with {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
