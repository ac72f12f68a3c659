"""Draw docs/live-view.svg, the picture in the README: a launch on four GPUs in a terminal.

.venv/bin/python docs/draw_live_view.py      takes seconds; apt-get install tmux

The launch is a real one; the GPUs are those of the tests' fake NVML.
"""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

DOCS = Path(__file__).parent
ROOT = DOCS.parent
COMMAND = "./launch.sh --objective train.py:objective --gpus auto --n-trials 40"
WIDTH, HEIGHT = 96, 12
WANTED = re.compile(r"\b(1[5-9]|2\d) of 40\b")
DEADLINE = 120.0  # seconds
OBJECTIVE = """
import time

def objective(trial):
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    loss = 1.0
    for step in range(40):
        loss = 0.97 * loss + 0.03 * abs(lr - 0.03)
        trial.report(loss, step)
        time.sleep(0.04 + 0.02 * (trial.number % 4))
    return loss
"""
GIB = 2**30
GPUS = [
    {"uuid": f"GPU-{n}", "name": "NVIDIA RTX A6000", "total": 48 * GIB, "used": used, "busy": busy}
    for n, (used, busy) in enumerate(
        [(0.4 * GIB, 97), (0.5 * GIB, 94), (0.4 * GIB, 98), (0.6 * GIB, 91)]
    )
]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train.py").write_text(OBJECTIVE)
        screen = watched(folder)
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text(f"$ {COMMAND}"))
    console.print(Text.from_ansi(screen))
    console.save_svg(str(DOCS / "live-view.svg"), title="journal_launcher")


def watched(folder: str) -> str:
    """The screen, with its colours, at the moment that is WANTED."""
    program = [sys.executable, "-P", "-m", "journal_launcher", *shlex.split(COMMAND)[1:]]
    tmux = ["tmux", "-L", f"draw-{os.getpid()}"]
    variables = {
        "FAKE_NVML": json.dumps({"gpus": GPUS}),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'fakes'}",
        "COLORTERM": "truecolor",
    }
    given = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
    size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
    start = [*tmux, "new-session", "-d", *size, "-c", folder, *given, shlex.join(program)]
    subprocess.run(start, check=True)
    try:
        ends = time.monotonic() + DEADLINE
        while time.monotonic() < ends:
            shown = subprocess.run(
                [*tmux, "capture-pane", "-e", "-p"], capture_output=True, text=True, check=True
            ).stdout
            plain = Text.from_ansi(shown).plain
            if WANTED.search(plain) and plain.count(" step ") == len(GPUS):
                return region(shown)
        raise SystemExit(f"expected a screen with {WANTED.pattern}, saw none")
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


def region(screen: str) -> str:
    """The lines from the study's name on, without what scrolled by above."""
    lines = screen.rstrip().splitlines()
    start = next(n for n, line in enumerate(lines) if WANTED.search(Text.from_ansi(line).plain))
    return "\n".join(lines[start:])


if __name__ == "__main__":
    main()
