import os
from pathlib import Path

import pytest
from disk_steps import disk_steps

from journal_launcher.base import files
from journal_launcher.base.errors import UsageError


def test_json_comes_back_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for value in (1, "é\ud800"):
        files.write_json(path, {"schema_version": 1, "value": value})
        assert files.read_json(path, 1)["value"] == value
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"schema_version": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_json(path, {"schema_version": 1, "more": True})
    assert list(tmp_path.iterdir()) == [path]
    assert files.read_json(path, 1) == {"schema_version": 1}


def test_a_file_name_that_is_no_text_comes_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.bin")  # as a script of another time writes it
    files.write_json(tmp_path / "a.json", {"schema_version": 1, "files": {name: "sha"}})
    assert files.read_json(tmp_path / "a.json", 1)["files"] == {name: "sha"}


def test_not_a_number_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", {"schema_version": 1, "value": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"schema_version": 2}', '{"a": 1}', "[" * 100_000, "\udcff"]
)
def test_what_is_not_ours_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"a\.json: "):
        files.read_json(path, 1)


def test_a_file_and_its_name_are_on_the_disk_when_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, steps = f"fsync {tmp_path.name}", disk_steps(monkeypatch)
    files.write_bytes(tmp_path / "a", b"1")
    assert steps == ["fsync temporary", "replace a", folder]
    steps.clear()
    files.write_new_bytes(tmp_path / "b", b"1")
    assert steps == ["fsync temporary", "link b", "unlink temporary", folder]
    steps.clear()
    files.append_line(tmp_path / "c", b"1")
    assert steps == ["fsync c", folder]


def test_the_lock_of_a_file_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "a.flock").symlink_to(tmp_path / "theirs")
    refused = pytest.raises(UsageError, match="expected a plain file, found a symbolic link")
    with refused, files.locked(tmp_path / "a"):
        pass
    assert not (tmp_path / "theirs").exists()
