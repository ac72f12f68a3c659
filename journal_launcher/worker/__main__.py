"""Entry point of a worker process: started by path, so that it finds this very package."""

import atexit
import os
import sys
import threading
from pathlib import Path


def leave(code: int) -> None:
    """End as Python does, but without freeing what the process's end frees anyway.

    Taking torch's modules apart takes most of a second, and the launch ends after its last worker.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    # At the end: an installed package, a user's own module or PYTHONPATH comes first.
    sys.path.append(str(Path(__file__).resolve().parents[2]))

    from journal_launcher.worker.numbered_lines import number_lines

    if not sys.argv[1].startswith("--"):  # else it is in the foreground, with one trial
        number_lines()  # before anybody keeps a stream, as a logger does

    from journal_launcher.study.lean_optuna import import_optuna

    import_optuna()

    from journal_launcher.worker.main import main

    leave(main(sys.argv[1:]))
