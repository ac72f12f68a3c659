"""One trial again, alone: in a process of its own, on the recorded parameters."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from launcher.harness import ROOT, Ended, Workshop, finish

from journal_launcher.devices.choose import CPU
from journal_launcher.launcher import foreground as parent
from journal_launcher.worker.foreground import compare_scores

# What a user's objective may build on: its number, what other trials said, its own attributes.
SEEDED = """
import random

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    y = trial.suggest_int("y", 0, 9) if kind == "a" else 0
    before = [t.value for t in trial.study.get_trials() if t.number < trial.number]
    noise = random.Random(trial.number).random()
    return x + y + noise + sum(value or 0 for value in before) / 7
"""


def replay(
    shop: Workshop, number: int, study: str = "study", *arguments: str, **more: Any
) -> Ended:
    command = [sys.executable, "-P", "-m", "journal_launcher", "replay", study, str(number)]
    process = subprocess.Popen(
        [*command, "--studies-dir", str(shop.paths.folder), *arguments],
        cwd=shop.folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return finish(process)


def test_an_objectives_trial_has_the_same_score_bit_by_bit(workshop: Workshop) -> None:
    workshop.write(SEEDED)
    assert workshop.launch(n_trials=5).exit_code == 0
    before = workshop.paths.journal.read_bytes()
    recorded = workshop.trials()[3]
    ended = replay(workshop, 3)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].startswith("trial 3 of study again, on CPU with ")
    assert lines[1:] == [
        f"recorded  {recorded.value!r}",
        f"now       {recorded.value!r}",
        "the same, bit by bit",
    ]
    assert workshop.paths.journal.read_bytes() == before
    assert recorded.user_attrs["jl_threads"] >= 1


def test_a_changed_objective_is_noted_and_its_score_is_another(workshop: Workshop) -> None:
    workshop.write(SEEDED)
    assert workshop.launch(n_trials=2).exit_code == 0
    workshop.write(SEEDED.replace("return x", "return 1e-9 + x"))
    ended = replay(workshop, 1)
    assert ended.code == 1
    assert "objective source changed" in ended.err
    assert ended.out.splitlines()[-1].startswith("different: on a CPU with as many threads")
    workshop.write("def objective(trial):\n    raise ValueError('mine')\n")
    broken = replay(workshop, 1)
    assert broken.code == 1 and "now       FAIL: ValueError: mine (my train.py, line" in broken.out
    assert broken.out.splitlines()[-1].startswith("different")


def test_arguments_are_given_again_because_no_journal_has_them(workshop: Workshop) -> None:
    workshop.write("import sys\nscale = float(sys.argv[2])\ndef objective(trial): return scale\n")
    assert workshop.launch(n_trials=1, arguments=("--scale", "4242.5")).exit_code == 0
    content = workshop.paths.journal.read_text().replace('"values":[4242.5]', "")
    assert "--scale" not in content and "4242.5" not in content
    ended = replay(workshop, 0, "study", "--", "--scale", "4242.5")
    assert ended.code == 0, ended.err
    assert "the same, bit by bit" in ended.out


def test_several_objectives_are_all_compared(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    return trial.suggest_float('x', 0, 1), 2.0\n")
    assert workshop.launch(n_trials=1, direction=["minimize", "maximize"]).exit_code == 0
    ended = replay(workshop, 0)
    assert ended.code == 0 and ended.out.splitlines()[1].endswith(", 2.0")


def test_a_scripts_trial_runs_in_a_folder_of_its_own(workshop: Workshop) -> None:
    (workshop.folder / "train.py").write_text(
        "import os, sys\n"
        "open(os.environ['JL_DIR'] + '/model', 'a').write('trained')\n"
        "print(float(sys.argv[1]) ** 2)\n"
    )
    script = {
        "command": f"{shlex.quote(sys.executable)} train.py {{x}}",
        "space": {"x": {"low": 1, "high": 2}},
    }
    notes: list[Any] = []
    result = workshop.launch(notes.append, objective=None, n_trials=2, **script)
    assert result.exit_code == 0, result.message
    assert "confirmed_score" not in (result.best_trial or {})
    assert not [note for note in notes if "fresh folds" in getattr(note, "text", "")]
    before = {path: path.read_bytes() for path in workshop.paths.directory.rglob("model")}
    best = workshop.study().best_trial.number
    ended = replay(workshop, best)
    assert ended.code == 0 and "bit by bit" in ended.out, ended.err
    assert before and before == {path: path.read_bytes() for path in before}
    assert {*workshop.paths.directory.rglob("model")} == {*before}


def test_what_cannot_be_replayed_is_exit_2(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    if trial.number == 1:
        raise ValueError("no luck")
    return 0.0
"""
    )
    assert workshop.launch(n_trials=2).exit_code == 0
    for number, study, said in [
        (7, "study", "study study has no trial 7; its trials are 0 to 2"),
        (-1, "study", "No such option"),
        (1, "study", "trial 1 is FAIL; only a COMPLETE one"),
        (0, "other", "no study other in"),
    ]:
        ended = replay(workshop, number, study)
        assert (ended.code, ended.out) == (2, "") and said in ended.err
    (workshop.folder / "my train.py").unlink()
    assert replay(workshop, 0).code == 2


def test_a_study_that_moved_with_its_objective_is_found(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write(SEEDED)
    assert workshop.launch(n_trials=1).exit_code == 0
    moved = workshop.folder.rename(tmp_path / "elsewhere")
    ended = replay(Workshop(moved), 0)
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    ("now", "exact", "same", "said"),
    [
        ((0.5, 0.25), True, True, "bit by bit"),
        ((0.5, 0.25), False, True, "bit by bit"),
        ((0.5, 0.2500001), True, False, "every bit should be the same"),
        ((0.5, 0.2515), False, True, "the same within 1%"),
        ((0.5, 0.26), False, False, "different by more than 1%"),
    ],
)
def test_the_tolerance_is_for_gpus_and_other_threads(
    now: tuple[float, ...], exact: bool, same: bool, said: str
) -> None:
    found, text = compare_scores((0.5, 0.25), now, exact)
    assert found is same and said in text


def test_a_trial_of_a_gpu_that_is_not_here_runs_on_another_or_on_the_cpu(machine: Any) -> None:
    t4, h100 = "GPU 3 Tesla T4", "GPU 3 NVIDIA H100"
    machine([{"uuid": "GPU-aaaaaaaa"}, {"uuid": "GPU-bbbbbbbb", "name": "Tesla T4"}])
    assert parent._device("GPU-bbbbbbbb", t4).uuid == "GPU-bbbbbbbb"
    assert parent._device("GPU-cccccccc", h100).uuid == "GPU-aaaaaaaa"
    assert parent._device("GPU-cccccccc", t4).uuid == "GPU-bbbbbbbb"
    assert parent._device("GPU-cccccccc", "GPU 0 NVIDIA A100").uuid == "GPU-aaaaaaaa"
    assert parent._device(None, "CPU") == CPU
    machine([])
    assert parent._device("GPU-cccccccc", t4) == CPU


def test_on_another_model_of_gpu_only_equal_bits_say_anything() -> None:
    same, text = compare_scores((0.5,), (0.5,), False, "GPU 0 NVIDIA H100")
    assert same and text == "the same, bit by bit"
    for now in (0.5000001, 0.7):
        same, text = compare_scores((0.5,), (now,), False, "GPU 0 NVIDIA H100")
        assert same is None
        assert text.startswith("not comparable: it ran on GPU 0 NVIDIA H100; another model")


def test_a_gpus_trial_on_a_cpu_is_not_comparable(workshop: Workshop) -> None:
    """Neither the same nor another: 2, with both scores."""
    workshop.write("import os\ndef objective(trial): return float(os.environ.get('SCORE', 0.5))\n")
    assert workshop.launch(n_trials=1).exit_code == 0
    lines = workshop.paths.journal.read_text()
    placed = '"jl_device":"CPU","jl_device_uuid":null'
    assert placed in lines
    on_gpu = '"jl_device":"GPU 0 NVIDIA H100","jl_device_uuid":"GPU-cccccccc"'
    workshop.paths.journal.write_text(lines.replace(placed, on_gpu))
    ended = replay(workshop, 0, SCORE="0.6")
    assert ended.code == 2, ended.err
    assert ended.out.splitlines()[1:] == [
        "recorded  0.5",
        "now       0.6",
        "not comparable: it ran on GPU 0 NVIDIA H100; another model of GPU, or a CPU, draws other "
        "random numbers",
    ]
    assert replay(workshop, 0).code == 0


@pytest.mark.slow  # scikit-learn is imported twice
def test_a_tables_trial_is_the_same_and_other_data_are_refused(workshop: Workshop) -> None:
    path = workshop.folder / "table.csv"
    rows = [f"{i * 7 % 31},{i * 11 % 29},{i * 13 % 37 + i * 7 % 31}" for i in range(60)]
    path.write_text("\n".join(["a,b,y", *rows]))
    result = workshop.launch(
        objective=None, data="table.csv", target="y", model_type="hist_gradient_boosting",
        k_folds=3,
    )  # fmt: skip
    assert result.exit_code == 0
    before = workshop.paths.journal.read_bytes()
    ended = replay(workshop, 1)
    assert ended.code == 0 and "bit by bit" in ended.out, ended.err
    assert workshop.paths.journal.read_bytes() == before
    path.write_text("\n".join(["a,b,y", *rows, "1,2,3"]))
    other = replay(workshop, 1)
    assert other.code == 2 and "data_sha256 changed" in other.err


def test_an_objective_that_can_no_longer_be_imported_is_one_line(workshop: Workshop) -> None:
    workshop.write(SEEDED)
    assert workshop.launch(n_trials=1).exit_code == 0
    workshop.write("import no_such_module")
    ended = replay(workshop, 0)
    assert ended.code == 2 and ended.out == ""
    (line,) = ended.err.splitlines()
    assert line.startswith("error: nothing could be compared: ")
    assert (
        "no module 'no_such_module': " in line and "found neither installed nor beside it" in line
    )
