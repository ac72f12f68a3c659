"""What to say of a name that is not known: which one was meant, perhaps."""

from collections.abc import Iterable, Sequence

__all__ = ["did_you_mean", "did_you_mean_or_all", "nearest"]


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`, None if none is near."""
    import difflib  # nothing that is right needs it

    return next(iter(difflib.get_close_matches(str(name), list(known), n=1)), None)


def did_you_mean(name: object, known: Iterable[str], prefix: str = "") -> str:
    """The end of a message: "; did you mean 'x'?", nothing if no name is near."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {prefix + near!r}?"


def did_you_mean_or_all(name: object, known: Sequence[str]) -> str:
    """As `did_you_mean`, but where no name is near, all of them."""
    return did_you_mean(name, known) or f"; known: {', '.join(known)}"
