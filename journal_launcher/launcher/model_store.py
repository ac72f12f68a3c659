"""The single best-model save: a worker stages files, the parent verifies and publishes them.

Without a valid sidecar there is no model. Publishing unlinks the old sidecar first and writes the
new one last, so a kill at any step leaves one valid model or none. Once staged and verified, the
manifest in the staging folder lets the next launch complete the save instead of repeating it.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.files import fsync_directory, move_into_place, read_json, write_json
from journal_launcher.base.paths import StudyPaths

__all__ = [
    "clear_staging",
    "complete",
    "drop_staging",
    "drop_trials",
    "hash_files",
    "leave_out",
    "model_path",
    "publish",
    "published",
    "read",
    "republish",
    "stage",
]

SCHEMA_VERSION = 1
_MANIFEST = "manifest.json"


def published(paths: StudyPaths, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """The sidecar of the published model, if it is `wanted` and its files are whole."""
    return _matching(paths.sidecar, paths.directory, wanted)


def complete(paths: StudyPaths, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """Publish what an interrupted launch had staged and verified, if it is `wanted`."""
    manifest = paths.staging / _MANIFEST
    sidecar = _read(manifest, wanted)
    if sidecar is None:
        return None
    for name, digest in sidecar["files"].items():
        staged, moved = paths.staging / name, paths.directory / name
        if _sha256(staged if staged.exists() else moved) != digest:
            return None
    return publish(paths, sidecar)


def clear_staging(paths: StudyPaths) -> Path:
    """An empty staging folder for a worker to write to."""
    drop_staging(paths)
    paths.staging.mkdir(mode=0o700, parents=True)
    return paths.staging


def drop_staging(paths: StudyPaths) -> None:
    """Remove the staging folder, also one that a kill right after publishing left."""
    shutil.rmtree(paths.staging, ignore_errors=True)


def drop_trials(paths: StudyPaths) -> None:
    """Remove the trials' own folders: what was in the best one is published."""
    shutil.rmtree(paths.trials, ignore_errors=True)


def stage(paths: StudyPaths, sidecar: dict[str, Any]) -> dict[str, Any]:
    """Add the hash of every staged file to the sidecar and record it as the manifest.

    Raises:
        JournalLauncherError: a staged path is not a plain file or folder.
    """
    files = hash_files(paths.staging)
    sidecar = {**sidecar, "schema_version": SCHEMA_VERSION, "files": files}
    for folder in {(paths.staging / name).parent for name in files}:
        fsync_directory(folder)
    write_json(paths.staging / _MANIFEST, sidecar)
    return sidecar


def publish(paths: StudyPaths, sidecar: dict[str, Any]) -> dict[str, Any]:
    """Replace the published model by the staged one. Safe to repeat after a kill at any step."""
    paths.sidecar.unlink(missing_ok=True)
    fsync_directory(paths.directory)
    entries = {Path(name).parts[0] for name in sidecar["files"]}
    for old in (*paths.directory.glob("best_model*"), paths.diagnostics):
        still_staged = (paths.staging / old.name).exists()
        if old.name not in entries or still_staged:
            shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
    for name in sorted(entries):
        if (paths.staging / name).exists():
            move_into_place(paths.staging / name, paths.directory / name)
    write_json(paths.sidecar, sidecar)
    drop_staging(paths)
    return sidecar


def read(paths: StudyPaths) -> dict[str, Any] | None:
    """The sidecar as it lies there, whatever became of its files; None if there is none."""
    return _read(paths.sidecar, {})


def republish(
    source: StudyPaths, target: StudyPaths, sidecar: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Publish the model of one study under another name too, with `more` in its sidecar.

    Returns None if it is not there yet and `source` left it out.

    Raises:
        JournalLauncherError: the files are not those that `sidecar` names, as when another launch
            replaced them meanwhile.
    """
    content = {**sidecar, **more}
    left_out = content.pop("left_out", False)
    same = {key: content[key] for key in ("study", "identity_sha256", "trial", "params", "refit")}
    found = published(target, same)
    if found is not None and not found.get("left_out"):
        content["files"] = found["files"]
        if found != content:
            write_json(target.sidecar, content)
        return content
    if left_out:
        return None
    staging = clear_staging(target)
    for name in sidecar["files"]:
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.directory / name, staging / name)
    if hash_files(staging) != sidecar["files"]:
        drop_staging(target)
        raise JournalLauncherError(
            f"{source.directory}: the model changed while it was copied; repeat the command"
        )
    return publish(target, stage(target, content))


def leave_out(paths: StudyPaths, sidecar: dict[str, Any]) -> None:
    """Keep what the sidecar and the diagnostics say of the published model, and remove the model.

    The next comparison judges it again without training it.
    """
    write_json(paths.sidecar, {**sidecar, "files": {}, "left_out": True})
    for path in paths.directory.glob("best_model*"):
        if path != paths.sidecar:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def model_path(paths: StudyPaths, sidecar: Mapping[str, Any] | None) -> Path | None:
    """The model file, the folder that `save_best` wrote, or the sidecar with the parameters."""
    if sidecar is None:
        return None
    names = {Path(name).parts[0] for name in sidecar["files"]}
    return paths.directory / min(names) if names else paths.sidecar


def hash_files(directory: Path) -> dict[str, str]:
    """sha256 of every file below `directory` but our manifest; each is fsynced on the way."""
    return {
        str(path.relative_to(directory)): _sha256(path, sync=True) or ""
        for path in sorted(_plain_files(directory))
        if path != directory / _MANIFEST
    }


def _plain_files(directory: Path) -> Iterator[Path]:
    for path in directory.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise JournalLauncherError(
                f"expected files and folders in the staged best model, found {path}"
            )
        if path.is_file():
            yield path


def _matching(sidecar: Path, directory: Path, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    content = _read(sidecar, wanted)
    if content is None:
        return None
    whole = all(_sha256(directory / name) == sha for name, sha in content["files"].items())
    return content if whole else None


def _read(path: Path, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        content = read_json(path, SCHEMA_VERSION)
    except (FileNotFoundError, ValueError):
        return None
    same = all(content.get(key) == value for key, value in wanted.items())
    return content if same and isinstance(content.get("files"), dict) else None


def _sha256(path: Path, *, sync: bool = False) -> str | None:
    """Hash of a file; None if there is none."""
    try:
        with open(path, "rb") as file:
            if sync:
                os.fsync(file.fileno())
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
