"""The single best-model save: a worker stages files, the parent verifies and publishes them.

Without a valid sidecar there is no model. Publishing moves the old sidecar away first and writes
the new one last, so a kill at any step leaves one valid model or none. Once staged and verified,
the manifest in the staging folder lets the next launch complete the save instead of repeating it.

The old model waits in the staging folder until the new one is there, and comes back if it cannot
be. Nothing but what a sidecar lists is removed or replaced.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from journal_launcher.base.artifacts.sidecar import Best, Sidecar
from journal_launcher.base.errors import AGAIN, JournalLauncherError, UsageError, is_full_disk
from journal_launcher.base.files import fsync_directory, move_into_place, read_json, write_json
from journal_launcher.base.paths import STAGING_MARK, StudyPaths, is_published_name
from journal_launcher.base.plain_files import found_at, open_plain

__all__ = [
    "clear_staging",
    "complete",
    "drop_staging",
    "hash_files",
    "leave_out",
    "model_path",
    "publish",
    "published",
    "read",
    "republish",
    "rewrite",
    "stage",
]

SCHEMA_VERSION = 1
_MANIFEST = "manifest.json"
_REPLACED = "replaced"  # folder in the staging folder


def published(paths: StudyPaths, wanted: Best) -> Sidecar | None:
    """The sidecar of the published model, if it is `wanted` and its files are whole."""
    return _matching(paths.sidecar, paths.directory, wanted)


def complete(paths: StudyPaths, wanted: Best) -> Sidecar | None:
    """Publish what an interrupted launch had staged and verified, if it is `wanted`."""
    manifest = paths.staging / _MANIFEST
    sidecar = _read(manifest, wanted)
    if sidecar is None:
        return None
    for name, digest in (sidecar.files or {}).items():
        staged = paths.staging / name
        moved = paths.directory / name
        if _leads_elsewhere(paths.staging, name):
            return None
        if _sha256(staged if staged.exists() else moved) != digest:
            return None
    return publish(paths, sidecar)


def clear_staging(paths: StudyPaths) -> Path:
    """An empty staging folder for a worker to write to."""
    drop_staging(paths)
    paths.staging.mkdir(mode=0o700, parents=True, exist_ok=True)
    (paths.staging / STAGING_MARK).touch(mode=0o600)
    return paths.staging


def drop_staging(paths: StudyPaths) -> None:
    """Remove the staging folder, also one that a kill right after publishing left."""
    for path in paths.staged()[0]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    with suppress(OSError):  # there is none, or something else is in it
        paths.staging.rmdir()


def stage(paths: StudyPaths, sidecar: Sidecar) -> Sidecar:
    """Add the hash of every staged file to the sidecar and record it as the manifest.

    Raises:
        JournalLauncherError: a staged path is not a plain file or folder.
    """
    files = hash_files(paths.staging)
    sidecar = replace(sidecar, schema_version=SCHEMA_VERSION, files=files)
    for folder in {(paths.staging / name).parent for name in files}:
        fsync_directory(folder)
    return _written(paths.staging / _MANIFEST, sidecar)


def publish(paths: StudyPaths, sidecar: Sidecar) -> Sidecar:
    """Replace the published model by the staged one. Safe to repeat after a kill at any step.

    Raises:
        JournalLauncherError: something is in the way, or cannot be moved; the old model stays.
    """
    _refuse_newer(paths.sidecar)
    replaced = paths.staging / _REPLACED
    old = _read(paths.sidecar, Best()) or _read(replaced / paths.sidecar.name, Best())
    new = {name for name in _entries(sidecar.files or ()) if found_at(paths.staging / name)}
    kept = _entries(sidecar.files or ()) - new  # moved into place before a kill
    gone = {*_entries((old.files if old else None) or ()), paths.diagnostics.name, *new} - kept
    gone = {name for name in gone if found_at(paths.directory / name)}
    for name in sorted(gone):
        _refuse_foreign(paths, name, old, sidecar.files or ())
    replaced.mkdir(exist_ok=True)
    moves = [(paths.sidecar, replaced)] if found_at(paths.sidecar) else []
    moves += [(paths.directory / name, replaced) for name in sorted(gone)]
    moves += [(paths.staging / name, paths.directory) for name in sorted(new)]
    _move_all_or_none(paths, moves, sidecar)
    drop_staging(paths)
    return sidecar


def _move_all_or_none(paths: StudyPaths, moves: list[tuple[Path, Path]], sidecar: Sidecar) -> None:
    """Move each path into its folder and write the sidecar; undo it all if that fails."""
    done: list[tuple[Path, Path]] = []
    try:
        for source, folder in moves:
            move_into_place(source, folder / source.name)
            done.append((source, folder / source.name))
            fsync_directory(source.parent)
        write_json(paths.sidecar, sidecar.to_json())
    except OSError as error:
        for source, target in reversed(done):
            move_into_place(target, source)
        if is_full_disk(error):
            raise
        raise JournalLauncherError(
            f"the new best model cannot be put into {paths.directory}: {error.filename}: "
            f"{error.strerror}; it waits in {paths.staging.name}/, the old one stays: mend that "
            f"and {AGAIN}"
        ) from None


def _refuse_newer(sidecar: Path) -> None:
    """A sidecar of a later version may list what this one does not know of."""
    try:
        read_json(sidecar, SCHEMA_VERSION)
    except FileNotFoundError:
        return
    except ValueError as problem:
        if "schema_version" in str(problem):
            raise JournalLauncherError(f"{problem}, or move that file away and {AGAIN}") from None


def _refuse_foreign(paths: StudyPaths, entry: str, old: Sidecar | None, new: Iterable[str]) -> None:
    """Raise unless the `old` sidecar lists what lies at `entry`.

    Without one, it must be what the `new` model has as well: the same names, and nothing beside.
    """
    at = paths.directory / entry
    listed = set((old.files if old else new) or ())
    as_folder = at == paths.best_model_directory or any(n.startswith(f"{entry}/") for n in listed)
    strange = [at]
    if found_at(at) == ("a folder" if as_folder else "a file"):
        inside = [path for path in (at, *at.rglob("*")) if found_at(path) != "a folder"]
        names = {str(path.relative_to(paths.directory)): path for path in inside}
        ours = {paths.diagnostics.name, *listed}
        strange = [path for name, path in names.items() if name not in ours]
    if strange:
        what = found_at(strange[0])
        raise JournalLauncherError(
            f"{strange[0]}: expected the old best model, found {what} that no save made; the new "
            f"one waits in {paths.staging.name}/, the old one stays: move that away and {AGAIN}"
        )


def read(paths: StudyPaths) -> Sidecar | None:
    """The sidecar as it lies there, whatever became of its files; None if there is none."""
    return _read(paths.sidecar, Best())


def republish(
    source: StudyPaths,
    target: StudyPaths,
    sidecar: Sidecar,
    comparison: Mapping[str, Any] | None = None,
) -> Sidecar | None:
    """Publish the model of one study under another name too, with the `comparison` that chose it.

    Returns None if it is not there yet and `source` left it out.

    Raises:
        JournalLauncherError: the files are not those that `sidecar` names, as when another launch
            replaced them meanwhile.
    """
    comparison = sidecar.comparison if comparison is None else comparison
    content = replace(sidecar, comparison=comparison, left_out=None)
    found = published(target, replace(sidecar.best, value=None, pareto_front=None))
    if found is not None and not found.left_out:
        content = replace(content, files=found.files)
        if found.to_json() == content.to_json():
            return found
        return _written(target.sidecar, content)
    if sidecar.left_out:
        return None
    if sidecar.files is None or not sidecar.names_our_files:
        raise JournalLauncherError(f"{source.sidecar}: names files that no save makes")
    staging = clear_staging(target)
    for name in sidecar.files:
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        if _leads_elsewhere(source.directory, str(Path(name).parent)):
            raise JournalLauncherError(f"{source.directory / name}: a link on its way; {AGAIN}")
        shutil.copyfile(source.directory / name, staging / name)
    if hash_files(staging) != sidecar.files:
        drop_staging(target)
        raise JournalLauncherError(
            f"{source.directory}: the model changed while it was copied; repeat the command"
        )
    return publish(target, stage(target, content))


def rewrite(paths: StudyPaths, sidecar: Sidecar) -> Sidecar:
    """Write what was changed of the published model's sidecar, if anything was."""
    if sidecar.to_json() == sidecar.stored:
        return sidecar
    return _written(paths.sidecar, sidecar)


def leave_out(paths: StudyPaths, sidecar: Sidecar) -> None:
    """Keep what the sidecar and the diagnostics say of the published model, and remove the model.

    The next comparison judges it again without training it.
    """
    # Until all are gone their names stay, for whoever goes on after a kill.
    write_json(paths.sidecar, replace(sidecar, left_out=True).to_json())
    for name in filter(is_published_name, set(sidecar.files or ()) - {paths.diagnostics.name}):
        if not _leads_elsewhere(paths.directory, name):
            _remove_file(paths.directory, name)
    write_json(paths.sidecar, replace(sidecar, files={}, left_out=True).to_json())


def model_path(paths: StudyPaths, sidecar: Sidecar | None) -> Path | None:
    """The model file, the folder that `save_best` wrote, or the sidecar with the parameters."""
    if sidecar is None:
        return None
    names = _entries(sidecar.files or ())
    return paths.directory / min(names) if names else paths.sidecar


def hash_files(directory: Path) -> dict[str, str]:
    """sha256 of every file of a model below `directory`; each is fsynced on the way."""
    return {
        name: _sha256(path, sync=True) or ""
        for path in sorted(_plain_files(directory))
        if is_published_name(name := str(path.relative_to(directory)))
    }


def _plain_files(directory: Path) -> Iterator[Path]:
    for path in directory.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise JournalLauncherError(
                f"expected files and folders in the staged best model, found {path}"
            )
        if path.is_file():
            yield path


def _matching(sidecar: Path, directory: Path, wanted: Best) -> Sidecar | None:
    content = _read(sidecar, wanted)
    if content is None or content.left_out:  # a kill may have left some of its files
        return content
    files = (content.files or {}).items()
    return content if all(_sha256(directory / name) == sha for name, sha in files) else None


def _read(path: Path, wanted: Best) -> Sidecar | None:
    try:
        found = Sidecar.from_json(read_json(path, SCHEMA_VERSION))
    except (FileNotFoundError, ValueError):
        return None
    return found if found.names_our_files and found.is_of(wanted) else None


def _written(path: Path, sidecar: Sidecar) -> Sidecar:
    content = sidecar.to_json()
    write_json(path, content)
    return Sidecar.from_json(content)


def _leads_elsewhere(directory: Path, name: str) -> bool:
    """Whether a link lies on the way to `name`, or at its end."""
    path = directory / name
    return any(place.is_symlink() for place in (path, *path.parents) if directory in place.parents)


def _entries(files: Iterable[str]) -> set[str]:
    """What lies in the folder itself."""
    return {Path(name).parts[0] for name in files}


def _remove_file(directory: Path, name: str) -> None:
    """Remove one file, and the folders that are empty without it."""
    with suppress(OSError):
        (directory / name).unlink()
        for folder in (directory / name).relative_to(directory).parents:
            if folder.name:
                (directory / folder).rmdir()


def _sha256(path: Path, *, sync: bool = False) -> str | None:
    """Hash of a file; None if there is none."""
    try:
        with open(open_plain(path, os.O_RDONLY, follow=True), "rb") as file:
            if sync:
                os.fsync(file.fileno())
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError, UsageError):
        return None
