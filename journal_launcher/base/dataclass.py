"""`dataclass` for what is imported before a first trial: its methods are not compiled.

`dataclasses.dataclass` writes and compiles the source of six methods, 0.3 ms a class (Python 3.11);
a launch imports 80 classes before its first worker's process starts, and the worker 50 before its
first trial. Here the methods are functions that look at the fields: a class takes 0.02 ms, a new
instance 3 µs instead of 1. Used like the other, and to type checkers it is the other.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(
        cls: type | None = None, /, *, frozen: bool = False
    ) -> type | Callable[[type], type]:
        """As `dataclasses.dataclass`, with this one of its options."""
        if cls is None:
            return lambda cls: dataclass(cls, frozen=frozen)
        if cls.__doc__ is None:
            cls.__doc__ = cls.__name__  # or the signature would be worked out for one
        dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
        cls.__init__ = _initialiser(cls)
        cls.__repr__ = _repr
        cls.__eq__ = _eq
        cls.__hash__ = _hash if frozen else None
        if frozen:
            cls.__setattr__ = _set_none
            cls.__delattr__ = _delete_none
        return cls


__all__ = ["dataclass"]


def _initialiser(cls: type[Any]) -> Callable[..., None]:
    fields = dataclasses.fields(cls)
    asked = tuple(field.name for field in fields if field.init)
    every = {field.name for field in fields}
    not_asked = every - set(asked)
    defaults, factories = _defaults(fields)
    post_init = getattr(cls, "__post_init__", None)

    def __init__(self: Any, *args: Any, **given: Any) -> None:
        values = given
        if args or not_asked or given.keys() != every:
            values = {**defaults, **dict(zip(asked, args, strict=False)), **given}
            for name in factories.keys() - values.keys():
                values[name] = factories[name]()
            wrong = values.keys() ^ every or given.keys() & {*asked[: len(args)], *not_asked}
            if wrong or len(args) > len(asked):
                shown = [*map(repr, args), *(f"{name}={given[name]!r}" for name in given)]
                expected = f"{cls.__name__}({', '.join(asked)})"
                raise TypeError(f"expected {expected}, found ({', '.join(shown)})")
        self.__dict__.update(values)
        if post_init is not None:
            post_init(self)

    return __init__


def _defaults(
    fields: tuple[dataclasses.Field[Any], ...],
) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    none = dataclasses.MISSING
    values = {field.name: field.default for field in fields if field.default is not none}
    makers = {f.name: f.default_factory for f in fields if f.default_factory is not none}
    return values, makers


def _repr(self: Any) -> str:
    shown = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, f.name) for f in dataclasses.fields(self) if f.compare)


def _eq(self: Any, other: Any) -> bool:
    return _values(self) == _values(other) if type(self) is type(other) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _set_none(self: Any, name: str, value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delete_none(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
