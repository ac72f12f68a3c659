"""What an exception of the user's code says: its own frames, and a module that is not installed."""

import contextlib
import functools
import importlib
import os
import pkgutil
import re
import shlex
import shutil
import sys
import traceback
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import optuna

from journal_launcher.base.errors import (
    JournalLauncherError,
    UsageError,
    is_full_disk,
    limit_met,
)
from journal_launcher.base.paths import install_command
from journal_launcher.base.unknown_names import did_you_mean, nearest
from journal_launcher.study.tally import NO_MODULE
from journal_launcher.worker.cuda_errors import breaks_process, is_out_of_memory, words
from journal_launcher.worker.jobs.base import SaveFailedError

__all__ = [
    "BrokenCodeError",
    "importing",
    "is_all_ours",
    "missing_in_script",
    "missing_module",
    "reason_of",
    "told_of",
    "traceback_of",
]

_OURS = f"{Path(__file__).parents[1]}{os.sep}"
_IMPORTING = ("<frozen importlib", str(importlib.__file__))
_SCRIPT_SAYS = re.compile(r"ModuleNotFoundError: No module named '(\w+)'")
_LONGEST = 1900  # characters of its words; a reason is cut at 2000
_LIKENESS = 0.8  # two letters of `numpy` exchanged; `catboost` and `xgboost` are less alike
# What pip knows under another name than Python.
_DISTRIBUTIONS = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dotenv": "python-dotenv",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


class BrokenCodeError(UsageError):
    """The user's code raised while it was imported; its exception is the cause."""


@contextlib.contextmanager
def importing(what: str) -> Iterator[None]:
    """Make bad input of what the user's code raises, but for what a later attempt may not meet.

    Raises:
        BrokenCodeError: its cause is what was raised.
    """
    process = os.getpid()
    try:
        yield
    except JournalLauncherError:
        raise
    except (Exception, SystemExit) as error:
        forked = os.getpid() != process
        device = is_out_of_memory(error) or breaks_process(error)
        if forked or device or is_full_disk(error) or limit_met(error) is not None:
            raise
        said = missing_module(error) or f"{what} cannot be imported: {reason_of(error)}"
        raise BrokenCodeError(said) from error


def reason_of(error: BaseException) -> str:
    """Why a trial failed: the kind, by which failures are counted, the words, the user's line."""
    missing = missing_module(error)
    if missing is not None:
        return missing
    kind = "CUDA out of memory" if is_out_of_memory(error) else type(error).__name__
    said = ": ".join(filter(None, (words(error).strip(), limit_met(error))))
    if isinstance(error, AttributeError) and isinstance(error.obj, optuna.Trial):
        said += did_you_mean(error.name, (name for name in dir(optuna.Trial) if name[0] != "_"))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame)]
    place = ""
    if frames and not isinstance(error, SyntaxError):  # it says its own
        place = f"{os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}"
    said = said[:_LONGEST]
    if said and place:
        return f"{kind}: {said} ({place})"
    return f"{kind}: {said or place}".removesuffix(": ")


def told_of(error: BaseException) -> str | None:
    """The traceback that the user has to see beside the line of an error of ours: of their code."""
    cause = error.__cause__
    if not isinstance(error, BrokenCodeError | SaveFailedError) or cause is None:
        return None
    return None if missing_module(cause) else traceback_of(cause)


def is_all_ours(error: BaseException) -> bool:
    """Did no code of the user's take part in this exception?"""
    frames = traceback.extract_tb(error.__traceback__)
    return not any(map(_is_users, frames)) and not _is_syntax_of_users(error)


def traceback_of(error: BaseException) -> str:
    """Format an exception without this program's frames, where frames of the user's code are left.

    An exception that none of those took part in is formatted whole: its frames are all there is.
    """
    formatted = traceback.TracebackException.from_exception(error)
    link: traceback.TracebackException | None = formatted
    while link is not None:
        if any(map(_is_users, link.stack)) or _is_syntax_of_users(link):
            left = [frame for frame in link.stack if not _is_machinery(frame)]
            link.stack = traceback.StackSummary.from_list(left)
        link = link.__cause__ or link.__context__
    return "".join(formatted.format())


def missing_module(error: BaseException) -> str | None:
    """Say in a line which module is not installed, who imports it, and what to type.

    None for any other error, also if the module is there and only lacks something.
    """
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    if not name or "." in name or _is_there(name):  # "a.b": a is there, and has no b
        return None
    frames = traceback.extract_tb(error.__traceback__)
    imports = [frame for frame in frames if _is_users(frame)] or list(frames)
    who = f"{imports[-1].filename}, line {imports[-1].lineno}" if imports else "the code"
    return _needs(who, name, f"type {install_command(_distribution(name))}", _near(name))


def missing_in_script(program: str | None, last_line: str) -> str | None:
    """The same of a script, from the last line that it printed and the program that ran it."""
    found = _SCRIPT_SAYS.fullmatch(last_line.strip())
    if found is None:
        return None
    distribution = _distribution(found[1])
    near = None
    if program is not None and shutil.which(program) == sys.executable:
        remedy = f"type {install_command(distribution)}"
        near = _near(found[1])
    elif program is not None and Path(program).name.startswith("python"):
        remedy = f"type {shlex.quote(program)} -m pip install {distribution}"
    else:
        remedy = f"install {distribution} for the Python that it runs"
    return _needs("the script", found[1], remedy, near)


def _needs(who: str, name: str, remedy: str, near: str | None = None) -> str:
    """A misspelt name must not be installed: its like may be somebody else's package."""
    otherwise = "" if near is None else f"did you mean {near!r}? if not, "
    found = "found neither installed nor beside it"
    return f"{NO_MODULE}{name!r}: {who} needs it, {found}; {otherwise}{remedy}"


def _near(name: str) -> str | None:
    """The module that is there and is named most like it."""
    installed = {module.name for module in pkgutil.iter_modules()} - sys.stdlib_module_names
    return nearest(name, installed, _LIKENESS) or nearest(name, sys.stdlib_module_names, _LIKENESS)


def _distribution(name: str) -> str:
    return _DISTRIBUTIONS.get(name, name)


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # one that is half imported, say
        return True


def _is_machinery(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith((_OURS, *_IMPORTING))


def _is_users(frame: traceback.FrameSummary) -> bool:
    return not _is_machinery(frame) and not frame.filename.startswith(_libraries())


def _is_syntax_of_users(error: BaseException | traceback.TracebackException) -> bool:
    """Code that cannot be parsed has no frame, but a place."""
    if not isinstance(error, SyntaxError | traceback.TracebackException):
        return False
    name = getattr(error, "filename", None)
    return name is not None and _is_users(traceback.FrameSummary(name, 0, "", lookup_line=False))


@functools.cache
def _libraries() -> tuple[str, ...]:
    import sysconfig  # only a traceback needs it

    paths = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    return tuple(f"{path}{os.sep}" for path in paths)
