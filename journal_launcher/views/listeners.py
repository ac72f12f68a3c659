"""Listeners made of others: several of them, and one that is there only when it is needed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from journal_launcher.base.events import Event, Listener

__all__ = ["fan_out", "from_first_event"]


def fan_out(*listeners: Listener) -> Listener:
    """Return a listener that tells each of `listeners` of every event, in their order.

    One that raises ends the launch, as it does alone: what it was to keep would be incomplete.
    """

    def listen(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return listen


@contextmanager
def from_first_event(
    open_view: Callable[[], AbstractContextManager[Listener]],
) -> Iterator[Listener]:
    """Open the view with the first event: what draws is imported after the workers' start."""
    with ExitStack() as stack:
        view: Listener | None = None

        def listen(event: Event) -> None:
            nonlocal view
            view = view or stack.enter_context(open_view())
            view(event)

        yield listen
