"""How a process's end is noticed, and said."""

import os
import select
import signal
import subprocess

from journal_launcher.base.processes import describe_exit, pidfd


def test_exit_statuses_in_words() -> None:
    assert describe_exit(1) == "exited with 1"
    assert describe_exit(-signal.SIGSEGV) == "killed by SIGSEGV"
    assert describe_exit(-64) in ("killed by SIGRTMAX", "killed by signal 64")


def test_a_descriptor_becomes_readable_when_the_process_ends() -> None:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    descriptor = pidfd(process.pid)
    assert descriptor is not None
    assert select.select([descriptor], [], [], 0)[0] == []
    process.communicate()
    assert select.select([descriptor], [], [], 10)[0] == [descriptor]
    os.close(descriptor)
    assert pidfd(process.pid) is None, "it is gone"
