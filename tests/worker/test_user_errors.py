"""What is said of an exception of the user's: its own frames, and what to install."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.worker.sampling import Search, make_sampler
from journal_launcher.worker.user_code import load_objective
from journal_launcher.worker.user_errors import missing_in_script, missing_module, traceback_of

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.delenv("JOURNAL_LAUNCHER_TYPED", raising=False)
    monkeypatch.setattr("journal_launcher.worker.user_errors.install_command", "pip {}".format)

    def make(code: str) -> Path:
        path = tmp_path / "its code.py"
        path.write_text(code)
        return path

    return make


def raised_by(action: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:
        action()
    # As the worker catches it: without the frame of pytest's own block.
    return caught.value


def test_a_missing_module_is_a_line_with_its_place_and_command(write: Write) -> None:
    path = write("import os\nimport no_such_thing.inner\n")
    error = raised_by(lambda: load_objective(f"{path}:objective"))
    assert missing_module(error) == (
        f"no module 'no_such_thing': {path}, line 2 needs it, found neither installed nor beside "
        "it; type pip no_such_thing"
    )
    sampler = LaunchSettings(sampler=f"{path}:make")
    assert str(raised_by(lambda: Search(sampler))) == missing_module(error)


def test_a_misspelt_module_is_not_what_pip_should_install(write: Write) -> None:
    path = write("import nunpy\n")
    said = missing_module(raised_by(lambda: load_objective(f"{path}:objective")))
    assert str(said).endswith("beside it; did you mean 'numpy'? if not, type pip nunpy")
    assert "mean" not in str(missing_in_script("/other/python", "No module named 'nunpy'"))


def test_pip_has_other_names_for_some_modules(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    path = write("import cv2\n")
    monkeypatch.setattr("journal_launcher.worker.user_errors.find_spec", lambda name: None)
    error = raised_by(lambda: load_objective(f"{path}:objective"))
    assert str(missing_module(error)).endswith("; type pip opencv-python-headless")


@pytest.mark.parametrize(
    "code",
    [
        "import optuna.no_such_part",  # pip would find optuna installed
        "from optuna import no_such_name",
        "raise ModuleNotFoundError('without a name')",
        "try:\n    import no_such_thing\nexcept ImportError:\n    1 / 0",  # it did without
    ],
)
def test_what_pip_cannot_mend_is_no_missing_module(write: Write, code: str) -> None:
    path = write(code)
    assert missing_module(raised_by(lambda: load_objective(f"{path}:objective"))) is None


def test_a_traceback_has_the_users_frames_and_none_of_ours(write: Write) -> None:
    path = write(
        "import optuna\n"
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n"
        "    optuna.create_trial(value='x', state=optuna.trial.TrialState.COMPLETE)\n"
    )
    text = traceback_of(raised_by(lambda: load_objective(f"{path}:objective")))
    assert "ZeroDivisionError" in text and "During handling" in text
    assert text.count(f'"{path}"') == 2
    assert f"{os.sep}optuna{os.sep}" in text  # what it called
    assert "user_code.py" not in text and "importlib" not in text


def test_an_error_of_ours_alone_is_shown_whole() -> None:
    error = raised_by(lambda: make_sampler("no such sampler", 0, 0))
    trace = error.__traceback__
    assert trace is not None and trace.tb_next is not None
    text = traceback_of(error.with_traceback(trace.tb_next.tb_next))  # without those of this file
    assert "sampling.py" in text


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("python3.9", "type python3.9 -m pip install timm"),
        ("/an env/bin/python", "type '/an env/bin/python' -m pip install timm"),
        ("./train.sh", "install timm for the Python that it runs"),
        (None, "install timm for the Python that it runs"),
        (sys.executable, "type pip timm"),
    ],
)
def test_a_script_has_a_python_of_its_own(write: Write, program: str | None, said: str) -> None:
    line = "ModuleNotFoundError: No module named 'timm'\n"
    text = "no module 'timm': the script needs it, found neither installed nor beside it; "
    assert missing_in_script(program, line) == text + said
    for other in ("KeyError: 'timm'", "ModuleNotFoundError: No module named 'optuna.no_such_part'"):
        assert missing_in_script(program, other) is None
