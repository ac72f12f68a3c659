"""What a worker says about itself."""

import json
import logging
import os

from journal_launcher.worker.connection import Connection
from journal_launcher.worker.main import Notes, _report_failure
from journal_launcher.worker.sampling import make_sampler


def test_what_a_worker_logs_is_told_to_the_parent() -> None:
    reader, writer = os.pipe()
    logger = logging.getLogger("journal_launcher.tabular.test")
    logger.addHandler(Notes(Connection(os.dup(reader), writer)))
    logger.warning("%d rows stream", 3)
    os.close(writer)
    with os.fdopen(reader) as lines:
        (message,) = map(json.loads, lines)
    assert (message["type"], message["text"]) == ("note", "3 rows stream")


def test_a_limit_that_ends_a_worker_is_one_line_with_what_to_do() -> None:
    reader, writer = os.pipe()
    connection = Connection(os.dup(reader), writer)
    _report_failure(connection, RuntimeError("can't start new thread"))
    _report_failure(connection, RuntimeError("of another kind"))
    os.close(writer)
    with os.fdopen(reader) as lines:
        limit, other = map(json.loads, lines)
    assert "`ulimit -u`" in limit["message"] and limit["traceback"] is None
    assert other["message"] == "RuntimeError: of another kind" and other["traceback"]


def test_a_traceback_without_a_line_of_the_users_is_internal() -> None:
    reader, writer = os.pipe()
    connection = Connection(os.dup(reader), writer)
    try:
        make_sampler("no such sampler", 0, 0)
    except ValueError as error:
        assert error.__traceback__ is not None
        users, ours = error, error.with_traceback(error.__traceback__)
        _report_failure(connection, users)
        _report_failure(connection, ours.with_traceback(error.__traceback__.tb_next))
    os.close(writer)
    with os.fdopen(reader) as lines:
        of_users, of_ours = map(json.loads, lines)
    assert (of_users["internal"], of_ours["internal"]) == (False, True)
