"""Durations, scores and counts as people read them."""

__all__ = ["clock_time", "counted", "duration", "number"]


def counted(finished: int, wanted: int | None) -> str:
    """Say "12 of 20", or "20" where fewer were wanted."""
    return str(finished) if wanted is None or finished > wanted else f"{finished} of {wanted}"


def duration(seconds: float) -> str:
    """How long something took: 0.4 s, 0:12, 1:05 or 2:03:11."""
    return f"{int(seconds * 10) / 10} s" if seconds < 10 else clock_time(seconds)


def clock_time(seconds: float) -> str:
    """A moment of the launch: 0:07, 1:05 or 2:03:11."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def number(value: float) -> str:
    """A score with five significant digits."""
    return f"{value:.5g}"
