"""Every command line of the documents is one that the program takes; those of the README are run.

Those of docs/tutorial.md, docs/migrate.md and examples/README.md are run by tests of those names.
"""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.cli import click_options, commands
from journal_launcher.settings.launch_settings import LaunchSettings

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
PROGRAM = r"(?:journal-launcher|\./launch\.sh)"
OTHERS = ("test", "pip")  # what launch.sh itself answers; tests/test_launch_sh.py
A_WORD = {"N": "1", "TRIAL": "0", "NUMBER": "0", "NAME=VALUE": "lr=0.1"}  # for others themselves


def lines_of(page: Path) -> Iterator[str]:
    """What stands in a block of commands, and in `…` within the text."""
    text = page.read_text()
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.M | re.S):
        if language in ("", "console", "sh"):
            yield from re.findall(rf"(?:^|&& ){PROGRAM}[^\n&]*", block, flags=re.M)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    yield from re.findall(rf"`({PROGRAM} [^`]+)`", prose)


def variants(line: str) -> Iterator[list[str]]:
    """The words of a line; of a synopsis without and with what is in brackets, each choice."""
    line = re.split(r"\s{2,}| #| \|? *> | && ", line.replace("\\|", "|"))[0]
    words = re.sub(rf"^(&& )?{PROGRAM} ?", "", line).replace("…", "").strip()
    optional = re.findall(r"\[([^]]*)\]", words)
    always = re.sub(r"\[[^]]*\]", "", words)
    for choice in ("", *(one for found in optional for one in found.split(" | "))):
        given = shlex.split(f"{always} {choice}")
        for place in range(max((word.count("|") for word in given), default=0) + 1):
            yield [word.split("|")[min(place, word.count("|"))] for word in given]


COMMANDS = {
    (page.relative_to(ROOT).as_posix(), " ".join(words)): words
    for page in PAGES
    for line in lines_of(page)
    for words in variants(line)
    if words and words[0] not in (*OTHERS, "OPTIONS")
}


def parse(words: list[str]) -> None:
    """Raise where click refuses a name or a value, or this program the settings."""
    words = [A_WORD.get(word, word) for word in words if word not in ("OPTIONS", "ARGUMENTS")]
    if not words or words[0].startswith("-"):
        words = ["run", *words]
    with contextlib.suppress(click.exceptions.Exit):  # of --help
        context = commands.make_context("journal-launcher", list(words))
        name, command, rest = commands.resolve_command(context, list(words))
        while isinstance(command, click.Group):
            name, command, rest = command.resolve_command(context, rest)
        assert command is not None
        given = command.make_context(name, rest, parent=context).params
        if name in ("run", "watch") and "--config" not in words:
            known = LaunchSettings.__dataclass_fields__
            LaunchSettings(**{key: value for key, value in given.items() if key in known})


@pytest.mark.parametrize("command", COMMANDS, ids=lambda found: f"{found[0]}: {found[1][:50]}")
def test_a_command_of_a_document_is_one_that_the_program_takes(
    command: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("houses.csv", "new.csv", "table.csv"):
        Path(name).write_text("a,price\n")
    monkeypatch.setattr(click_options, "read_config", lambda *_: {})
    parse(COMMANDS[command])


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--trails", "3"],
        ["--model-type", "nn"],
        ["--timeout", "soon"],
        ["statsu"],
        ["trials"],
        ["trials", "x", "y"],
        ["skip", "lst"],
    ],
    ids=" ".join,
)
def test_a_command_that_is_none_is_noticed(words: list[str]) -> None:
    assert len(COMMANDS) > 100, "they are no longer found"
    with pytest.raises((click.ClickException, UsageError)):
        parse(words)


ELSEWHERE = {  # what of the README is not run below, and what runs it
    "--gpus auto": "tests/launcher, without a GPU",
    "--data houses.csv --target price --compare-models": "tests/pipeline/test_compare.py",
    "describe FILE --target COLUMN": "its own line with a file",
    "init --slurm": "tests/cli/test_init.py",
    "import NAME --study-name NEW --config FILE.toml": "tests/study/test_importing.py",
    "import sqlite:///old.db --study-name NAME": "tests/test_migrate.py",
    "dashboard": "tests/test_tutorial.py",
    "run --help": "tests/cli/test_commands.py",
    "watch": "tests/pipeline/test_watch.py",
}
TRAINING = """
import argparse, json, sys

def train(lr):
    return lr

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("lr", "layers", "out"):
        parser.add_argument(f"--{name}")
    given = parser.parse_args()
    print("epoch 1 loss 0.5")
    with open(f"{given.out}/metrics.json", "w") as file:
        json.dump({"val_loss": float(given.lr)}, file)
"""


@pytest.mark.timeout(900)
def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    """On the CPU and with few trials; its table, code and file are where it has them."""
    text = (ROOT / "README.md").read_text()
    areas = np.random.default_rng(0).random(80)
    rows = ["area,rooms,price", *(f"{a:.3f},{a * 3:.2f},{a * 9:.2f}" for a in areas)]
    (tmp_path / "houses.csv").write_text("\n".join(rows))
    (tmp_path / "new.csv").write_text("\n".join(rows[:9]))
    (code,) = re.findall(r"In `train.py`:\s+```python\n(.+?)```", text, flags=re.S)
    (tmp_path / "train.py").write_text(TRAINING + code)
    (config,) = re.findall(r"Say in `tune.toml`.+?```toml\n(.+?)```", text, flags=re.S)
    (tmp_path / "tune.toml").write_text(config)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    lines = [words for page, words in COMMANDS if page == "README.md"]
    assert set(lines) > set(ELSEWHERE)
    for line in (line for line in lines if line not in ELSEWHERE):
        study = "train" if line.startswith("enqueue") else "houses_price_catboost"
        words = [{"NAME": study, "TRIAL": "0"}.get(word, word) for word in shlex.split(line)]
        few = ["--gpus", "none", "--n-trials", "2"] if line.startswith("--") else []
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "journal_launcher", *words, *few],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert ended.returncode == 0, (line, ended.stdout, ended.stderr)
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 9
