"""One study's model under another name, and what a comparison leaves of the others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.base.artifacts.sidecar import Best, Sidecar
from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.paths import StudyPaths
from journal_launcher.launcher import model_store


def study(folder: Path, name: str) -> StudyPaths:
    return StudyPaths(folder, name)


def publish(paths: StudyPaths, weights: str = "weights", **more: Any) -> Sidecar:
    staging = model_store.clear_staging(paths)
    (staging / "best_model.cbm").write_text(weights)
    (staging / paths.diagnostics.name).write_text("{}")
    content = {"study": paths.name, "identity_sha256": "x", "trial": 0, "params": {}}
    content |= {"refit": "train", **more}
    return model_store.publish(paths, model_store.stage(paths, Sidecar.from_json(content)))


def test_what_is_left_out_keeps_what_is_said_of_it(tmp_path: Path) -> None:
    paths = study(tmp_path, "a")
    sidecar = publish(paths)
    model_store.leave_out(paths, sidecar)
    assert not paths.best_model_file("cbm").exists() and paths.diagnostics.exists()
    found = model_store.read(paths)
    assert found is not None
    assert found.to_json() == {**sidecar.to_json(), "files": {}, "left_out": True}


def test_a_winner_stays_whole_when_its_own_study_was_left_out_meanwhile(tmp_path: Path) -> None:
    """The same comparison again: the winner's model is under the comparison's name only."""
    source, target = study(tmp_path, "a"), study(tmp_path, "all")
    first = model_store.republish(source, target, publish(source), {"n": 1})
    model_store.leave_out(source, model_store.read(source) or Sidecar())
    left_out = model_store.read(source)
    assert left_out is not None and left_out.left_out
    again = model_store.republish(source, target, left_out, {"n": 2})
    assert first is not None and again is not None
    assert again.to_json() == {**first.to_json(), "comparison": {"n": 2}}
    assert model_store.published(target, Best()) == again and "left_out" not in again.to_json()
    assert target.best_model_file("cbm").read_text() == "weights"


def test_what_is_left_out_everywhere_must_be_made_again(tmp_path: Path) -> None:
    source, target = study(tmp_path, "a"), study(tmp_path, "all")
    left_out = replace(publish(source), files={}, left_out=True)
    assert model_store.republish(source, target, left_out) is None
    whole = publish(source)
    model_store.republish(source, target, whole)
    model_store.leave_out(target, model_store.read(target) or Sidecar())
    assert model_store.republish(source, target, left_out) is None
    again = model_store.republish(source, target, whole)
    assert again is not None and model_store.published(target, Best()) == again


def test_a_model_that_another_launch_replaced_is_not_taken_for_it(tmp_path: Path) -> None:
    source, target = study(tmp_path, "a"), study(tmp_path, "all")
    old = publish(source)
    publish(source, "others")
    with pytest.raises(JournalLauncherError, match="changed while it was copied"):
        model_store.republish(source, target, old)
    assert model_store.read(target) is None and not target.staging.exists()
