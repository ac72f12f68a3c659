"""What a launch writes down about itself: versions, command line, times."""

import contextlib
import platform
import shlex
import sys
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from journal_launcher.base.events import LaunchEnded
from journal_launcher.base.times import utc
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES

__all__ = ["command_line", "launch_record", "versions"]

_PACKAGES = ("optuna", "numpy", "scipy", "pandas")


@cache
def versions() -> dict[str, str]:
    """Installed versions, read from metadata: nothing is imported."""
    from journal_launcher import __version__

    found = {"python": platform.python_version(), "journal_launcher": __version__}
    packages = {name: name for name in _PACKAGES}
    packages |= {spec.distribution or spec.package: spec.package for spec in MODEL_TYPES.values()}
    known = ((name, _version(name, package)) for name, package in packages.items())
    return found | {name: version for name, version in known if version is not None}


def _version(distribution: str, package: str) -> str | None:
    """Of the distribution, or of the one beside it that has the package: xgboost-cpu has xgboost.

    `metadata.packages_distributions` reads every distribution's list of files: 0.4 s.
    """
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(distribution)
    installed = find_spec(package)
    for folder in (installed and installed.submodule_search_locations) or ():
        for place in Path(folder).parent.glob(f"{package}*.dist-info"):
            other = metadata.Distribution.at(place)
            if f"{package}/__init__.py," in (other.read_text("RECORD") or ""):
                return other.version
    return None


def command_line() -> str:
    """What was typed, but for what follows `--`: that may hold a secret, and this is published.

    Of a launch from Python the script alone: its arguments are not ours to tell.
    """
    main = getattr(sys.modules["__main__"], "__spec__", None)
    if "journal_launcher.__main__" not in (*sys.modules, getattr(main, "name", None)):
        return shlex.join(["python", *sys.argv[:1]])
    arguments = sys.argv[1:]
    if "--" in arguments:
        arguments = [*arguments[: arguments.index("--") + 1], "ARGUMENTS"]
    return shlex.join(["journal-launcher", *arguments])


def launch_record(
    launch: str,
    settings: LaunchSettings,
    workers: list[dict[str, Any]],
    started: str,
    ended: LaunchEnded | None,
) -> dict[str, Any]:
    """What launch.json says of the last launch; `ended` is None while it runs."""
    return {
        "schema_version": 1,
        "launch": launch,
        "study": settings.name,
        "command_line": command_line(),
        # Only how many: what follows `--` may hold a secret.
        "settings": {**settings.to_json(), "arguments": len(settings.arguments)},
        "workers": workers,
        "versions": versions(),
        "started": started,
        "ended": utc() if ended else None,
        "exit_reason": ended.exit_reason if ended else None,
        "exit_code": int(ended.exit_code) if ended else None,
        "busy": ended.busy if ended else None,
    }
