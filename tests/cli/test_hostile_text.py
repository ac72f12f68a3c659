"""Whatever text a journal, a file, a table or an objective brings: none of it steers the terminal.

Every command prints text that others wrote; what reaches the terminal is made of characters alone.
"""

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from launcher.harness import ROOT, Ended, Workshop
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from pipeline.watched import Launches

from journal_launcher.__main__ import main
from journal_launcher.base import events
from journal_launcher.base.artifacts.scores import Baseline, Baselines
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.streams import beneath, show_controls
from journal_launcher.base.visible import one_line, visible
from journal_launcher.study.owner import Owner
from journal_launcher.tabular.data.dataset import Column, Schema
from journal_launcher.tabular.predict import LoadedModel
from journal_launcher.views.comparison import print_comparison
from journal_launcher.views.listeners import fan_out
from journal_launcher.views.summary import summarizing
from journal_launcher.views.view import choose_view, stderr_console

HOSTILE = (
    "\x1b]0;owned\x07\x1b[5mBLINK\x1b[2J\x9b2J\x9d0;x\x9c\x7f\r\x08\x00\x0b\x0c\x85\u2028"
    "\u202egnp\u2066\u2069[red]R[/red][/nothing][link=http://e.org]L[/link] :smile: \ud800 end"
)
NAME = re.sub("[\0/\ud800]", "", HOSTILE)  # what a file can be called
CONTROLS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"  # all but line ends
)
OURS = re.compile(r"\x1b\[(\?25[lh]|[012]?[AK]|[0-9]+A|(0|1|33|36|90|1;33)m)|\r(?=\n|\x1b)|\r")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    """A command in this process, whose streams are no terminal."""
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    out, err = capsys.readouterr()
    return Ended(int(caught.value.code or 0), out, err)


def harmless(ended: Ended) -> str:
    for text in (ended.out, ended.err):
        assert not CONTROLS.findall(text), text
    return ended.out + ended.err


def hostile_journal(folder: Path, name: str = "s", **more: Any) -> optuna.Study:
    """A study with hostile text wherever any writer can put some."""
    folder.mkdir(exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(folder / f"{name}.log")))
    study = optuna.create_study(storage=storage, study_name=more.pop("called", name))
    study.set_user_attr("journal_launcher_settings", {HOSTILE: HOSTILE, "objective": HOSTILE})
    study.set_user_attr("journal_launcher_noted", {HOSTILE: HOSTILE})
    study.set_user_attr("journal_launcher_baselines", {HOSTILE: {"score": 0.5}})
    identity = {"kind": HOSTILE, "objective": f"{HOSTILE}:f", "metric": HOSTILE, "seed": 0}
    study.set_user_attr("journal_launcher", {**identity, HOSTILE: HOSTILE})
    study._storage.set_study_system_attr(study._study_id, "study:metric_names", [HOSTILE])
    owner = Owner.this_process(HOSTILE, 0).to_json() | {"host": HOSTILE}
    attributes = {"jl_fail_reason": HOSTILE, "jl_device": HOSTILE, HOSTILE: HOSTILE}
    distributions = {HOSTILE: FloatDistribution(0, 1), "c": CategoricalDistribution([HOSTILE])}
    for state in (TrialState.COMPLETE, TrialState.FAIL):
        study.add_trial(
            optuna.create_trial(
                state=state,
                value=0.5 if state is TrialState.COMPLETE else None,
                params={HOSTILE: 0.5, "c": HOSTILE},
                distributions=distributions,
                user_attrs=attributes,
                system_attrs={HOSTILE: HOSTILE},
            )
        )
    study.ask().set_user_attr("jl_owner", owner)
    return study


def test_no_control_character_is_left_and_nothing_else_is_changed() -> None:
    everything = "".join(map(chr, range(0x110000)))
    assert set(CONTROLS.findall(visible(everything))) == {"\t"}
    assert not CONTROLS.findall(one_line(everything)) and "\n" not in one_line(everything)
    plain = "é ± 日本 🙂 [red] \\x1b … עברית"
    assert visible(plain) == one_line(plain) == plain
    assert visible("a\n\tb\x1b[1m\x9b\u202e") == "a\n\tb\\x1b[1m\\x9b\\u202e"
    assert one_line("a\nb\tc") == "a\\nb\\tc"
    assert visible(visible(HOSTILE)) == visible(HOSTILE)


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", "s"],
        ["status", "--json"],
        ["status", "s", "--json"],
        ["trials", "s"],
        ["trials", "s", "--csv", "-"],
        ["trials", "s", "--json"],
        ["trials", "renamed"],
        ["best", "s"],
        ["best", "s", "--json"],
        ["best", "s", "--toml"],
        ["best", "c"],
        ["report", "s"],
        ["report", "c"],
        ["report", "renamed"],
        ["health", "s"],
        ["replay", "s", "0"],
        ["replay", "s", "1"],
        ["skip", "list"],
        ["skip", "clear"],
        ["repair", "s", "--dry-run"],
        ["run", "--study-name", "renamed", "--gpus", "none", "--objective", "o.py:f"],
        ["status", "renamed"],
        ["status", "s\nx"],
        ["status", NAME],
        ["run", "--config", NAME],
        ["run", f"--{NAME}"],
        ["predict", "s", "--data", "x.csv", "--out", "y.csv"],
        ["watch", "--study-name", "s", "--data", "sklearn:diabetes"],
    ],
    ids=lambda arguments: (
        " ".join(arguments)[:16].encode().hex()[:24]
        if "\x1b" in str(arguments) or "\n" in " ".join(arguments)
        else " ".join(arguments)[:24]
    ),
)
def test_a_command_on_a_hostile_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "optuna_studies"
    hostile_journal(folder)
    hostile_journal(folder, "renamed", called=NAME)
    (folder / f"{NAME}.log").write_text(HOSTILE[:9])
    (folder / "s").mkdir()
    entry = {"model_type": HOSTILE, "data": HOSTILE, "target": HOSTILE, "critical_in_a_row": 1}
    entry |= {"skip_until": None, "why": HOSTILE, "updated": HOSTILE, "judged": [HOSTILE]}
    written = {
        "skip_registry.json": {"entries": [entry]},
        "s/best_model.meta.json": {"kind": "table", "launch": HOSTILE, "files": {HOSTILE: HOSTILE}}
        | {"model_file": HOSTILE, "trial": HOSTILE, "model_type": HOSTILE},
        "s/training_diagnostics.json": {"trial": HOSTILE, "model_sha256": HOSTILE}
        | {"failed": HOSTILE},
        "s/lease.lock": {"host": HOSTILE, "pid": HOSTILE, "since": HOSTILE},
    }
    for name, content in written.items():
        (folder / name).write_text(json.dumps({"schema_version": 1, **content}))
    (folder / "c").mkdir()
    told = {"schema_version": 1, "comparison": {"reason": HOSTILE}}
    (folder / "c" / "best_model.meta.json").write_text(json.dumps(told))
    decision = {"decision": "RETRY", "reason": HOSTILE, "attempt": 0, "study": "s"}
    decision |= {"changed": {HOSTILE: HOSTILE}, "then": {HOSTILE: HOSTILE}}
    (folder / "s" / "decisions.jsonl").write_text(json.dumps(decision) + "\n")
    (tmp_path / "o.py").write_text("def f(trial): return 0.0\n")
    (tmp_path / "x.csv").write_text("a\n1\n")
    failed = JournalLauncherError(HOSTILE)
    monkeypatch.setattr("journal_launcher.launcher.launch.run_launch", Launches(folder, failed))
    monkeypatch.setattr("os.execve", lambda *_: sys.exit(0))
    if arguments[0] == "repair":
        with open(folder / "s.log", "ab") as file:
            file.write(HOSTILE.encode(errors="replace") + b"\n")
    assert harmless(run(capsys, *arguments)) or arguments == ["replay", "s", "0"]


def test_an_import_of_hostile_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url, name = f"sqlite:///{tmp_path / 'old.db'}", NAME
    for called in (name, f"{name}2"):
        optuna.create_study(storage=url, study_name=called).set_user_attr(name, name)
    folder = ["--studies-dir", str(tmp_path / name)]
    assert "which study?" in harmless(run(capsys, "import", url, *folder))
    assert "no study" in harmless(run(capsys, "import", url, "--study-name", f"{name}3", *folder))
    said = harmless(run(capsys, "import", url, "--study-name", name, *folder))
    assert "imported" in said and "its name here is" in said
    assert "no such file" in harmless(run(capsys, "import", f"sqlite:///{name}", *folder))


def test_predictions_from_hostile_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s").mkdir()
    name = NAME.replace("\r", "")
    columns = (Column("a", "number"), Column(name, "category", ("x",)))
    rows = SimpleNamespace(predict=lambda features: np.zeros(len(features)))
    model = LoadedModel(rows, Schema(columns, name, "regression"), {})  # type: ignore[arg-type]
    monkeypatch.setattr("journal_launcher.tabular.predict.load", lambda path: model)
    cells = [name.replace("\n", " "), f"{name}3"]
    quoted = [f'"{cell}"' for cell in cells]
    data, out = tmp_path / "new.csv", tmp_path / "out.csv"
    arguments = ["predict", "s", "--data", str(data), "--out", str(out)]
    arguments += ["--studies-dir", str(tmp_path)]
    data.write_text(f"a,{quoted[0]},{quoted[1]}\n1,{quoted[1]},2\n")
    said = harmless(run(capsys, *arguments))
    assert "wrote" in said and said.count("\\x1b]0;owned") >= 2
    data.write_text(f"a,{quoted[1]}\n1,2\n")
    assert "\\x1b]0;owned" in harmless(run(capsys, *arguments))


def every_event(folder: Path) -> list[Any]:
    """A launch whose every word is hostile."""
    journal = folder / "s.log"
    ended = (1, "FAIL", None, HOSTILE, 1.0, 1, 1, 0.5, 0)
    best = events.BestTrial(0, (0.5,), {HOSTILE: HOSTILE}, confirmable=True)
    return [
        events.LaunchStarted(HOSTILE, journal, False, 2, 0, 0, ("minimize",), HOSTILE, 0.5, 0),
        events.WorkerStarted(0, HOSTILE, folder / "0.log"),
        *(events.Note(HOSTILE, level) for level in ("note", "warning", "info")),
        events.PhaseChanged("running"),
        events.TrialStarted(0, 0),
        events.TrialProgress(0, 0, HOSTILE, 1, 2, 0.5),
        events.TrialEnded(0, *ended),
        events.WorkerEnded(0, f"died:\n{HOSTILE}"),
        events.PhaseChanged(HOSTILE),
        events.LaunchEnded(
            HOSTILE,
            HOSTILE,
            1,
            2,
            journal,
            n_failed=1,
            directions=("minimize",),
            metric=HOSTILE,
            best_trial=best,
            model_path=folder / "m",
            message=HOSTILE,
            sidecar=Sidecar.from_json({"kind": "table", "model_type": HOSTILE, "metric": HOSTILE}),
            baselines=Baselines({HOSTILE: Baseline(0.1)}),
            failures={HOSTILE: 1},
        ),
    ]


@pytest.mark.parametrize("terminal", [False, True], ids=["lines", "live"])
def test_views_draw_hostile_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    drawn = io.StringIO()
    monkeypatch.setattr(drawn, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", drawn)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    show_controls()
    assert beneath(sys.stderr) is drawn
    console = stderr_console()
    with choose_view(terminal, 1, console) as view:
        listen = fan_out(view, summarizing(console))
        for event in every_event(tmp_path):
            listen(event)
            view.tick()
            print(HOSTILE, file=sys.stderr)  # as a library may
    text = drawn.getvalue()
    left = OURS.sub("", text) if terminal else text
    assert not CONTROLS.findall(left), left
    assert "\\x1b]0;owned" in text and "\x1b[5m" not in text and "\x1b]" not in text
    assert "[red]R[/red][/nothing][link=http://e.org]L[/link] :smile:" in text


def test_the_table_of_a_comparison(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn = io.StringIO()
    monkeypatch.setattr(sys, "stderr", drawn)
    monkeypatch.setenv("COLUMNS", "700")
    model = events.ComparedModel(HOSTILE, HOSTILE, 0.5, [0.4, 0.6], message=HOSTILE, rank=1)
    baselines = Baselines({HOSTILE: Baseline(0.9)})
    told = (None, None, HOSTILE, 1, HOSTILE, 1.0, tmp_path)
    print_comparison(
        stderr_console(),
        events.Comparison("c", HOSTILE, "maximize", False, (model,), baselines, *told),
    )
    assert not CONTROLS.findall(drawn.getvalue())
    assert drawn.getvalue().count("[red]R[/red][/nothing][link=http://e.org]L") >= 3


RAISES = """
import os
def objective(trial):
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr("a", HOSTILE)
    trial.suggest_categorical(HOSTILE[:-5], [HOSTILE])
    if trial.number == 0:
        raise ValueError(HOSTILE)
    if trial.number == 1:
        print(HOSTILE.encode("utf-8", "replace").decode(), flush=True)
        os._exit(3)
    return 0.5
"""


@pytest.mark.parametrize("how", [(), ("-q",), ("--json",), ("-v",)], ids=str)
def test_a_launch_of_a_hostile_objective(workshop: Workshop, how: tuple[str, ...]) -> None:
    workshop.write(RAISES, HOSTILE=HOSTILE)
    failing = ("--max-failures", "1") if how == ("-q",) else ()
    ended = workshop.run("--n-trials", "2", "--max-retries", "0", *how, *failing)
    said = harmless(ended)
    assert "\\x1b]0;owned" in said or how in (("-q",), ("--json",))
    raw = workshop.paths.worker_log(0).read_bytes()
    # The log is the user's output, as it is; a traceback in it is ours.
    assert b"\x1b]0;owned" in raw or how == ("-q",)


def test_a_launch_in_a_terminal(workshop: Workshop) -> None:
    workshop.write(RAISES, HOSTILE=HOSTILE)
    command = [sys.executable, "-P", "-m", "journal_launcher", "--objective", workshop.reference]
    command += ["--gpus", "none", "--n-trials", "2", "--max-retries", "0", "-v"]
    reader, writer = pty.openpty()
    process = subprocess.Popen(
        [*command, "--studies-dir", str(workshop.paths.folder)],
        cwd=workshop.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
    )
    os.close(writer)
    said = b""
    while process.poll() is None or select.select([reader], [], [], 0)[0]:
        if select.select([reader], [], [], 0.05)[0]:
            try:
                said += os.read(reader, 65536)
            except OSError:
                break
    os.close(reader)
    assert process.wait(20) == 0, said
    text = said.decode()
    assert "\\x1b]0;owned" in text and "\x1b[5m" not in text and "\x1b]" not in text
    assert not CONTROLS.findall(OURS.sub("", text)), OURS.sub("", text)


def test_a_replay_of_a_hostile_trial(workshop: Workshop) -> None:
    workshop.write(RAISES, HOSTILE=HOSTILE)
    assert workshop.launch(n_trials=1, max_retries=0).exit_code == 0
    folder = ["--studies-dir", str(workshop.paths.folder)]
    for code in ("    raise ValueError(HOSTILE)\n", "    return 0.5\nraise ValueError(HOSTILE)\n"):
        workshop.write(f"def objective(trial):\n{code}", HOSTILE=HOSTILE)
        done = subprocess.run(
            [sys.executable, "-P", "-m", "journal_launcher", "replay", "study", "2", *folder],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=workshop.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not CONTROLS.findall(done.stdout + done.stderr), done
        assert "\\x1b]0;owned" in done.stdout + done.stderr
