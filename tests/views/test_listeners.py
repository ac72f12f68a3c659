"""Several listeners as one."""

import pytest

from journal_launcher.base.events import Event, Note
from journal_launcher.views.listeners import fan_out


def test_each_listener_hears_every_event_in_order() -> None:
    heard: list[tuple[str, Event]] = []
    listen = fan_out(lambda e: heard.append(("first", e)), lambda e: heard.append(("second", e)))
    one, two = Note("one"), Note("two")
    listen(one)
    listen(two)
    assert heard == [("first", one), ("second", one), ("first", two), ("second", two)]


def test_a_listener_that_raises_is_not_swallowed() -> None:
    def broken(event: Event) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fan_out(lambda event: None, broken)(Note("one"))


def test_of_nothing_it_is_a_listener_too() -> None:
    fan_out()(Note("one"))
