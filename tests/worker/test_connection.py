"""The worker's end of the pipes."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from journal_launcher.base.channel import Channel
from journal_launcher.base.messages import Spec
from journal_launcher.worker import connection as module
from journal_launcher.worker.connection import Connection, ParentGoneError


class Pipes:
    """A connection and its parent's ends."""

    def __init__(self) -> None:
        incoming, self.to_worker = os.pipe()
        self.from_worker, outgoing = os.pipe()
        self.worker = incoming, outgoing
        for descriptor in self.worker:
            os.set_inheritable(descriptor, True)  # as the parent hands them over
        self.connection = Connection(incoming, outgoing)

    def heard(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in os.read(self.from_worker, 1 << 16).splitlines()]


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    for descriptor in {made.to_worker, made.from_worker, *made.worker}:
        os.close(descriptor)


def test_what_an_objective_starts_does_not_hold_the_pipes(pipes: Pipes) -> None:
    assert [os.get_inheritable(descriptor) for descriptor in pipes.worker] == [False, False]


@pytest.mark.timeout(20)
def test_the_end_of_the_parent_is_noticed_after_its_last_words() -> None:
    pipes = Pipes()
    spec = Spec({}, "", "study", "CPU", None, 1, prepare=False)
    os.write(pipes.to_worker, Channel("launch", 3).encode(spec) + b'{"half')
    os.close(pipes.to_worker)
    assert pipes.connection.receive_spec() == spec
    with pytest.raises(ParentGoneError):
        pipes.connection.receive()
    for descriptor in (pipes.from_worker, *pipes.worker):
        os.close(descriptor)


def test_progress_is_told_a_few_times_a_second_and_in_numbers_that_json_has(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for value in (1.0, 2.0, float("inf"), float("-inf"), float("nan"), None):
        pipes.connection.progress(0, "step", 1, None, value)
        now[0] += module._PROGRESS_INTERVAL * 0.6
    assert [message["value"] for message in pipes.heard()] == [1.0, None, None]
