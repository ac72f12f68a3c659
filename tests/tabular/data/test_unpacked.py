"""Small files that unpack to more than there is: refused in one line, in little memory."""

import gzip
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from journal_launcher.base import memory
from journal_launcher.base.data_text import fingerprint
from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.data.readers import read_file

MEBI = 1 << 20
PART = gzip.compress(b"1,2\n" * (10 * MEBI // 4))
# What the preparing worker does first with a table, in a process that may take little.
CHILD = """
import resource, sys
from pathlib import Path
from journal_launcher.base.errors import UsageError
from journal_launcher.base.data_text import fingerprint
resource.setrlimit(resource.RLIMIT_AS, (500 << 20, 500 << 20))
try:
    fingerprint(sys.argv[1])
except UsageError as error:
    print(error)
    # Not ru_maxrss: that begins with the size of the process which started this one.
    print(next(l.split()[1] for l in Path("/proc/self/status").open() if l.startswith("VmHWM")))
"""


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_file(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "room", lambda: MEBI)


def test_ten_gigabytes_of_text_in_ten_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "table.csv.gz"
    with path.open("wb") as file:
        file.write(gzip.compress(b"a,b\n"))
        for _ in range(1024):
            file.write(PART)
    assert path.stat().st_size < 12 * MEBI
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, timeout=60
    )
    said, resident = done.stdout.splitlines()
    assert "expected at most the 0.4883 GiB of memory that are free here, found 0.48" in said
    assert "when the text is unpacked; use fewer rows, or" in said
    assert int(resident) < 200 * 1024, done.stderr


@pytest.mark.usefixtures("little")
def test_packed_text_is_counted_wherever_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * MEBI))
    assert "the text is unpacked" in refusal(path)
    with pytest.raises(UsageError, match="the text is unpacked"):
        fingerprint(str(path))
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1000))
    assert len(read_file(path).frame) == 1000


@pytest.mark.usefixtures("little")
def test_an_archive_is_refused_by_what_its_members_say(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, X=np.zeros((1000, 200)), y=np.zeros(1000))
    assert "most of it in member 'X.npy', is unpacked" in refusal(path)
    np.savez_compressed(path, X=np.zeros((1000, 2)), y=np.zeros(1000), more=np.zeros(MEBI))
    assert "member 'more.npy'" in refusal(path)
    np.savez_compressed(path, X=np.zeros((10_000, 8)), y=np.zeros(10_000), z=np.zeros((10_000, 8)))
    assert "0.001267 GiB or more" in refusal(path), "all together"
    np.savez_compressed(path, X=np.zeros((1000, 2)), y=np.zeros(1000))
    assert len(read_file(path).frame) == 1000


def test_an_array_that_announces_more_than_there_is(tmp_path: Path) -> None:
    header = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10)}
    np.lib.format.write_array_header_2_0(header, shape)
    with zipfile.ZipFile(tmp_path / "arrays.npz", "w") as file:
        file.writestr("X.npy", header.getvalue() + bytes(80))
    assert "found 7.451e+04 GiB or more" in refusal(tmp_path / "arrays.npz")


@pytest.mark.usefixtures("little")
def test_a_member_that_lies_about_its_size_is_read_no_further(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("X", b"no array" * MEBI)
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")  # of the list of members
    content[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    assert "expected what numpy.savez writes, found: Bad CRC-32" in refusal(path)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("kind", ["float64", "int32", "bool", "str"])
def test_a_parquet_file_is_refused_by_what_its_columns_hold(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "table.parquet"
    frame = pd.DataFrame({"a": [1, 2], "b": np.zeros(2, kind)})
    frame.to_parquet(path)
    assert len(read_file(path).frame) == 2
    frame.loc[np.zeros(2 * MEBI, int)].to_parquet(path, index=False)  # equal values take no room
    assert path.stat().st_size < MEBI // 4
    assert "most of it in column" in refusal(path)
