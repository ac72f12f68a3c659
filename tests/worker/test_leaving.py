"""SIGTERM between two bytes of a line: the line arrives whole, and the worker leaves after it."""

import os
import signal
import time

import pytest

from journal_launcher.base.channel import Channel, LineBuffer
from journal_launcher.base.messages import Append, FromWorker
from journal_launcher.worker.connection import Connection
from journal_launcher.worker.leaving import ToldToLeave, held_back, listen, told

LONG = 200_000  # bytes of a record: more than a pipe takes at once


def child_that_appends(outgoing: int) -> None:
    """In a forked process: say when it begins, append without end, end with 75 when told to."""
    incoming, _ = os.pipe()
    connection = Connection(incoming, outgoing)
    connection.channel = Channel("launch", 0)
    listen()
    try:
        number = 0
        while True:
            number += 1
            connection.send(Append(number, 0, [{"text": "x" * LONG}]))
    except ToldToLeave:
        connection.send(Append(0, 0, []))  # as a `finally` of the objective may
        os._exit(75)


def told_in_the_middle(pause: float) -> None:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            child_that_appends(theirs)
        finally:
            os._exit(1)
    os.close(theirs)
    received = [os.read(ours, 1000)]  # it is in the middle of a line
    time.sleep(pause)
    os.kill(child, signal.SIGTERM)
    while chunk := os.read(ours, 1 << 16):
        received.append(chunk)
    os.close(ours)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 75
    text = b"".join(received)
    assert text.endswith(b"\n")
    channel = Channel("launch", 0)
    found = [channel.decode(line, FromWorker) for line in LineBuffer().feed(text)]
    assert isinstance(found[-1], Append) and found[-1].records == []


def test_no_line_is_torn() -> None:
    for attempt in range(20):
        told_in_the_middle(attempt / 20_000)


@pytest.mark.slow
def test_no_line_is_torn_in_two_hundred() -> None:
    for attempt in range(200):
        told_in_the_middle(attempt / 100_000)


def test_it_is_told_after_the_outermost_context() -> None:
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, held_back.on_sigterm)
    done = []
    try:
        with pytest.raises(ToldToLeave), held_back:
            with held_back:
                os.kill(os.getpid(), signal.SIGTERM)
                done.append(1)
            done.append(2)
        assert done == [1, 2] and told()
    finally:
        signal.signal(signal.SIGTERM, before)
        held_back.told = False
