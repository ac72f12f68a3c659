"""A file where none is expected: the line that was meant, most likely."""

import os
import re
import shlex
from pathlib import Path

from journal_launcher.base.data_source import kind_of_file
from journal_launcher.base.paths import typed

__all__ = ["command_for"]

_LOOKED_AT = 1_000_000  # bytes of a Python file
_REFERENCE = re.compile(r"\S+\.py:\w+")
_OBJECTIVE = re.compile(rb"^def (\w+)\(\s*trial\b", re.M)


def command_for(word: str) -> str | None:
    """The end of a message: what to type for the file of this name, None for no such file."""
    if _REFERENCE.fullmatch(word):
        return f": to tune with it type {typed()} run --objective {shlex.quote(word)}"
    if not os.path.isfile(word):
        return None
    kind, name = kind_of_file(Path(word)), shlex.quote(word)
    if word.endswith(".py"):
        return f": to tune with it type {_for_code(word)}"
    if kind in ("text", "parquet", "npz", "excel"):
        line = f"{typed()} run --data {name} --target COLUMN"
        return f": to learn from it type {line}; {typed()} describe {name} shows its columns"
    if word.endswith(".toml"):
        return f": for a config file type {typed()} run --config {name}"
    if word.endswith((".log", ".db")):
        source = name if word.endswith(".log") else f"sqlite:///{name}"
        return f": to bring a study along type {typed()} import {source}"
    return None


def _for_code(word: str) -> str:
    """With the function that takes a trial; without one it may be a script of its own."""
    try:
        with open(word, "rb") as file:
            found = _OBJECTIVE.search(file.read(_LOOKED_AT))
    except OSError:
        found = None
    if found is not None:
        return f"{typed()} run --objective {shlex.quote(f'{word}:{found[1].decode()}')}"
    script = shlex.quote(f"python {shlex.quote(word)} --lr {{lr}}")
    return (
        f"{typed()} run --objective {shlex.quote(f'{word}:FUNCTION')}; of a script that has no "
        f"function of a trial {typed()} run --command {script} --config FILE.toml, whose [space] "
        "has lr"
    )
