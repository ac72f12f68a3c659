"""Whose is NAME/: what says that a folder is a study's, and what does not."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudyPaths
from journal_launcher.health.decisions import Decision, Word
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.folder import check_folder
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.lease import Lease
from journal_launcher.study.study import StudyHandle


@pytest.fixture
def paths(tmp_path: Path) -> StudyPaths:
    return StudyPaths(tmp_path, "mine")


def put(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def begin(paths: StudyPaths, name: str, identity: dict[str, Any]) -> None:
    storage = open_storage(paths.journal, create=True)
    if identity:
        StudyHandle.create(storage, name, {"directions": ["minimize"], **identity})


def settings(**given: Any) -> dict[str, Any]:
    return {**LaunchSettings(**given).to_json(), "of_another_version": 1}


OURS: dict[str, Callable[[StudyPaths], None]] = {
    "no folder": lambda p: None,
    "an empty one": lambda p: p.directory.mkdir(),
    "a launch that died at once": lambda p: (
        put(p.worker_log(0), ""),
        put(p.worker_log(11), ""),
        put(p.lease, {"pid": 1}),
    ),
    "the lease": lambda p: (put(p.lease, {"study": "mine"}), put(p.trial_folder(1) / "x", 1)),
    "launch.json": lambda p: put(p.launch_record, {"study": "mine"}),
    "an older launch.json": lambda p: put(
        p.launch_record, {"settings": settings(study_name="mine")}
    ),
    "one with a default name": lambda p: put(
        p.launch_record, {"settings": settings(data="a/mine.csv", target="y", compare_models=True)}
    ),
    "a sidecar": lambda p: put(p.sidecar, {"study": "mine"}),
    "a comparison's": lambda p: put(
        p.sidecar, {"study": "mine_linear", "comparison": {"name": "mine"}}
    ),
    "a watcher's decisions": lambda p: (
        p.directory.mkdir(),
        Decision(Word.RETRY, "", 0, "mine").append_to(p.decisions),
    ),
}


@pytest.mark.parametrize("what", OURS)
def test_a_folder_is_the_studys_by(paths: StudyPaths, what: str) -> None:
    """And whatever the user has put beside does not matter."""
    OURS[what](paths)
    check_folder(paths)
    if any(paths.folder.iterdir()) and what not in ("an empty one", "a launch that died at once"):
        put(paths.directory / "notes.txt", "mine")
        check_folder(paths)


def other(paths: StudyPaths) -> None:
    put(paths.launch_record, {"study": "another"})


FOREIGN: dict[str, Callable[[StudyPaths], None]] = {
    "a folder that took the place of the study's": lambda p: (
        begin(p, "mine", {"kind": "own"}),
        put(p.trial_folder(0) / "x", ""),
    ),
    "a file": lambda p: put(p.directory / "thesis.tex", ""),
    "a model": lambda p: put(p.directory / "best_model.cbm", ""),
    "trials": lambda p: put(p.trial_folder(0) / "x", ""),
    "staging": lambda p: put(p.staging / "best_model", ""),
    "workers of the user's own": lambda p: put(p.workers / "code.py", ""),
    "a copied study": other,
    "a copied study of an older version": lambda p: put(
        p.launch_record, {"settings": settings(study_name="another")}
    ),
    "a copied sidecar": lambda p: put(p.sidecar, {"study": "another"}),
    "JSON that is none": lambda p: (p.directory.mkdir(), p.sidecar.write_text("[")),
    "JSON of another kind": lambda p: put(p.launch_record, {"settings": [], "study": None}),
    "a lease of another": lambda p: (put(p.lease, {"study": "another"}), put(p.trials, 1)),
    "a journal of stock Optuna": lambda p: (begin(p, "mine", {}), put(p.directory / "x", 1)),
    "a journal of another study": lambda p: (
        begin(p, "another", {"kind": "own"}),
        put(p.directory / "x", 1),
    ),
}


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_folder_of_somebody_else_is_refused_and_untouched(paths: StudyPaths, what: str) -> None:
    FOREIGN[what](paths)
    before = tree(paths.folder)
    with pytest.raises(UsageError, match=r"/mine.*(--study-name|move it away)"):
        Lease(paths.lease, "mine", "launch").__enter__()
    assert tree(paths.folder) == before


BESIDE = ("skip_registry.json", "skip_registry.json.flock", "mine.log.torn", "mine.log.flock")
FILES = (
    *("lease.lock", "launch.json", "best_model.meta.json", "training_diagnostics.json"),
    *("decisions.jsonl", "workers/0.log", "workers/7.log"),
)


def elsewhere(path: Path) -> None:
    (path.parents[0] / "elsewhere").mkdir()
    path.symlink_to(path.parents[0] / "elsewhere")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, dangling, elsewhere])
@pytest.mark.parametrize("name", [*(f"mine/{name}" for name in FILES), *BESIDE])
def test_what_must_be_a_file_and_is_none_is_named(
    paths: StudyPaths, name: str, make: Callable[[Path], None]
) -> None:
    put(paths.lease, {"study": "mine"})
    path = paths.folder / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)
    with pytest.raises(UsageError, match=f"{name}: expected a plain file, found a"):
        Lease(paths.lease, "mine", "launch").__enter__()


ENTRY = f".cache/{'0f' * 32}"


@pytest.mark.parametrize("make", [os.mkfifo, Path.touch, dangling, elsewhere])
@pytest.mark.parametrize("name", ["mine", "mine/workers", "mine/trials", "mine/staging", ENTRY])
def test_what_must_be_a_folder_and_is_none_is_named(
    paths: StudyPaths, name: str, make: Callable[[Path], None]
) -> None:
    path = paths.folder / name
    path.parent.mkdir(exist_ok=True)
    make(path)
    with pytest.raises(UsageError, match=f"{name}: expected a folder, found a"):
        Lease(paths.lease, "mine", "launch").__enter__()
    assert not (paths.folder / "elsewhere" / "lease.lock").exists()


def test_the_cache_itself_may_not_be_a_link(paths: StudyPaths) -> None:
    elsewhere(paths.folder / ".cache")
    with pytest.raises(UsageError, match=r"\.cache: expected a folder, found a symbolic link"):
        check_folder(paths)


def test_the_studies_folder_may_be_a_link_and_so_may_a_model(paths: StudyPaths) -> None:
    (paths.folder / "real").mkdir()
    (paths.folder / "link").symlink_to("real")
    linked = StudyPaths(paths.folder / "link", "mine")
    with Lease(linked.lease, "mine", "launch"):
        linked.best_model_directory.symlink_to(paths.folder)
    check_folder(linked)


def test_a_staging_folder_with_files_of_the_users_own_is_refused(paths: StudyPaths) -> None:
    put(paths.lease, {"study": "mine"})
    put(paths.staging / "best_model.cbm", "ours")
    check_folder(paths)
    put(paths.staging / "thesis.tex", "theirs")
    with pytest.raises(UsageError, match=r"thesis\.tex: expected nothing but a model"):
        check_folder(paths)
