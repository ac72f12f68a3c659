"""Finding the user's objective: what can be named, and what each mistake says."""

import hashlib
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.worker.user_code import Reporter, load_objective

CODE = """
import helper_of_objective

VALUE = 3

def objective(trial):
    return helper_of_objective.VALUE

def save_best(study, directory):
    pass

class Later:
    def __call__(self, trial):
        return 2.0

instance = Later()
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """A function that writes a module beside its helper, in a folder with a space."""
    folder = tmp_path / "my code"
    folder.mkdir()
    (folder / "helper_of_objective.py").write_text("VALUE = 0.5\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["worker", "3", "4"])
    monkeypatch.chdir(folder)
    before = set(sys.modules)

    def make(name: str = "train.py", code: str = CODE) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
        return path

    yield make
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_file_is_imported_with_its_neighbours(write: Write) -> None:
    path = write()
    loaded = load_objective(f"{path}:objective")
    assert loaded.function(None) == 0.5
    assert loaded.save_best is not None
    assert loaded.source_sha256 == hashlib.sha256(CODE.encode()).hexdigest()
    assert sys.argv == [str(path)]
    assert loaded.function.__module__ == "train"  # processes it starts can import it


def test_a_relative_path_and_an_object_that_can_be_called(write: Write) -> None:
    write()
    assert load_objective("train.py:instance").function(None) == 2.0
    assert load_objective("./train.py:Later").save_best is not None


def test_a_module_in_the_current_folder(write: Write) -> None:
    write("a_package/train.py")
    assert load_objective("a_package.train:objective").function(None) == 0.5


def test_a_file_named_like_a_library_hides_nothing(write: Write) -> None:
    loaded = load_objective(f"{write('json.py')}:objective")
    assert loaded.function(None) == 0.5
    assert hasattr(sys.modules["json"], "dumps")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("train.py", "expected pkg.module:attr or path/file.py:attr, found 'train.py'"),
        (":objective", "expected pkg.module:attr"),
        ("train.py:", "expected pkg.module:attr"),
        ("gone.py:objective", "no such file: "),
        ("nowhere.train:objective", "no module named 'nowhere' in "),
        ("train.py:objektive", "train.py has no 'objektive'; did you mean 'objective'?"),
        ("train.py:zzz", "train.py has no 'zzz'"),
        ("train.py:VALUE", "expected a function VALUE(trial) in train.py, found int"),
        ("train:objective.x", "train has no 'objective.x'"),
    ],
)
def test_each_mistake_is_named(write: Write, reference: str, message: str) -> None:
    write()
    with pytest.raises(UsageError, match=re.escape(message)):
        load_objective(reference)


@pytest.mark.parametrize("reference", ["broken.py:objective", "broken:objective"])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import a_module_that_is_not_there", ModuleNotFoundError),
        ("1 / 0", ZeroDivisionError),
        ("def objective(:", SyntaxError),
    ],
)
def test_what_the_module_itself_raises_passes_through(
    write: Write, reference: str, code: str, error: type[Exception]
) -> None:
    write("broken.py", code)
    with pytest.raises(error):
        load_objective(reference)


def test_what_a_trial_reports_is_told_too() -> None:
    study, told = optuna.create_study(), list[tuple[Any, ...]]()
    trial = study.ask()
    vars(trial)["report"] = Reporter(trial, lambda *progress: told.append(progress))
    trial.report(0.5, 3)
    trial.report(value=np.float32(0.25), step=4)
    assert told == [("step", 3, None, 0.5), ("step", 4, None, 0.25)]
    assert study.trials[0].intermediate_values == {3: 0.5, 4: 0.25}
    elsewhere = pickle.loads(pickle.dumps(trial))
    elsewhere.report(0.125, 5)
    assert len(told) == 2 and elsewhere.number == trial.number
    with pytest.raises(TypeError):
        trial.report("much", 6)
    assert len(told) == 2
