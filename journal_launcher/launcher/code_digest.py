"""What a function is, as a hash: the same in every session of one Python until its code changes.

Of the function and of everything that travels with it, that is, whatever cannot be imported:
bytecode, plain constants and defaults, and the functions and classes that it refers to. What else
it refers to, a table say, is data; files that a function reads are not looked at either.
"""

import dis
import functools
import hashlib
import linecache
import os
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["CodeDigest", "imported_name"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))
_LONGEST = 10_000  # items of a container; what has more is data
_OF_CLASSES = ("__dict__", "__weakref__", "__module__", "__firstlineno__", "__static_attributes__")


def imported_name(value: Any) -> tuple[str, str] | None:
    """(module, name in it) of what another process can import; None for what is `__main__`'s own,
    or has no name there."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return (module, name) if found is value else None


class CodeDigest:
    """Reads `values` and all that travels with them, once each.

    sha256: of what they are. sources: the text of every file that is none, such as a cell of a
    notebook, by the name that tracebacks give it.
    """

    def __init__(self, *values: Any) -> None:
        self._seen: dict[int, int] = {}
        self.sources: dict[str, str] = {}
        digest = hashlib.sha256()
        for word in self._all(values):
            digest.update(f"{len(word)}:{word}".encode(errors="backslashreplace"))
        self.sha256 = digest.hexdigest()

    def _all(self, values: Iterable[Any]) -> Iterator[str]:
        for value in values:
            yield from self._words(value)

    def _words(self, value: Any) -> Iterator[str]:
        """Words that tell the value from another; containers of equal words in another order are
        others."""
        if isinstance(value, _PLAIN):
            yield f"{type(value).__name__} {value!r}"
            return
        if not isinstance(value, tuple | frozenset):  # of those, equal constants may be one
            if id(value) in self._seen:  # a function may call itself
                yield f"again {self._seen[id(value)]}"
                return
            self._seen[id(value)] = len(self._seen)
        yield type(value).__name__
        match value:
            case list() | tuple() | dict() | set() | frozenset() if len(value) > _LONGEST:
                yield f"{len(value)} items"
            case types.ModuleType():
                yield value.__name__
            case set() | frozenset():  # in the order of their hashes, which differ between sessions
                yield from sorted(repr(item) for item in value if isinstance(item, _PLAIN))
            case list() | tuple():
                yield from self._all(value)
            case dict():
                yield from self._table(value)
            case types.CodeType():
                yield from self._code(value)
            case functools.partial():
                yield from self._all((value.func, value.args, value.keywords))
            case types.MethodType():
                yield from self._all((value.__func__, value.__self__))
            case staticmethod() | classmethod():
                yield from self._words(value.__func__)
            case property():
                yield from self._all((value.fget, value.fset, value.fdel))
            case _:
                yield from self._named(value)

    def _named(self, value: Any) -> Iterator[str]:
        """A function or class, or an instance of a class; of what can be imported, the name."""
        if (name := imported_name(value)) is not None:
            yield from name
        elif isinstance(value, types.FunctionType):
            yield from self._function(value)
        elif isinstance(value, type):
            yield value.__qualname__
            yield from self._all(value.__bases__)
            members = vars(value).items()
            yield from self._table({k: v for k, v in members if k not in _OF_CLASSES})
        else:
            yield from self._words(type(value))
            if imported_name(type(value)) is None:  # an object that is called, of a class here
                yield from self._table(getattr(value, "__dict__", {}))

    def _table(self, table: Mapping[Any, Any]) -> Iterator[str]:
        for key, value in table.items():
            yield from self._words(key)
            yield from self._words(value)

    def _function(self, function: types.FunctionType) -> Iterator[str]:
        yield from self._words(function.__code__)
        yield from self._all((function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            try:
                yield from self._words(cell.cell_contents)
            except ValueError:  # nothing is in it yet
                yield "empty"
        for name in sorted(set(_global_names(function.__code__))):
            if name in function.__globals__:
                yield name
                yield from self._words(function.__globals__[name])

    def _code(self, code: types.CodeType) -> Iterator[str]:
        file = code.co_filename
        if file not in self.sources and not os.path.exists(file):
            self.sources[file] = "".join(linecache.getlines(file))
        yield code.co_code.hex()
        yield from (*code.co_names, *code.co_varnames, *code.co_freevars)
        yield f"{code.co_argcount} {code.co_kwonlyargcount} {code.co_posonlyargcount}"
        yield from self._all(code.co_consts)


def _global_names(code: types.CodeType) -> Iterator[str]:
    """The global variables that it and what is defined in it look up."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)
