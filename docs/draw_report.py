"""Draw docs/report.png, the picture in the README: run a small study, photograph its report.

.venv/bin/python docs/draw_report.py      takes minutes; apt-get install chromium
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
STUDY = "diabetes"
WIDTH, HEIGHT, COLORS = 1100, 1360, 64


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = (sys.executable, "-m", "journal_launcher")
        where = ("--studies-dir", folder)
        table = ("--data", "sklearn:diabetes", "--model-type", "hist_gradient_boosting")
        few = ("--study-name", STUDY, "--n-trials", "40", "--gpus", "none", "--workers", "2")
        subprocess.run([*program, *table, *few, *where], check=True, cwd=DOCS.parent)
        subprocess.run([*program, "report", STUDY, *where], check=True, cwd=DOCS.parent)
        photographed = Path(folder, "page.png")
        options = ("--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=20000")
        size = (f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={photographed}")
        page = Path(folder, f"{STUDY}.html").as_uri()
        subprocess.run(["chromium", *options, *size, page], check=True)
        picture = Image.open(photographed).convert("RGB").quantize(COLORS)
        picture.save(DOCS / "report.png", optimize=True)


if __name__ == "__main__":
    main()
