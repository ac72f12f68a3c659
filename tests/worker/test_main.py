"""What a worker says about itself."""

import json
import logging
import os

from journal_launcher.worker.connection import Connection
from journal_launcher.worker.main import Notes


def test_what_a_worker_logs_is_told_to_the_parent() -> None:
    reader, writer = os.pipe()
    logger = logging.getLogger("journal_launcher.worker.test")
    logger.addHandler(Notes(Connection(os.dup(reader), writer)))
    logger.warning("%d rows stream", 3)
    os.close(writer)
    with os.fdopen(reader) as lines:
        (message,) = map(json.loads, lines)
    assert (message["type"], message["text"]) == ("note", "3 rows stream")
