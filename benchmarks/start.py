"""How soon a launch's first trial begins, in turns with `python -c 'import optuna'`.

    python benchmarks/start.py [ROUNDS] [CHECKOUT …]

For each checkout (default: this one), the median seconds from the start of the command to the first
line of a trivial objective. All use the Python that runs this script.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OBJECTIVE = """
import time

def objective(trial):
    open("began", "w").write(str(time.monotonic()))
    return trial.suggest_float("x", 0, 1)
"""
LAUNCH = (
    *("-P", "-m", "journal_launcher", "run", "--objective", "trivial.py:objective"),
    *("--n-trials", "1", "--gpus", "none", "--studies-dir", "studies", "-q"),
)


def seconds_to_first_trial(checkout: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "trivial.py").write_text(OBJECTIVE)
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        began = time.monotonic()
        command = [sys.executable, *LAUNCH]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        return float(Path(folder, "began").read_text()) - began


def seconds_to_import() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import optuna"], check=True)
    return time.monotonic() - began


def main(rounds: int, checkouts: list[Path]) -> None:
    seconds_to_import()
    for checkout in checkouts:
        seconds_to_first_trial(checkout)  # compiles
    imports: list[float] = []
    trials: dict[Path, list[float]] = {checkout: [] for checkout in checkouts}
    for _ in range(rounds):
        imports.append(seconds_to_import())
        for checkout in checkouts:
            trials[checkout].append(seconds_to_first_trial(checkout))
    least = statistics.median(imports)
    print(f"load {os.getloadavg()[0]:.1f}; import optuna {least:.3f} s")
    for checkout, found in trials.items():
        median = statistics.median(found)
        print(
            f"{checkout}: first trial after {median:.3f} s, {median / least:.2f} times the import"
        )


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1]
    given = [Path(path).resolve() for path in sys.argv[2:]]
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15, given or [here])
