"""A function that Python gives to a launch: how it gets to the workers, and is kept nowhere.

Functions of modules go by their names. One of a notebook, of the script itself, or a closure is
pickled with what it refers to, into memory that this launch's own children inherit. No pickle comes
from elsewhere and none becomes a file.
"""

import functools
import inspect
import io
import os
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable
from typing import Any, ClassVar

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.launcher.code_digest import CodeDigest, imported_name

__all__ = ["LARGEST", "GivenCode"]

LARGEST = 100_000_000
"""Bytes that a function may be with what it refers to: every worker holds it all."""


@dataclass(frozen=True)
class GivenCode:
    """reference: what a study calls the objective. content: what the workers unpack."""

    reference: str
    content: bytes

    @classmethod
    def of(cls, objective: Any, save_best: Callable[..., Any] | None) -> "GivenCode":
        """objective: a function, or the name of one; then only `save_best` travels.

        Raises:
            UsageError: it cannot be sent to another process, or is too large.
        """
        name = imported_name(objective)
        # As the command line names it: a study that was begun there can be gone on with here.
        by_name = isinstance(objective, str) or (name is not None and "." not in name[1])
        sent = [one for one in (None if by_name else objective, save_best) if one is not None]
        try:
            digest = CodeDigest(*sent) if sent else None
        except RecursionError:
            raise UsageError(
                "launch(objective=…): the function refers to what is nested too deeply to be sent "
                "to the workers; make it inside the function"
            ) from None
        before = {  # what has to be there when the functions are unpacked, and is read before them
            "path": [os.path.abspath(folder) for folder in sys.path],
            "sha256": None if by_name or digest is None else digest.sha256,
            "sources": {} if digest is None else digest.sources,
        }
        functions = (None if by_name else objective, save_best)
        return cls(_reference(objective, by_name), _pickled(before, functions))


def _reference(objective: Any, by_name: bool) -> str:
    """A script's function is called as if the command line ran it; of a notebook nobody knows the
    file, and `__main__` stands for it."""
    if isinstance(objective, str):
        return objective
    named = objective
    while isinstance(named, functools.partial):
        named = named.func
    if not hasattr(named, "__qualname__"):
        named = type(named)
    module = str(getattr(named, "__module__", "__main__"))
    if by_name:
        return f"{module}:{named.__qualname__}"
    file = getattr(sys.modules["__main__"], "__file__", None) if module == "__main__" else None
    name = named.__qualname__.replace(".<locals>", "").replace("<lambda>", "lambda")
    if file is not None and file.endswith(".py") and os.path.isfile(file):
        module = os.path.abspath(file)
    return f"{module}:{name}"


class _Bounded(io.BytesIO):
    """Gives up in time: a table of 10 GB must not be written out to find that it is too large."""

    def write(self, data: Any) -> int:
        if self.tell() + memoryview(data).nbytes > LARGEST:
            raise OverflowError
        return super().write(data)


def _pickled(before: dict[str, Any], functions: tuple[Any, ...]) -> bytes:
    import cloudpickle  # only launches of functions need it

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
        """Copies nothing out of a file that is open for reading, as cloudpickle's own does."""

        dispatch_table: ClassVar = ChainMap(
            {io.TextIOWrapper: _no_file}, cloudpickle.CloudPickler.dispatch_table
        )

    written = _Bounded()
    pickle.dump(before, written)
    try:
        Pickler(written).dump(functions)
    except OverflowError:
        limit = f"more than {LARGEST // 1_000_000} MB"
        raise UsageError(
            f"launch(objective=…): the function and what it refers to are {limit}"
            f"{_largest(functions)}, too much to send to every worker; load it inside the function"
        ) from None
    except Exception as error:  # of any kind: every type may say in its way that it cannot
        problem = str(error).partition("\n")[0] or type(error).__name__
        raise UsageError(
            f"launch(objective=…): the function cannot be sent to the workers: {problem}; make "
            "what it needs of that inside the function"
        ) from None
    return written.getvalue()


def _no_file(file: io.TextIOWrapper) -> tuple[Any, ...]:
    """How a stream is pickled: the worker's own of that name, and no other."""
    for name in ("stdout", "stderr"):
        if file is getattr(sys, name):
            return getattr, (sys, name)
    raise TypeError(f"it refers to an open file, {file.name}")


def _largest(functions: tuple[Any, ...]) -> str:
    """The variable that is most of it, where its size is known."""
    sizes: dict[str, int] = {}
    for function in functions:
        if inspect.isfunction(function):
            variables = inspect.getclosurevars(function)
            for name, value in {**variables.globals, **variables.nonlocals}.items():
                nbytes = getattr(value, "nbytes", 0)
                sizes[name] = max(sys.getsizeof(value), nbytes if isinstance(nbytes, int) else 0)
    name = max(sizes, key=sizes.__getitem__, default="")
    return f" (most of it is {name})" if sizes.get(name, 0) > LARGEST // 2 else ""
