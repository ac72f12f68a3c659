"""Functions that Python gives to a launch: what they are called, what they are, how they travel."""

import functools
import inspect
import io
import json
import os
import pickle
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launcher.harness import ROOT

from journal_launcher.base.errors import UsageError
from journal_launcher.launcher import given_code
from journal_launcher.launcher.code_digest import CodeDigest
from journal_launcher.launcher.engines.local import inherited
from journal_launcher.launcher.given_code import GivenCode
from journal_launcher.worker.given_code import unpacked


def objective(trial: Any) -> float:
    return 0.5


def made(n: int) -> Callable[[Any], int]:
    def inner(trial: Any) -> int:
        return n

    return inner


class Called:
    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, trial: Any) -> int:
        return self.n

    def method(self, trial: Any) -> int:
        return self.n


MODULE = __name__


@pytest.mark.parametrize(
    ("function", "reference"),
    [
        (objective, f"{MODULE}:objective"),
        ("train.py:objective", "train.py:objective"),
        (made(1), f"{MODULE}:made.inner"),
        (lambda trial: 1, f"{MODULE}:lambda"),
        (functools.partial(objective), f"{MODULE}:objective"),
        (functools.partial(made(1)), f"{MODULE}:made.inner"),
        (Called(1), f"{MODULE}:Called"),
        (Called(1).method, f"{MODULE}:Called.method"),
    ],
)
def test_what_the_study_calls_it(function: Any, reference: str) -> None:
    assert GivenCode.of(function, None).reference == reference


def sent(function: Any, save_best: Any = None) -> Any:
    """What a worker gets of it, unpacked in a process of its own."""
    with inherited(GivenCode.of(function, save_best).content) as descriptor:
        code = """
            import json, sys
            from journal_launcher.worker.given_code import unpacked
            found = unpacked(int(sys.argv[1]))
            said = lambda given: None if given is None else given(None)
            print(json.dumps([said(found.objective), said(found.save_best), found.sha256]))
        """
        ended = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), str(descriptor)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            pass_fds=(descriptor,),  # type: ignore[arg-type]
            capture_output=True,
            text=True,
        )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_they_travel_with_what_they_need() -> None:
    by_value, saved, digest = sent(made(7), Called(3))
    assert (by_value, saved) == (7, 3) and len(digest) == 64
    assert sent(functools.partial(made(2)))[0] == 2
    assert sent(Called(5).method)[0] == 5
    # A module's own function goes by its name, and only the other one travels.
    assert sent(objective, made(4)) == [None, 4, None]


def test_a_cell_is_shown_in_tracebacks(tmp_path: Path) -> None:
    """The text of what was typed is no file that the worker could read."""
    import linecache

    text = "def failing(trial):\n    raise ValueError('why')\n"
    linecache.cache["<cell 1>"] = (len(text), None, text.splitlines(keepends=True), "<cell 1>")
    found: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, "<cell 1>", "exec"), found)
    assert CodeDigest(found["failing"]).sources == {"<cell 1>": text}
    assert CodeDigest(objective).sources == {}


def test_what_is_too_large_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given_code, "LARGEST", 2_000_000)
    small = np.zeros(1000)
    table = np.zeros((1000, 1000))
    said = r"more than 2 MB \(most of it is table\), too much to send .* load it inside the"
    with pytest.raises(UsageError, match=said):
        GivenCode.of(lambda trial: table.sum() + small.sum(), None)
    assert len(GivenCode.of(lambda trial: small.sum(), None).content) < 20_000


def test_what_cannot_travel_is_one_line() -> None:
    lock = threading.Lock()
    said = r"cannot be sent to the workers: cannot pickle '_thread.lock' object; make what it needs"
    with pytest.raises(UsageError, match=said) as caught:
        GivenCode.of(lambda trial: lock, None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", ["r", "r+", "w"])
def test_an_open_file_is_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "rows.txt"
    path.write_text("what nobody shall copy")
    with path.open(mode) as file:
        said = re.escape(f"to the workers: it refers to an open file, {path}; make what it needs")
        with pytest.raises(UsageError, match=said):
            GivenCode.of(lambda trial: file.read(), None)


def test_a_standard_stream_is_the_workers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO()))
    stream = sys.stderr
    content = io.BytesIO(GivenCode.of(lambda trial: stream.write("x"), None).content)
    pickle.load(content)
    monkeypatch.setattr(sys, "stderr", theirs := io.TextIOWrapper(io.BytesIO()))
    function, _ = pickle.load(content)
    function(None)
    assert theirs.tell() == 1


def test_no_file_has_it_and_nothing_is_left() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    with inherited(b"content") as descriptor:
        assert descriptor is not None and descriptor >= 10
        assert "memfd" in os.readlink(f"/proc/self/fd/{descriptor}")
        assert os.pread(descriptor, 100, 0) == b"content"
        assert not os.get_inheritable(descriptor)
    assert sorted(os.listdir("/proc/self/fd")) == before
    with inherited(None) as descriptor:
        assert descriptor is None


def test_reading_it_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, "/somewhere"])
    with inherited(GivenCode.of(made(1), None).content) as descriptor:
        assert descriptor is not None
        monkeypatch.setattr(sys, "path", sys.path[:-1])
        found = unpacked(os.dup(descriptor))
    assert found.objective is not None and found.objective(None) == 1
    assert "/somewhere" in sys.path


# --- the digest

CODE = """
    import functools

    LIMIT = 3
    WORDS = {"a", "b", "c"}

    def helper(x):
        return [y + 1 for y in x]

    class Net:
        size = 4

        def run(self, x):
            return helper(x)

    def objective(trial, k=1, *, m={"a": 2}):
        "Doc."
        def inside():
            return LIMIT, "a" in {"a", "b", "c", "d"}, WORDS
        return Net().run([inside(), k, m, objective])
"""

PRINT = """
    import sys
    from journal_launcher.launcher.code_digest import CodeDigest
    found = {"__name__": "__main__"}
    exec(compile(sys.argv[1], "<cell>", "exec"), found)
    print(CodeDigest(found["objective"]).sha256)
"""


def digest(code: str, seed: int = 0) -> str:
    ended = subprocess.run(
        [sys.executable, "-S", "-c", textwrap.dedent(PRINT), textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_it_is_the_same_in_every_session() -> None:
    assert len({digest(CODE, seed) for seed in (1, 2, 3)}) == 1


def test_lines_and_comments_do_not_count() -> None:
    assert digest("\n\n" + CODE.replace("LIMIT = 3", "LIMIT = 3  # at most")) == digest(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ('WORDS = {"a"', 'WORDS = {"z"'),
        ('"c", "d"}', '"c", "e"}'),
        ("y + 1", "y + 2"),
        ("y + 1", "y - 1"),
        ("size = 4", "size = 5"),
        ("k=1", "k=2"),
        ('{"a": 2}', '{"a": 3}'),
        ("return helper(x)", "return sum(x)"),
    ],
)
def test_each_change_is_seen(old: str, new: str) -> None:
    assert old in CODE
    assert digest(CODE.replace(old, new, 1)) != digest(CODE)


def test_where_equal_constants_are_does_not_count() -> None:
    """Cells that are divided or joined are the same code."""
    code = "def one():\n    return (1, 2)\ndef objective(trial):\n    return (1, 2), one()\n"
    both: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "<cell>", "exec"), both)
    apart: dict[str, Any] = {"__name__": "__main__"}
    first, second = code.split("def objective")
    for cell in (first, f"def objective{second}"):
        exec(compile(cell, "<cell>", "exec"), apart)
    assert CodeDigest(both["objective"]).sha256 == CodeDigest(apart["objective"]).sha256


def test_data_is_no_code() -> None:
    assert CodeDigest(made(1)).sha256 != CodeDigest(made(2)).sha256
    held = [inspect.currentframe(), object()]

    def uses(thing: Any) -> Callable[[Any], Any]:
        return lambda trial: thing

    first, second = (CodeDigest(uses([n] * 20_000)).sha256 for n in (1, 2))
    assert first == second
    first, second = (CodeDigest(uses(np.full(3, n))).sha256 for n in (1, 2))
    assert first == second
    assert CodeDigest(uses(held)).sha256 == CodeDigest(uses([held[0], object()])).sha256
