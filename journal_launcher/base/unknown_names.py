"""What to say of a name that is not known: which one was meant, perhaps."""

import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

__all__ = ["did_you_mean", "did_you_mean_file", "did_you_mean_or_all", "nearest"]

_LISTED = 10_000  # names of a folder that are looked at
_ALIKE = 0.75  # of files: their endings alone make them rather alike


def nearest(name: object, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name that is most like `name`, None if none is near; likeness: 1 is the same."""
    import difflib  # nothing that is right needs it

    found = difflib.get_close_matches(str(name), list(known), n=1, cutoff=likeness)
    return next(iter(found), None)


def did_you_mean(name: object, known: Iterable[str], prefix: str = "") -> str:
    """The end of a message: "; did you mean 'x'?", nothing if no name is near."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {prefix + near!r}?"


def did_you_mean_or_all(name: object, known: Sequence[str]) -> str:
    """As `did_you_mean`, but where no name is near, all of them."""
    return did_you_mean(name, known) or f"; known: {', '.join(known)}"


def did_you_mean_file(path: Path | str) -> str:
    """The same of a file that is not there, by what else is in its folder."""
    try:
        with os.scandir(os.path.dirname(path) or ".") as found:
            names = [entry.name for entry in islice(found, _LISTED)]
    except OSError:  # no such folder either
        return ""
    near = nearest(os.path.basename(path), names, _ALIKE)
    return "" if near is None else f"; did you mean {near!r}?"
