"""Find what the user named: "pkg.module:attr" or "path/file.py:attr"."""

import functools
import hashlib
import importlib
import importlib.util
import multiprocessing  # noqa: F401  # once imported, it leaves `_SCRIPT` alone
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import optuna

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.unknown_names import did_you_mean
from journal_launcher.settings.inputs import find_reference

if TYPE_CHECKING:
    from journal_launcher.worker.given_code import GivenCode

__all__ = ["Reporter", "UserObjective", "load_objective", "load_reference"]

_SCRIPT = "__mp_main__"


@dataclass(frozen=True)
class UserObjective:
    """A loaded objective; `save_best(study, directory)` is optional in its module.

    source_sha256: of its file, or of the `code` of a function that Python gave: the two do not
    compare.
    """

    function: Callable[..., Any]
    save_best: Callable[..., Any] | None
    source_sha256: str | None
    hashed: Literal["source", "code"] = "source"


class Reporter:
    """`trial.report` that tells the views too. Pickled with its trial, it is Optuna's own again."""

    def __init__(self, trial: optuna.Trial, progress: Callable[..., None]) -> None:
        self._trial = trial
        self._progress = progress

    def __call__(self, value: float, step: int) -> None:
        optuna.Trial.report(self._trial, value, step)
        self._progress("step", int(step), None, float(value))

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._trial, "report")


def load_objective(
    reference: str, arguments: Sequence[str] = (), given: "GivenCode | None" = None
) -> UserObjective:
    """Import what `reference` names; its module sees `arguments` as its sys.argv[1:].

    given: functions that need no import; without an objective among them, that is imported.

    Raises:
        UsageError: malformed reference, no such file or module, no such attribute.
        Exception: whatever the module itself raises while it is imported.
    """
    found = find_reference("--objective", reference)
    source = found.source
    attribute = found.attribute
    sys.argv = [str(Path(source).absolute()) if found.is_file else source, *arguments]
    if given is not None and given.objective is not None:
        return UserObjective(given.objective, given.save_best, given.sha256, "code")
    module, function = load_reference("--objective", reference)
    if not callable(function):
        raise UsageError(
            f"--objective: expected a function {attribute}(trial) in {source}, found "
            f"{type(function).__name__}"
        )
    file = getattr(module, "__file__", None)
    if not found.is_file:
        sys.argv[0] = file or source
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    own = getattr(module, "save_best", None)
    save_best = own if given is None or given.save_best is None else given.save_best
    return UserObjective(function, save_best, digest)


def load_reference(option: str, reference: str) -> tuple[ModuleType, Any]:
    """The module and the object in it, with neighbours importable as under `python script.py`."""
    found = find_reference(option, reference)
    source = found.source
    attribute = found.attribute
    module = _execute(Path(source).absolute()) if found.is_file else _import_module(option, source)
    if not hasattr(module, attribute):
        hint = did_you_mean(attribute, _callables(module))
        raise UsageError(f"{option}: {source} has no {attribute!r}{hint}")
    return module, getattr(module, attribute)


@functools.cache  # the objective and a sampler may be in one file, which is run once
def _execute(path: Path) -> ModuleType:
    sys.path.insert(0, str(path.parent))
    name = _module_name(path)
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def _module_name(path: Path) -> str:
    """A name by which processes that the objective starts find the file.

    Its own, unless that is taken or an import of it finds something else. Then what multiprocessing
    itself calls a script in the processes that the script starts, which run the file first.
    """
    name = path.stem
    taken = name in sys.modules or name in sys.stdlib_module_names
    found = None if taken else PathFinder.find_spec(name)
    if found is not None and found.origin == str(path):
        return name
    main = sys.modules["__main__"]
    if sys.modules[_SCRIPT] is not main:  # a sampler is in a second such file
        return f"objective_{name}"
    main.__file__ = str(path)
    return _SCRIPT


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


def _callables(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]
