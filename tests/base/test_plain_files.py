"""Files are opened as plain ones, or not at all and at once."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.base.files import append_line, locked, read_json
from journal_launcher.base.plain_files import found_at, open_plain, read_object, read_plain
from journal_launcher.health.decisions import decisions


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(path.parent, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/{path.name}")  # a socket's path must be short
        os.close(here)


STRANGE: dict[str, Callable[[Path], None]] = {
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "a socket": bind,
    "a symbolic link": lambda path: path.symlink_to("/etc/hostname"),
}
FLAGS = [os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND | os.O_CREAT]


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_plain_file_is_named_and_not_waited_for(
    tmp_path: Path, kind: str, flags: int
) -> None:
    path = tmp_path / "file"
    STRANGE[kind](path)
    assert found_at(path) == kind
    with pytest.raises(UsageError, match=f"file: expected a plain file, found {kind}; move it"):
        open_plain(path, flags)


def test_a_device_is_no_plain_file_either() -> None:
    with pytest.raises(UsageError, match="/dev/null: expected a plain file, found a device"):
        read_plain("/dev/null")


def test_a_link_of_the_users_own_may_be_followed_but_not_to_a_fifo(tmp_path: Path) -> None:
    path = tmp_path / "link"
    path.symlink_to("there")
    (tmp_path / "there").write_text("text")
    assert read_plain(path, follow=True) == b"text"
    (tmp_path / "there").unlink()
    os.mkfifo(tmp_path / "there")
    with pytest.raises(UsageError, match="expected a plain file"):
        read_plain(path, follow=True)


def test_nothing_there_is_another_matter(tmp_path: Path) -> None:
    assert found_at(tmp_path / "none") is None
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "none")


def read_with_locked(path: Path) -> None:
    with locked(path.with_name(path.name.removesuffix(".flock"))):
        pass


@pytest.mark.parametrize("kind", STRANGE)
def test_whoever_reads_or_writes_a_small_file_opens_it_so(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.flock"
    STRANGE[kind](path)
    with pytest.raises(ValueError, match=f"found {kind}"):
        read_json(path, 1)
    for use in (read_with_locked, lambda at: append_line(at, b"x"), lambda at: list(decisions(at))):
        with pytest.raises(UsageError, match=f"found {kind}"):
            use(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"a":' * 200_000])
def test_what_is_no_json_object_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert read_object(tmp_path / "a") == {} == read_object(tmp_path / "none")
    (tmp_path / "a").write_bytes(b'{"a": 1}')
    assert read_object(tmp_path / "a") == {"a": 1}
