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
    model_store.clear_staging(paths)
    return publish_staged(paths, weights, **more)


def publish_staged(paths: StudyPaths, weights: str = "weights", **more: Any) -> Sidecar:
    """What is in the staging folder, and a model and its diagnostics beside it."""
    staging = paths.staging
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


FILES = ("best_model.cbm", "best_model.variant2.cbm", "best_model.words.safetensors")


def killed_while_leaving_out(
    paths: StudyPaths, monkeypatch: pytest.MonkeyPatch, step: int
) -> Sidecar:
    """Before the removal of the file of that number; what the sidecar says then."""
    staging = model_store.clear_staging(paths)
    for name in FILES[1:]:
        (staging / name).write_text("weights")
    sidecar = publish_staged(paths)
    remove, calls = model_store._remove_file, []

    def deadly(*given: Any) -> None:
        calls.append(given)
        if len(calls) == step:
            raise KeyboardInterrupt
        remove(*given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(model_store, "_remove_file", deadly)
        model_store.leave_out(paths, sidecar)
    found = model_store.published(paths, Best())
    assert found is not None and found.left_out, "nothing needs to be trained again"
    return found


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("next_one", ["comparison", "publishing"])
def test_what_a_kill_left_of_a_model_that_is_left_out_goes_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, next_one: str
) -> None:
    paths = study(tmp_path, "a")
    found = killed_while_leaving_out(paths, monkeypatch, step)
    (paths.directory / "best_model.variant9.txt").write_text("theirs")
    if next_one == "comparison":
        model_store.leave_out(paths, found)
        assert (model_store.read(paths) or found).files == {}
    else:
        publish(paths)
    names = {path.name for path in paths.directory.glob("best_model*")}
    kept = {"best_model.variant9.txt", "best_model.meta.json"}
    assert names - kept == ({"best_model.cbm"} if next_one == "publishing" else set())
    assert kept <= names


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
