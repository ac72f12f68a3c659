"""Set up the checkout's own `.venv`. Run by `launch.sh` as a script: standard library only.

`.venv` holds the dependencies, not journal_launcher itself: a relative path in a .pth file makes
the checkout importable, so that it still works after the whole folder was moved.
"""

import fcntl
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = ROOT / "pyproject.toml"
CONSTRAINTS = ROOT / "constraints.txt"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# The real path: a later python3 of another version must not take .venv over, and .venv itself, if
# it is the active environment, is no ground to build on.
BASE_PYTHON = os.path.realpath(sys.executable)
LOG = VENV / "setup.log"  # also the mark of a .venv that is ours to empty
LAUNCH_STAMP = VENV / "launch.stamp"  # absent: never finished, or interrupted
TEST_STAMP = VENV / "test.stamp"
STAMPS = {"launch": [LAUNCH_STAMP], "test": [TEST_STAMP, LAUNCH_STAMP]}
ADDED = VENV / "added.json"  # what the user had installed into the .venv that is being replaced
DRIVER = Path("/proc/driver/nvidia/version")
PINNED_NEEDS = 580  # the driver for CUDA 13, which the pinned torch is built for
OLDER_TORCH = "torch==2.10.0"  # the last one that PyPI has for CUDA 12 (12.8)
OLDER_NEEDS = 525  # any driver for CUDA 12 runs what is built for 12.8


class SetupError(Exception):
    """The set-up cannot go on; the message is one line for the user."""


def say(line: str) -> None:
    """Tell the user on stderr: stdout belongs to the results of the launch."""
    print(line, file=sys.stderr, flush=True)


def stamp_text() -> bytes:
    """What the stamp of a finished set-up holds; `launch.sh` compares it with the same text."""
    return PYPROJECT.read_bytes().rstrip(b"\n") + b"\n" + CONSTRAINTS.read_bytes()


def requirements(purpose: str) -> list[str]:
    """List the dependencies in pyproject.toml, for `test` with those of the extra of that name."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    found: list[str] = list(project["dependencies"])
    extras = ["test"] if purpose == "test" else []
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            if own := re.fullmatch(rf"{re.escape(project['name'])}\[(.+)\]", requirement):
                extras += [name.strip() for name in own[1].split(",")]
            else:
                found.append(requirement)
    return found


def canonical(name: str) -> str:
    """Spell a distribution's name as all its spellings are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: Iterable[str]) -> set[str]:
    """List the distributions that requirements, or lines of constraints.txt, are about."""
    found = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line) for line in requirements)
    return {canonical(name[0]) for name in found if name}


def installed() -> Iterator[metadata.Distribution]:
    """List what is whole in .venv, whichever Python it was made with."""
    folders = [str(folder) for folder in VENV.glob("lib/python*/site-packages")]
    for distribution in metadata.distributions(path=folders):
        if distribution.read_text("METADATA") is not None:
            yield distribution


def added() -> list[str]:
    """List what the user asked pip for, which marks that, as arguments for pip."""
    ours = names(requirements("launch")) | {"pip", "setuptools"}
    pinned = names(CONSTRAINTS.read_text(encoding="utf-8").splitlines())
    found = list(json.loads(ADDED.read_bytes())) if ADDED.exists() else []
    for distribution in installed():
        name = canonical(distribution.name)
        if name in ours or distribution.read_text("REQUESTED") is None:
            continue
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        url = origin.get("url")
        if "vcs_info" in origin:
            url = f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
        if origin.get("dir_info", {}).get("editable"):
            found += ["--editable", url]
        elif url is not None:
            found.append(f"{name} @ {url}")
        else:
            found.append(name if name in pinned else f"{name}=={distribution.version}")
    return found


def driver() -> int | None:
    """Return the release of the NVIDIA driver, 535 of 535.183.01; None where there is none."""
    try:
        text = DRIVER.read_text(encoding="utf-8", errors="replace")
    except OSError:  # under WSL the driver is Windows'
        command = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        text = done.stdout if done.returncode == 0 else ""
    found = re.search(r"\b(\d{3})\.\d+(?:\.\d+)?\b", text)
    return int(found[1]) if found else None


def constraints() -> Path:
    """Write which versions pip installs here: the pinned ones, but a torch that the driver runs."""
    text = CONSTRAINTS.read_text(encoding="utf-8")
    release = driver()
    if release is not None and OLDER_NEEDS <= release < PINNED_NEEDS:
        text = re.sub(r"^torch==.*$", OLDER_TORCH, text, flags=re.MULTILINE)
    path = VENV / "constraints.txt"
    path.write_text(text, encoding="utf-8")
    return path


def say_of_driver() -> None:
    """Say in a line what the driver is too old for, if it is."""
    release = driver()
    if release is None or release >= PINNED_NEEDS:
        return
    if release >= OLDER_NEEDS:
        say(f"{OLDER_TORCH}: the NVIDIA driver is {release}, newer ones need {PINNED_NEEDS}")
    else:
        say(
            f"the NVIDIA driver is {release}, torch needs {OLDER_NEEDS}, better {PINNED_NEEDS}: "
            f"update it, then type {typed()} pip install torch; until then add --gpus none"
        )


def run_logged(lock: int, *command: str | Path) -> int:
    """Run `command` with its output in the log and return its status, negative if it was killed.

    It inherits the lock: if we are killed, nobody empties .venv while it still writes there.
    """
    with LOG.open("ab") as log:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[lock], check=False
        )
    return done.returncode


def create(lock: int) -> None:
    """Start .venv afresh: what an interrupted pip left behind can look installed and be broken."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            f"expected Python {version} with ensurepip, found {BASE_PYTHON} without it; "
            f"type: apt install python{version}-venv"
        )
    VENV.mkdir(exist_ok=True)
    if not LOG.exists() and any(VENV.iterdir()):
        raise SetupError(
            f"expected a .venv made by launch.sh, found another one at {VENV}; "
            f"activate it with journal_launcher installed, or remove it"
        )
    LOG.write_bytes(b"")
    # Before anything goes, and in one step: an interrupted set-up is begun anew from it.
    partial = ADDED.with_suffix(".part")
    partial.write_text(json.dumps(added()), encoding="utf-8")
    partial.replace(ADDED)
    for child in VENV.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        elif child not in (LOG, ADDED):
            child.unlink()
    if run_logged(lock, BASE_PYTHON, "-I", "-m", "venv", VENV):
        raise SetupError(f"{BASE_PYTHON} cannot create a virtual environment; see {LOG}")
    site_packages = VENV / "lib" / f"python{version}" / "site-packages"
    (site_packages / "journal_launcher.pth").write_text("../../../..\n", encoding="utf-8")


def install(purpose: str, lock: int) -> None:
    """Install what `purpose` needs, in place where a finished set-up is there to build on."""
    finished = LAUNCH_STAMP.exists() and os.access(PYTHON, os.X_OK)
    before = LAUNCH_STAMP.read_bytes() if finished else b""
    say(f"{'updating' if finished else 'setting up'} {VENV} (once, some minutes; log: {LOG})…")
    if finished:
        LOG.write_bytes(b"")
    else:
        create(lock)
    for stamp in (LAUNCH_STAMP, TEST_STAMP):
        stamp.unlink(missing_ok=True)
    # --no-user: PIP_USER or a pip.conf with it would make pip refuse a virtual environment.
    say_of_driver()
    pip = (
        *(PYTHON, "-I", "-m", "pip", "install", "--no-user", "--disable-pip-version-check"),
        *("--constraint", constraints()),
    )
    status = run_logged(lock, *pip, *requirements(purpose))
    if status != 0:
        if finished and status > 0:
            LAUNCH_STAMP.write_bytes(before)  # pip itself gave up, and undid what it had begun
        raise SetupError(
            f"pip could not install the dependencies, see {LOG}; check the network connection and "
            "the free disk space, and type the same command again"
        )
    if ADDED.exists():
        again = json.loads(ADDED.read_bytes())
        if again and run_logged(lock, *pip, *again) != 0:
            say(
                f"not installed again, see {LOG}: {shlex.join(again)}; type {typed()} pip install …"
            )
        ADDED.unlink()
    for stamp in STAMPS[purpose]:
        stamp.write_bytes(stamp_text())


def typed() -> str:
    """What the user types to start launch.sh."""
    return shlex.quote(os.environ.get("JOURNAL_LAUNCHER_TYPED", "./launch.sh"))


def run_pip(lock: int, arguments: list[str]) -> int:
    """Run pip in .venv for the user and return its exit code.

    Nothing that this program needs gets another version. What the user removes of it, the next
    start puts back.
    """
    before = {canonical(distribution.name) for distribution in installed()}
    arguments = list(arguments)
    if "install" in arguments:
        at = arguments.index("install") + 1
        arguments[at:at] = ["--no-user", "--constraint", str(constraints())]
    signal.signal(signal.SIGINT, lambda *_: None)  # pip answers it, and undoes what it has begun
    pip: list[str | Path] = [PYTHON, "-I", "-m", "pip", *arguments]
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    status = subprocess.run(pip, env=environment, pass_fds=[lock], check=False).returncode
    removed = before - {canonical(distribution.name) for distribution in installed()}
    for purpose, (stamp, *_) in STAMPS.items():
        missing = names(requirements(purpose)) & removed
        if missing and stamp.exists():
            stamp.write_bytes(b"")  # outdated, but not interrupted: installed in place
            again = f"{typed()} test" if purpose == "test" else typed()
            say(f"needed: {', '.join(sorted(missing))}; the next {again} installs it again")
            break
    return status if status >= 0 else 128 - status


def is_ready(purpose: str) -> bool:
    """Tell whether somebody else finished this set-up while we waited for the lock."""
    stamp = STAMPS[purpose][0]
    return os.access(PYTHON, os.X_OK) and stamp.exists() and stamp.read_bytes() == stamp_text()


def main(command: str, *arguments: str) -> int:
    """Set up .venv for `command`, launch or test; of `pip`, run that. Return the exit code."""
    purpose = "launch" if command == "pip" else command
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # launch.sh held it back
        with (ROOT / ".venv.lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for another launch.sh that is setting up {VENV}…")
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_ready(purpose):
                install(purpose, lock.fileno())
            if command == "pip":
                return run_pip(lock.fileno(), list(arguments))
    except (SetupError, OSError) as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("interrupted; type the same command again to start the set-up anew")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
