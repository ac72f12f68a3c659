"""`python -m journal_launcher`, also installed as `journal-launcher`."""

import gc
import os
import signal
import sys
from types import FrameType

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Parse, run, exit."""
    # Not where it is ignored, as under nohup.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # launch.sh held it back
    from journal_launcher.cli.program import run

    code = run(sys.argv[1:] if arguments is None else arguments)
    gc.freeze()  # the interpreter would look through everything for garbage once more
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Answer Ctrl-C as Python does, but while a module loads, leave: what is half imported must not
    be run any further, and an exception in the import system's own callbacks would be lost.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            if os.isatty(2):
                os.write(2, b"\x1b[?25h")  # the live view may have hidden the cursor
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
