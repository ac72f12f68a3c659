"""One listener made of several: what is drawn, written down and passed on hears the same events."""

from journal_launcher.base.events import Event, Listener

__all__ = ["fan_out"]


def fan_out(*listeners: Listener) -> Listener:
    """Return a listener that tells each of `listeners` of every event, in their order.

    One that raises ends the launch, as it does alone: what it was to keep would be incomplete.
    """

    def listen(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return listen
