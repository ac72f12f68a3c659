"""What an exception of the user's code says: its own frames, and a module that is not installed."""

import functools
import importlib
import os
import pkgutil
import re
import shlex
import shutil
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path

from journal_launcher.base.paths import install_command
from journal_launcher.base.unknown_names import nearest

__all__ = ["missing_in_script", "missing_module", "traceback_of"]

_OURS = f"{Path(__file__).parents[1]}{os.sep}"
_IMPORTING = ("<frozen importlib", str(importlib.__file__))
_SCRIPT_SAYS = re.compile(r"ModuleNotFoundError: No module named '(\w+)'")
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


def traceback_of(error: BaseException) -> str:
    """Format an exception without this program's frames, where frames of the user's code are left.

    An exception that none of those took part in is formatted whole: its frames are all there is.
    """
    formatted = traceback.TracebackException.from_exception(error)
    link: traceback.TracebackException | None = formatted
    while link is not None:
        if any(map(_is_users, link.stack)):
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
    return f"{who} needs the module {name!r}, {found}; {otherwise}{remedy}"


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


@functools.cache
def _libraries() -> tuple[str, ...]:
    import sysconfig  # only a traceback needs it

    paths = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    return tuple(f"{path}{os.sep}" for path in paths)
