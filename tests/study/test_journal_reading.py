"""Reading: goes on where it stopped, names damage, and notices that the file has changed."""

import gc
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import JournalStorage
from stock_and_ours import attribute, new_journal

from journal_launcher.base.errors import ExitCode, JournalDamagedError
from journal_launcher.study.journal.backend import DurableJournalFileBackend, loading
from journal_launcher.study.journal.storage import open_storage


def content(path: Path) -> bytes:
    return path.read_bytes()


class TestReading:
    def test_goes_on_where_it_stopped(self, tmp_path: Path) -> None:
        journal = new_journal(tmp_path / "s.log", keys=3)
        reader, writer = DurableJournalFileBackend(journal), DurableJournalFileBackend(journal)
        assert len(list(reader.read_logs(0))) == 4
        assert list(reader.read_logs(4)) == []
        writer.append_logs([attribute("a"), attribute("b")])
        assert list(reader.read_logs(4)) == [attribute("a"), attribute("b")]
        assert list(reader.read_logs(5)) == [attribute("b")]
        assert len(list(reader.read_logs(0))) == 6

    def test_an_abandoned_reading_counts_what_it_gave(self, tmp_path: Path) -> None:
        backend = DurableJournalFileBackend(new_journal(tmp_path / "s.log", keys=3))
        reading = backend.read_logs(0)
        next(reading)
        next(reading)
        reading.close()
        assert [r["user_attr"] for r in backend.read_logs(2)] == [
            {"k1": "v" * 20},
            {"k2": "v" * 20},
        ]

    def test_an_unfinished_last_line_is_not_yet_there(self, tmp_path: Path) -> None:
        journal = new_journal(tmp_path / "s.log")
        backend = DurableJournalFileBackend(journal)
        assert len(list(backend.read_logs(0))) == 1
        line = json.dumps(attribute("a")).encode() + b"\n"
        for byte in line[:-1]:
            with journal.open("ab") as file:
                file.write(bytes([byte]))
            assert list(backend.read_logs(1)) == []
        with journal.open("ab") as file:
            file.write(b"\n")
        assert list(backend.read_logs(1)) == [attribute("a")]

    def test_a_tail_that_is_replaced_meanwhile_never_mixes_with_what_replaces_it(
        self, tmp_path: Path
    ) -> None:
        journal = new_journal(tmp_path / "s.log")
        begun = json.dumps(attribute("torn", "x" * 300_000)).encode()
        with journal.open("ab") as file:
            file.write(begun[:200_000])
        reader, writer = DurableJournalFileBackend(journal), DurableJournalFileBackend(journal)
        reading = reader.read_logs(0)
        next(reading)  # a buffer of what follows, half a record, may have been read too
        replacing = [attribute("a", "x" * 300_000), attribute("b")]
        writer.append_logs(replacing)
        assert list(reading) == []
        assert list(reader.read_logs(1)) == replacing

    @pytest.mark.parametrize(
        ("line", "found"),
        [
            (b"half a rec", "not JSON"),
            (b"", "a blank line"),
            (b"\0" * 64, "NUL bytes"),
            (b"\xff\xfe", "not JSON"),
            (b"[4]", "JSON that is not a record"),
            (b'{"worker_id":"w"}', "JSON that is not a record"),
            (b'{"op_code":[]}', "JSON that is not a record"),
            (b'{"op_code":99}', "an unknown operation 99"),
            (b'{"op_code":' + b"[" * 100_000, "nested too deeply"),
        ],
    )
    def test_damage_names_line_byte_and_command(
        self, tmp_path: Path, line: bytes, found: str
    ) -> None:
        journal = new_journal(tmp_path / "my study.log", keys=1)
        byte = journal.stat().st_size
        with journal.open("ab") as file:
            file.write(line + b"\n" + json.dumps(attribute("b")).encode() + b"\n")
        before = content(journal)
        with pytest.raises(JournalDamagedError) as caught:
            JournalStorage(DurableJournalFileBackend(journal))
        said = str(caught.value)
        assert f"{journal}, line 3, byte {byte}: " in said
        assert found in said
        assert "journal-launcher repair 'my study' --studies-dir" in said
        assert caught.value.exit_code == ExitCode.JOURNAL
        assert content(journal) == before

    @pytest.mark.parametrize(
        "record",
        [
            {"op_code": 2},
            {"op_code": 0, "worker_id": "w", "study_name": "x", "directions": [7]},
            {"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": "yesterday"},
            {
                "op_code": 4,
                "worker_id": "w",
                "study_id": 0,
                "datetime_start": "0001-01-01T00:00:00+14:00",
            },
            {"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {}},
        ],
    )
    def test_a_record_that_means_nothing_is_damage(
        self, tmp_path: Path, record: dict[str, Any]
    ) -> None:
        journal = new_journal(tmp_path / "s.log")
        byte = journal.stat().st_size
        with journal.open("a") as file:
            file.write(json.dumps(record) + "\n")
        backend = DurableJournalFileBackend(journal)
        with pytest.raises(JournalDamagedError, match=f"line 2, byte {byte}") as caught:
            open_storage(journal)
        assert gc.isenabled()
        with pytest.raises(JournalDamagedError) as by_optuna, loading(backend):
            JournalStorage(backend)
        assert str(caught.value) == str(by_optuna.value)


def delete(journal: Path) -> None:
    journal.unlink()


def rename(journal: Path) -> None:
    journal.rename(journal.with_name("other.log"))


def replace_by_a_copy(journal: Path) -> None:
    shutil.copy(journal, journal.with_name("copy"))
    journal.with_name("copy").rename(journal)


def replace_by_a_link(journal: Path) -> None:
    journal.rename(journal.with_name("other.log"))
    journal.symlink_to("other.log")


def truncate_to_a_line(journal: Path) -> None:
    os.truncate(journal, len(content(journal).splitlines(keepends=True)[0]))


def rewrite_in_place(journal: Path) -> None:
    journal.write_bytes(b"x" * 10_000)


class TestChangedUnderneath:
    @pytest.mark.parametrize(
        ("change", "how"),
        [
            (delete, "it is gone"),
            (rename, "it is gone"),
            (replace_by_a_copy, "another file took its place"),
            (replace_by_a_link, "a symbolic link took its place"),
            (truncate_to_a_line, "bytes were read, 119 are left"),
            (rewrite_in_place, "no longer ends a record"),
        ],
    )
    def test_reading_and_appending_stop(self, tmp_path: Path, change: Any, how: str) -> None:
        journal = new_journal(tmp_path / "s.log", keys=3)
        backend = DurableJournalFileBackend(journal)
        list(backend.read_logs(0))
        change(journal)
        after = content(journal) if journal.exists() else None
        with pytest.raises(JournalDamagedError, match=f"journal changed underneath .*{how}"):
            backend.append_logs([attribute("a")])
        with pytest.raises(JournalDamagedError, match="journal changed underneath"):
            list(backend.read_logs(4))
        assert (content(journal) if journal.exists() else None) == after
        assert not os.path.lexists(f"{journal}.lock")

    def test_without_its_folder_it_is_gone_too(self, tmp_path: Path) -> None:
        (tmp_path / "studies").mkdir()
        journal = new_journal(tmp_path / "studies" / "s.log")
        backend = DurableJournalFileBackend(journal)
        shutil.rmtree(journal.parent)
        with pytest.raises(JournalDamagedError, match=r"journal changed underneath .*it is gone"):
            backend.append_logs([attribute("a")])
        assert list(tmp_path.iterdir()) == []

    def test_another_writer_cutting_a_torn_tail_is_no_change(self, tmp_path: Path) -> None:
        journal = new_journal(tmp_path / "s.log", keys=1)
        with journal.open("ab") as file:
            file.write(b'{"op_code":2,"worker_id":"' + b"x" * 500)
        reader = DurableJournalFileBackend(journal)
        assert len(list(reader.read_logs(0))) == 2
        DurableJournalFileBackend(journal).append_logs([attribute("a")])
        assert list(reader.read_logs(2)) == [attribute("a")]
