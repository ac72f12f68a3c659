"""A small checkout of launch.sh whose packages are local, and a bench to start it on."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
BASE_PYTHON = os.path.realpath(sys.executable)
TELL = """\
import json, os, sys
try:
    import leaf
except ImportError:
    leaf = None
told = {"argv": sys.argv[1:], "python": sys.executable, "prefix": sys.prefix, "cwd": os.getcwd(),
        "pid": os.getpid(), "main": __file__, "leaf": leaf and leaf.__file__}
print(json.dumps(told))
sys.exit(int(os.environ.get("STUB_EXIT", "0")))
"""
PYPROJECT = """\
[project]
name = "journal-launcher"
dependencies = ["leaf>=1"]

[project.optional-dependencies]
parquet = ["twig>=1"]
test = ["journal-launcher[parquet]", "pytest>=1"]
"""


def make_wheel(folder: Path, name: str, files: dict[str, str], version: str = "1.0") -> None:
    """Write the smallest wheel that pip installs."""
    info = f"{name}-{version}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
            record += f"{path},sha256={digest.decode()},{len(text.encode())}\n"
            wheel.writestr(path, text)
        wheel.writestr(f"{info}/RECORD", record)


def make_script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def make_checkout(folder: Path) -> Path:
    (folder / "journal_launcher").mkdir(parents=True)
    shutil.copy(ROOT / "launch.sh", folder)
    shutil.copy(ROOT / "journal_launcher" / "bootstrap.py", folder / "journal_launcher")
    (folder / "journal_launcher" / "__init__.py").touch()
    (folder / "journal_launcher" / "__main__.py").write_text(TELL)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "constraints.txt").write_text("leaf==1.0\ntwig==1.0\npytest==1.0\n")
    return folder


def make_environment(folder: Path, launcher: Path | None = None) -> Path:
    """Make a virtual environment, one where journal_launcher imports if given a checkout of it."""
    command = [BASE_PYTHON, "-I", "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True)
    if launcher is not None:
        (site_packages,) = folder.glob("lib/python*/site-packages")
        (site_packages / "launcher.pth").write_text(f"{launcher}\n")
    return folder


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        """What the stub printed; a set-up that wrote anything to stdout makes this fail."""
        assert self.code == 0, self.err
        told: dict[str, Any] = json.loads(self.out)
        return told

    @property
    def error(self) -> str:
        """The one line of a refusal, after any progress line."""
        assert (self.code, self.out) == (2, ""), (self.code, self.out, self.err)
        (line,) = (line for line in self.err.splitlines() if not line.startswith("setting up "))
        assert line.startswith("error: ")
        return line


@dataclass
class Bench:
    """A current directory, an environment without surprises, and local packages for pip."""

    cwd: Path
    env: dict[str, str]
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def start(self, script: Path, *arguments: str, **env: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [script, *arguments],
            cwd=self.cwd,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, script: Path, *arguments: str, **env: str) -> Ran:
        return finish(self.start(script, *arguments, **env))

    def close(self) -> None:
        """End what a failed test left running."""
        for process in self.started:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
            process.communicate(timeout=60)


def finish(process: "subprocess.Popen[str]") -> Ran:
    out, err = process.communicate(timeout=120)
    return Ran(process.returncode, out, err)


def make_bench(folder: Path, packages: Path) -> Bench:
    cwd = folder / "current directory"
    (cwd / "journal_launcher").mkdir(parents=True)  # must never be imported
    (cwd / "journal_launcher" / "__main__.py").write_text("raise SystemExit('of the current dir')")
    (cwd / "json.py").write_text("raise SystemExit('of the current directory')")
    pythons = folder / "bin"
    pythons.mkdir()
    (pythons / "python3").symlink_to(BASE_PYTHON)
    env = {
        "PATH": f"{pythons}:/usr/bin:/bin",
        "HOME": str(folder),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(packages),
    }
    return Bench(cwd, env)
