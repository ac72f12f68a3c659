"""`python -m journal_launcher`, also installed as `journal-launcher`."""

import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Parse, run, exit."""
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    if on_ctrl_c is signal.default_int_handler:  # not where it is ignored, as under nohup
        signal.signal(signal.SIGINT, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # launch.sh held it back
    from journal_launcher.cli.program import run

    try:
        code = run(sys.argv[1:] if arguments is None else arguments)
    finally:
        signal.signal(signal.SIGINT, on_ctrl_c)
    gc.freeze()  # the interpreter would look through everything for garbage once more
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Answer Ctrl-C as Python does, where somebody turns that into one line; else leave.

    So too while a module loads: what is half imported must not be run any further, and an exception
    in the import system's own callbacks would be lost.
    """
    answered = False
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _leave()
        answered = answered or frame.f_globals.get("__name__") == "journal_launcher.cli.program"
        frame = frame.f_back
    if not answered:
        _leave()
    raise KeyboardInterrupt


def _leave() -> NoReturn:
    if os.isatty(2):
        os.write(2, b"\x1b[?25h")  # the live view may have hidden the cursor
    os._exit(130)


if __name__ == "__main__":
    main()
