"""Entry point of a worker process: started by path, so that it finds this very package."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # At the end: an installed package, a user's own module or PYTHONPATH comes first.
    sys.path.append(str(Path(__file__).resolve().parents[2]))

    from journal_launcher.worker.main import main

    sys.exit(main(sys.argv[1:]))
