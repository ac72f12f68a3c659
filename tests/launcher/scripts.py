"""What tests of `--command` share: a script, its configuration, and how it is launched."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from launcher.harness import Workshop

from journal_launcher.api import LaunchResult

# What every script of the tests may use; `note` and `told` as in objectives.
_PRELUDE = """
import json, os, signal, subprocess, sys, time
from pathlib import Path

HERE, DIR = Path(__file__).parent, Path(os.environ["JL_DIR"])

def note(name, text=""):
    part = HERE / f"{name}.{os.getpid()}.part"  # two workers may note the same
    part.write_text(str(text))
    os.replace(part, HERE / name)

def told(name):
    while not (HERE / name).exists():
        time.sleep(0.005)
"""
SPACE = {"x": {"low": 0.0, "high": 1.0}}


class ScriptShop:
    """A workshop whose trials are runs of `my train.py`."""

    def __init__(self, shop: Workshop) -> None:
        self.shop = shop

    @property
    def command(self) -> str:
        return f"'{sys.executable}' 'my train.py' {{x}}"

    def write(self, code: str) -> None:
        (self.shop.folder / "my train.py").write_text(_PRELUDE + code)

    def launch(self, *listener: Any, **options: Any) -> LaunchResult:
        given = {"command": self.command, "space": SPACE, "objective": None, **options}
        return self.shop.launch(*listener, **given)

    def configured(self, *options: str, **tables: Any) -> list[str]:
        """Options of the command line, with a file that has the tables."""
        content = {"command": {"run": self.command}, "space": SPACE, **tables}
        lines = []
        for table, keys in content.items():
            lines += [f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in keys.items())]
        (self.shop.folder / "tune.toml").write_text("\n".join(lines))
        return ["--config", "tune.toml", *options]

    @property
    def trials(self) -> list[str]:
        """The names of the trials' own folders."""
        folder = self.shop.paths.trials
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
        return sorted(name for name in names if not name.startswith("."))  # those are their marks

    def published(self) -> dict[str, str]:
        folder = self.shop.paths.best_model_directory
        found = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_text() for path in found}


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


@pytest.fixture
def scripts(workshop: Workshop) -> ScriptShop:
    return ScriptShop(workshop)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())
