"""`python -m journal_launcher`, also installed as `journal-launcher`."""

import gc
import os
import signal
import sys
from types import FrameType

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Parse, run, exit."""
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    if on_ctrl_c is signal.default_int_handler:  # not where it is ignored, as under nohup
        signal.signal(signal.SIGINT, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # launch.sh held it back
    from journal_launcher.cli.program import run

    code = run(sys.argv[1:] if arguments is None else arguments, on_ctrl_c)
    gc.freeze()  # the interpreter would look through everything for garbage once more
    sys.exit(code)


def _leave(number: int, frame: FrameType | None) -> None:
    """Answer Ctrl-C while modules load: what is half imported must not be run any further."""
    os._exit(130)


if __name__ == "__main__":
    main()
