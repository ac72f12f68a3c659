"""The Tab key: what the program answers to the shells, and bash itself."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLI = (ROOT / "docs/cli.md").read_text().partition("\n## Completion\n")[2].partition("\n## ")[0]
WHOLE = [sys.executable, "-P", "-m", "journal_launcher"]


def asked(shell: str, line: str, folder: Path, word: str | None = None) -> list[str]:
    """What is offered at the end of `line`; word: what fish says is under the cursor."""
    words = line.split(" ")
    place = str(len(words) - 1) if word is None else word
    answer = subprocess.run(
        WHOLE,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "_JOURNAL_LAUNCHER_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": place,
            "JOURNAL_LAUNCHER_STUDIES_DIR": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert answer.stderr == ""
    return [line for line in answer.stdout.splitlines() if line]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("houses_price_linear", "houses_price_catboost", "wine"):
        (tmp_path / f"{name}.log").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("journal-launcher das", ["plain,dashboard"]),
        ("journal-launcher best hou", [f"plain,houses_price_{n}" for n in ("catboost", "linear")]),
        ("journal-launcher status w", ["plain,wine"]),
        ("journal-launcher run --model-type cat", ["plain,catboost"]),
        ("journal-launcher --model-type cat", ["plain,catboost"]),
        ("journal-launcher --gpus-per", ["plain,--gpus-per-worker"]),
        ("journal-launcher --data hou", ["file,hou"]),
        ("journal-launcher --config no_such.toml --objective tr", ["file,tr"]),
        ("journal-launcher nonsense x", []),
    ],
)
def test_bash_is_offered(folder: Path, line: str, offered: list[str]) -> None:
    assert asked("bash", line, folder) == offered


def test_zsh_and_fish_are_offered_the_same_with_words_about_it(folder: Path) -> None:
    kind, offer, about = asked("zsh", "journal-launcher das", folder)
    assert (kind, offer) == ("plain", "dashboard") and about.startswith("Show all studies")
    line = "journal-launcher --gpus-per"
    (offered,) = asked("fish", line, folder, "--gpus-per")
    assert re.match(r"plain,--gpus-per-worker\t\w", offered), offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_is_documented_is_what_the_program_prints(shell: str) -> None:
    line = next(line for line in CLI.splitlines() if f"{shell}_source" in line)
    assert "_JOURNAL_LAUNCHER_COMPLETE" in line and "journal-launcher" in line
    script = subprocess.run(
        WHOLE,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "_JOURNAL_LAUNCHER_COMPLETE": f"{shell}_source",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert f"_JOURNAL_LAUNCHER_COMPLETE={shell}_complete" in script
    assert re.search(r"\bjournal-launcher\b", script)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_a_command_by_the_documented_line(folder: Path, tmp_path: Path) -> None:
    """bash's own machinery, with the program under its name on the PATH."""
    program = tmp_path / "bin/journal-launcher"
    program.parent.mkdir()
    python = shlex.quote(sys.executable)
    program.write_text(f'#!/bin/sh\nexec {python} -P -m journal_launcher "$@"\n')
    program.chmod(0o755)
    line = next(line for line in CLI.splitlines() if "bash_source" in line)
    command = re.sub(r"^\| bash \| `(.+?)` .*$", r"\1", line)
    done = subprocess.run(
        [
            "bash",
            "--norc",
            "-c",
            f"""{command}
COMP_WORDS=(journal-launcher best hou) COMP_CWORD=2
_journal_launcher_completion journal-launcher
printf '%s\\n' "${{COMPREPLY[@]}}"; complete -p journal-launcher""",
        ],
        env={
            **os.environ,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "JOURNAL_LAUNCHER_STUDIES_DIR": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.splitlines()[:2] == ["houses_price_catboost", "houses_price_linear"], done
    assert "_journal_launcher_completion journal-launcher" in done.stdout.splitlines()[2]
