"""The user's code as it is on a machine: equal digests, or the nodes run different things.

What the options name, and every module that it imports from the user's project: files below the
folder of the launch, beside the named files, or on PYTHONPATH. Imports are read, not run, those
inside functions too; what is imported by a name that is worked out at run time is not seen.
"""

import ast
import dataclasses
import hashlib
import importlib.util
import os
import pkgutil
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.command_template import parse_template
from journal_launcher.settings.inputs import parse_reference
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.options import flag, option_of

__all__ = ["Sources", "check_sources", "digests", "seen_from"]

_INSTALLED = {"site-packages", "dist-packages"}
_OURS = Path(__file__).parents[2]
_NAMED = 3  # files that a message names


class Sources:
    """Finds the user's code from the current directory.

    named: of each file or module that the options name, where it is; None where there is none.
    """

    def __init__(self, settings: LaunchSettings) -> None:
        references = [parse_reference(option, item) for option, item in _references(settings)]
        files = [found.source for found in references if found.is_file]
        if settings.command is not None:
            script = parse_template(settings.command, settings.space or {}).script
            files += [script] if script is not None else []
        modules = [found.source for found in references if not found.is_file]
        here = [os.getcwd()] if modules else []
        self._beside = [*here, *(str(Path(file).absolute().parent) for file in files)]
        self._found: dict[str, ModuleSpec | None] = {}
        self.named: dict[str, str | None] = {file: file for file in files}
        self.named |= {module: self.find(module) for module in modules}

    @cached_property
    def _project(self) -> tuple[str, ...]:
        python_path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        return (os.getcwd(), *self._beside, *(os.path.abspath(p) for p in python_path if p))

    def find(self, module: str) -> str | None:
        """Where a module is, without importing it or the packages around it."""
        spec = None
        for end in range(1, module.count(".") + 2):
            name = ".".join(module.split(".")[:end])
            if name not in self._found:
                self._found[name] = self._spec(name, spec)
            spec = self._found[name]
            if spec is None:
                return None
        return spec.origin if spec is not None and spec.has_location else None

    def _spec(self, name: str, around: ModuleSpec | None) -> ModuleSpec | None:
        if around is not None:
            return _found_in(name, around.submodule_search_locations or ())
        beside = _found_in(name, self._beside)
        if beside is not None or name in sys.stdlib_module_names:
            return beside
        try:
            return importlib.util.find_spec(name)
        except (ImportError, ValueError):  # of `__main__`, or a broken finder
            return None

    def imported(self) -> Iterator[tuple[str, str]]:
        """(module, file) of all that is imported from the project, each once."""
        files = [(name, file) for name, file in self.named.items() if file is not None]
        known = {os.path.abspath(file) for _, file in files}
        while files:
            name, file = files.pop()
            package = "" if file == name else _package(name, file)
            for module in _imports(file, package):
                at = self.find(module)
                if at is not None and at not in known and self._is_users(at):
                    known.add(at)
                    files.append((module, at))
                    yield module, at

    def _is_users(self, file: str) -> bool:
        path = Path(file)
        theirs = _INSTALLED.isdisjoint(path.parts) and not path.is_relative_to(_OURS)
        return theirs and any(path.is_relative_to(folder) for folder in self._project)


def _found_in(name: str, folders: Iterable[str]) -> ModuleSpec | None:
    """A module in one of these folders; Python's own search would import what is around it where
    that is no more than a folder."""
    parts: list[str] = []
    for folder in folders:
        finder = pkgutil.get_importer(folder)
        spec = finder.find_spec(name) if finder is not None else None
        if spec is not None and spec.loader is not None:
            return spec
        parts += (spec and spec.submodule_search_locations) or ()
    if not parts:
        return None
    found = ModuleSpec(name, None, is_package=True)
    found.submodule_search_locations = parts
    return found


def _references(settings: LaunchSettings) -> Iterator[tuple[str, str]]:
    """(flag, reference) of every option that names code of the user."""
    for field in dataclasses.fields(settings):
        if option_of(field).reference:
            given = getattr(settings, field.name) or ()
            for item in (given,) if isinstance(given, str) else given:
                if item not in option_of(field).choices:
                    yield flag(field.name), item


def _package(module: str, file: str) -> str:
    """What a dot in front of an imported name stands for."""
    return module if Path(file).stem == "__init__" else module.rpartition(".")[0]


def _imports(file: str, package: str) -> Iterator[str]:
    """Every name that may be a module and that the file imports, packages before their modules."""
    if not file.endswith(".py"):
        return
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):  # whoever imports it says so
        return
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            around = package.split(".") if package and node.level else []
            parts = [*around[: len(around) - node.level + 1], *filter(None, [node.module])]
            base = ".".join(parts)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in filter(None, names):
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def digests(settings: LaunchSettings) -> dict[str, Any]:
    """Of each file or module of the user's code: its SHA-256, and its file, seen from here."""
    sources = Sources(seen_from(os.getcwd(), settings) if settings.remote_dir else settings)
    files = {**sources.named, **dict(sources.imported())}
    return {name: {"sha256": _sha256(file), "file": _seen(file)} for name, file in files.items()}


def check_sources(settings: LaunchSettings, expected: Mapping[str, Any], host: str) -> None:
    """Compare what `digests` found on the launch's machine with what is here, on a node.

    Raises:
        UsageError: names what differs, and what brings it here.
    """
    sources = Sources(settings)
    wrong: dict[str, str] = {}
    found = None
    for name, there in expected.items():
        file = sources.named[name] if name in sources.named else sources.find(name)
        digest = _sha256(file)
        if digest != there["sha256"]:
            wrong[there["file"] or name] = name
            found = found or (f"another one in {_folder(file)}" if digest else None)
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise UsageError(
            f"expected {', '.join([*wrong][:_NAMED])}{more} as the launch has it, found "
            f"{found or f'none in {Path.cwd()}'}; type where the launch runs: "
            f"{_bring([*wrong], host)} (or start from a folder that all nodes share)"
        )


def _bring(files: list[str], host: str) -> str:
    """The command that copies these files to the node."""
    relative = [file for file in files if not os.path.isabs(file)]
    absolute = [file for file in files if os.path.isabs(file)]
    groups = ((relative, f"{host}:{Path.cwd()}/"), (absolute, f"{host}:/"))
    return " && ".join(
        f"rsync -aR {shlex.join(group)} {shlex.quote(to)}" for group, to in groups if group
    )


def seen_from(project: str, settings: LaunchSettings) -> LaunchSettings:
    """The same settings with every path of code below `project` written as seen from there.

    So it is found in another checkout, once that is the current directory.
    """
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        given = getattr(settings, field.name)
        if option_of(field).reference and isinstance(given, str):
            changed[field.name] = _below(project, given)
        elif option_of(field).reference and given:
            changed[field.name] = tuple(_below(project, item) for item in given)
    if settings.command is not None and project in settings.command:
        words = shlex.split(settings.command)
        changed["command"] = shlex.join(_below(project, word) for word in words)
    return dataclasses.replace(settings, **changed)


def _below(project: str, path: str) -> str:
    return path.removeprefix(project.rstrip("/") + "/")


def _seen(file: str | None) -> str:
    """A file as it is named here: below the current directory from there, else absolute."""
    if file is None:
        return ""
    path, here = Path(file).absolute(), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _folder(file: str | None) -> Path:
    return Path(file or "").absolute().parent


def _sha256(file: str | None) -> str:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except OSError:
        return ""
