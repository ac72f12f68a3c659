"""Optuna's own suite for storages, on our backend."""

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage, JournalStorage
from optuna.testing.pytest_storages import StorageTestCase

from journal_launcher.study.journal.backend import DurableJournalFileBackend


class TestDurableJournal(StorageTestCase):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[BaseStorage]:
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        yield JournalStorage(DurableJournalFileBackend(tmp_path / "suite.log"))
        optuna.logging.set_verbosity(level)
