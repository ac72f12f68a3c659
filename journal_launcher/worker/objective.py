"""Find what the user named: "pkg.module:attr" or "path/file.py:attr"."""

import difflib
import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from journal_launcher.base.errors import UsageError

__all__ = ["UserObjective", "load_objective", "load_reference"]


@dataclass(frozen=True)
class UserObjective:
    """A loaded objective; `save_best(study, directory)` is optional in its module."""

    function: Callable[..., Any]
    save_best: Callable[..., Any] | None
    source_sha256: str | None


def load_objective(reference: str, arguments: Sequence[str] = ()) -> UserObjective:
    """Import what `reference` names; its module sees `arguments` as its sys.argv[1:].

    Raises:
        UsageError: malformed reference, no such file or module, no such attribute.
        Exception: whatever the module itself raises while it is imported.
    """
    source, _, attribute = reference.rpartition(":")
    sys.argv = [str(Path(source).absolute()) if _is_file(source) else source, *arguments]
    module, function = load_reference("--objective", reference)
    if not callable(function):
        raise UsageError(
            f"--objective: expected a function {attribute}(trial) in {source}, found "
            f"{type(function).__name__}"
        )
    file = getattr(module, "__file__", None)
    if not _is_file(source):
        sys.argv[0] = file or source
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    return UserObjective(function, getattr(module, "save_best", None), digest)


def load_reference(option: str, reference: str) -> tuple[ModuleType, Any]:
    """The module and the object in it, with neighbours importable as under `python script.py`."""
    source, _, attribute = reference.rpartition(":")
    if not source or not attribute:
        raise UsageError(
            f"{option}: expected pkg.module:function or path/file.py:function, found {reference!r}"
        )
    if _is_file(source):
        module = _import_file(option, Path(source))
    else:
        module = _import_module(option, source)
    if not hasattr(module, attribute):
        raise UsageError(f"{option}: {source} has no {attribute!r}{_nearest(module, attribute)}")
    return module, getattr(module, attribute)


def _is_file(source: str) -> bool:
    return source.endswith(".py") or "/" in source


def _import_file(option: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"{option}: no such file: {path.absolute()}")
    if path.suffix != ".py":
        raise UsageError(f"{option}: expected a Python file, found {path}")
    return _execute(path.absolute())


@functools.cache  # the objective and a sampler may be in one file, which is run once
def _execute(path: Path) -> ModuleType:
    sys.path.insert(0, str(path.parent))
    # Its own name, so that processes the objective starts can import it; unless that is taken.
    name = path.stem
    if name in sys.modules or name in sys.stdlib_module_names:
        name = f"objective_{name}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def _import_module(option: str, name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # The module that was asked for (or a package around it), or one that it imports itself?
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(
                f"{option}: no module named {error.name!r} in {Path.cwd()} or this Python; "
                "for a file, write path/file.py:function"
            ) from None
        raise


def _nearest(module: ModuleType, attribute: str) -> str:
    names = [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]
    near = difflib.get_close_matches(attribute, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
