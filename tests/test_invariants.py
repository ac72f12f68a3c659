"""What must hold for every launch: a light parent, no secrets on disk, one trial to debug."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from launcher.harness import ROOT, Workshop, finish

from journal_launcher.base import events

TRIVIAL = """
def objective(trial):
    trial.set_user_attr("home", "here")
    return trial.suggest_float("x", 0, 1)

def save_best(study, directory):
    (directory / "card").write_text("best")
"""
HEAVY = ("torch", "catboost", "xgboost", "lightgbm", "sklearn", "pandas")
INSIDE_WORKERS = ("journal_launcher.worker", "journal_launcher.tabular")
# At the end of the process: what a whole launch has imported into the parent.
REPORT = (
    "import atexit, json; "
    "atexit.register(lambda: open('modules', 'w').write(json.dumps(sorted(sys.modules))))"
)

# What the parent has imported when it starts its first process, which is a worker.
AT_THE_START = """
import json, subprocess
begin = subprocess.Popen.__init__
def begun(self, *arguments, **options):
    if not os.path.exists("before"):
        text = json.dumps([str(arguments), sorted(sys.modules), os.listdir("studies/study")])
        open("before", "w").write(text)
    begin(self, *arguments, **options)
import os
subprocess.Popen.__init__ = begun
"""
LATER = ("optuna", "numpy", "rich", "psutil", "pynvml", "asyncio", "importlib.metadata")


@pytest.mark.parametrize("options", [(), ("-q",), ("--json",)])
def test_the_workers_start_before_the_parent_imports_what_they_import_too(
    workshop: Workshop, options: tuple[str, ...]
) -> None:
    workshop.write(TRIVIAL)
    code = "; ".join(["import sys", f"exec({AT_THE_START!r})"])
    ended = workshop.run("--n-trials", "1", *options, first=code)
    assert ended.code == 0
    command, loaded, made = json.loads((workshop.folder / "before").read_text())
    assert "worker/__main__.py" in command and "journal_launcher.launcher.supervisor" in loaded
    assert not [name for name in loaded if name.startswith(LATER)]
    assert "lease.lock" in made  # the study is ours before anything is started for it


def test_how_many_workers_a_study_needs_is_read_before_the_others_start(
    workshop: Workshop,
) -> None:
    workshop.write(TRIVIAL)
    assert workshop.launch(n_trials=2, workers=2).exit_code == 0
    assert [event.worker for event in workshop.of(events.WorkerStarted)] == [0, 1]
    workshop.seen.clear()
    assert workshop.launch(n_trials=2, workers=2).exit_code == 0
    assert [event.worker for event in workshop.of(events.WorkerStarted)] == [0]
    workshop.seen.clear()
    assert workshop.launch(n_trials=3, workers=2).exit_code == 0
    assert [event.worker for event in workshop.of(events.WorkerStarted)] == [0, 1]


def test_no_worker_outlives_an_error_of_what_is_imported_after_its_start(
    workshop: Workshop,
) -> None:
    workshop.write(TRIVIAL)
    ended = workshop.run(first="import sys; sys.modules['journal_launcher.launcher.course'] = None")
    assert ended.code == 1 and "ModuleNotFoundError" in ended.err
    assert not workshop.processes() and not workshop.paths.journal.exists()


def test_the_parent_imports_nothing_heavy(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    ended = workshop.run("--n-trials", "2", "--json", first=REPORT)
    assert ended.code == 0 and ended.json["n_finished"] == 2
    loaded = json.loads((workshop.folder / "modules").read_text())
    assert "optuna" in loaded and "journal_launcher.launcher.model_store" in loaded
    assert not [name for name in loaded if name.split(".")[0] in HEAVY]
    assert not [name for name in loaded if name.startswith(INSIDE_WORKERS)]


@pytest.mark.slow  # the table's path, with a real model
def test_the_parent_imports_nothing_heavy_for_a_table(workshop: Workshop) -> None:
    command = [sys.executable, "-c", f"import sys; {REPORT}\nfrom journal_launcher.__main__ import"]
    command[-1] += " main; main(sys.argv[1:])"
    options = ["run", "--model-type", "linear", "--n-trials", "2", "--gpus", "none", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    ended = finish(process)
    assert ended.code == 0, ended.err
    loaded = json.loads((workshop.folder / "modules").read_text())
    assert not [name for name in loaded if name.split(".")[0] in HEAVY]
    model = Path(ended.json["model_path"])
    assert model.name == "best_model.skops"
    assert not (model.parent / "staging").exists()


def test_no_model_is_spread_over_several_devices() -> None:
    sources = [path.read_text() for path in (ROOT / "journal_launcher").rglob("*.py")]
    assert len(sources) > 100 and not [text for text in sources if "DataParallel" in text]


def test_no_secret_of_the_environment_is_written_or_said(workshop: Workshop) -> None:
    secret = "hunter2-5e8f0c"
    workshop.write(TRIVIAL + "\nassert os.environ['SECRET_TOKEN']\n")
    ended = workshop.run("-v", "--n-trials", "2", environment={"SECRET_TOKEN": secret})
    assert ended.code == 0
    files = [path for path in workshop.paths.folder.rglob("*") if path.is_file()]
    assert len(files) >= 5
    assert not [path for path in files if secret.encode() in path.read_bytes()]
    assert secret not in ended.out + ended.err


def test_what_others_may_read_is_theirs_to_read_only(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    assert workshop.launch(n_trials=1).exit_code == 0
    for path in [workshop.paths.journal, workshop.paths.lease, workshop.paths.worker_log(0)]:
        assert path.stat().st_mode & 0o022 == 0


# --- --debug


def test_debug_runs_one_trial_and_writes_nothing(workshop: Workshop) -> None:
    workshop.write(TRIVIAL + "\nprint('pid', os.getpid())\n")
    before = set(workshop.folder.rglob("*"))
    process = workshop.start("--debug", "--n-trials", "9")
    ended = finish(process)
    assert ended.code == 0
    assert f"pid {process.pid}\n" in ended.out  # in the foreground: this very process
    assert "params: {'x': " in ended.out and "value: " in ended.out
    assert {p for p in workshop.folder.rglob("*") if "__pycache__" not in p.parts} == before


def test_debug_shows_the_objectives_own_traceback(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    raise ValueError('mine')\n")
    ended = workshop.run("--debug")
    assert ended.code == 1 and ended.err.rstrip().endswith("ValueError: mine")
    missing = workshop.run("--debug", "--objective", "gone.py:f")
    assert missing.code == 2 and missing.err.startswith("error: --objective: no such file")


def test_a_debugger_works_in_debug(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    breakpoint()
    return x
"""
    )
    options = ["--gpus", "none", "--objective", workshop.reference]
    assert workshop.debug_with_pdb(*options) == 0
