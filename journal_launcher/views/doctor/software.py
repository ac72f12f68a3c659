"""Python and the packages, read from metadata: nothing is imported."""

import platform
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from journal_launcher.base.paths import install_command
from journal_launcher.launcher.provenance import versions
from journal_launcher.views.doctor.finding import Finding

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["check_software"]

_PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"  # of a checkout
_PROJECT = "journal-launcher"
_FOR_DEVELOPERS = ("bench", "test", "docs")


def check_software() -> Iterator[Finding]:
    """Yield what is to be said of Python, of each package that is amiss, and of each extra."""
    yield Finding("ok", "python", f"{platform.python_version()}, {sys.executable}")
    needed, extras = _requirements()
    amiss = [found for requirement in needed if (found := _check(requirement)) is not None]
    yield from amiss
    if not amiss:
        yield Finding("ok", "packages", _listed(needed))
    for extra, requirements in extras.items():
        yield _check_extra(extra, requirements)


def _requirements() -> tuple[list["Requirement"], dict[str, list["Requirement"]]]:
    """(what every installation needs, what each extra needs)."""
    from packaging.requirements import Requirement

    if _PYPROJECT.is_file():
        project = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]
        needed = [needs for needs in map(Requirement, project["dependencies"]) if _applies(needs)]
        optional = project["optional-dependencies"]
        extras = {extra: list(map(Requirement, texts)) for extra, texts in optional.items()}
    else:
        all_of_them = [Requirement(text) for text in metadata.requires(_PROJECT) or ()]
        needed = [needs for needs in all_of_them if _belongs_to("", needs)]
        extras = {
            extra: [needs for needs in all_of_them if _belongs_to(extra, needs)]
            for extra in metadata.metadata(_PROJECT).get_all("Provides-Extra") or ()
        }
    return needed, {name: extras[name] for name in extras if name not in _FOR_DEVELOPERS}


def _applies(requirement: "Requirement") -> bool:
    """Whether this Python needs it."""
    return requirement.marker is None or requirement.marker.evaluate()


def _belongs_to(extra: str, requirement: "Requirement") -> bool:
    if requirement.marker is None:
        return not extra
    alone = requirement.marker.evaluate({"extra": ""})
    return alone if not extra else not alone and requirement.marker.evaluate({"extra": extra})


def _check(requirement: "Requirement") -> Finding | None:
    """What is wrong with a package that every installation needs."""
    version = _version(requirement.name)
    if version is not None and requirement.specifier.contains(version, prereleases=True):
        return None
    text = f"expected {requirement.name}{requirement.specifier}, found {version or 'none'}"
    command = install_command(f"{requirement.name}{requirement.specifier}")
    return Finding("problem", "packages", text, f"type {command}")


def _check_extra(extra: str, requirements: list["Requirement"]) -> Finding:
    missing = [needs for needs in requirements if _version(needs.name) is None]
    if missing:
        command = install_command(*(needs.name for needs in missing))
        return Finding("note", "extra", f"{extra} is not installed", f"to use it type {command}")
    for old in filter(None, map(_check, requirements)):
        return Finding("note", "extra", f"{extra}: {old.text}", old.remedy)
    return Finding("ok", "extra", f"{extra}: {_listed(requirements)}")


def _listed(requirements: list["Requirement"]) -> str:
    return ", ".join(f"{needs.name} {_version(needs.name)}" for needs in requirements)


def _version(name: str) -> str | None:
    """Of a distribution, or of the one beside it that has its package (xgboost-cpu)."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return versions().get(name)
