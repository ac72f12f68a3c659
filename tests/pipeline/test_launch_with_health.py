"""Launches with a verdict: what is counted, what is skipped, and what a damaged registry costs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launcher.harness import Workshop

from journal_launcher.__main__ import main
from journal_launcher.base import events
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.launcher.launch import OnPublished
from journal_launcher.pipeline.launch_with_health import launch_with_health
from journal_launcher.settings.launch_settings import LaunchSettings

ONCE = {"skip": {"critical_results": 1}}


def noise(shop: Workshop) -> str:
    """A table whose target nothing explains: no model is better than its mean."""
    table = np.random.default_rng(0).normal(size=(60, 13))
    header = ",".join([*(f"x{n}" for n in range(12)), "y"])
    np.savetxt(shop.folder / "noise.csv", table, delimiter=",", header=header, comments="")
    return str(shop.folder / "noise.csv")


def launch(shop: Workshop, **options: Any) -> Any:
    given = {"model_type": "linear", "k_folds": 3, "n_trials": 1, "objective": None, **options}
    return shop.launch(**given)


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


def test_a_model_that_loses_to_a_dummy_is_critical_counted_and_then_skipped(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"data": noise(workshop), "target": "y", **ONCE}
    sick = launch(workshop, **data)
    assert (sick.exit_code, sick.exit_reason, sick.health) == (0, "complete", "critical")
    assert workshop.of(events.LaunchEnded)[0].health.why.startswith("better_than_dummy")
    assert workshop.sidecar()["files"].keys() == {"best_model.skops", "training_diagnostics.json"}
    folder = ["--studies-dir", str(workshop.paths.folder)]
    assert command("health", "study", *folder) == 1
    assert "critical better_than_dummy" in capsys.readouterr().out

    before = sorted(workshop.paths.folder.rglob("*"))
    skipped = launch(workshop, study_name="another", **data)
    assert (skipped.exit_code, skipped.exit_reason, skipped.model_path) == (0, "skipped", None)
    assert "noise.csv (y): skipped until 20" in skipped.message and "\n" not in skipped.message
    assert [type(event) for _, event in workshop.seen] == [events.LaunchEnded]
    assert sorted(workshop.paths.folder.rglob("*")) == before, "no study was opened"

    again = launch(workshop, ignore_skip=True, **data)
    assert (again.exit_code, again.exit_reason, again.health) == (0, "complete", "critical")
    assert command("skip", "list", *folder) == 0
    assert "1 critical in a row: better_than_dummy" in capsys.readouterr().out, "counted once"
    assert command("skip", "clear", "--model-type", "linear", *folder) == 0
    assert command("skip", "list", *folder) == 0
    assert capsys.readouterr().out.startswith("forgotten: linear on ")
    assert not StudiesFolder(workshop.paths.folder).study("another").journal.exists()


def test_a_sound_model_is_ok_and_a_command_says_so(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(workshop, n_trials=2).health == "ok"
    assert list(workshop.paths.folder.rglob("*diagnostics*")) == [workshop.paths.diagnostics]
    folder = ["--studies-dir", str(workshop.paths.folder)]
    assert command("health", "study", "--json", *folder) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["study"], verdict["level"], verdict["reason"]) == ("study", "ok", None)
    names = [finding["name"] for finding in verdict["findings"]]
    assert names == ["non_finite", "better_than_dummy", "unused_features"]
    assert set(verdict["findings"][0]) == {"name", "level", "value", "threshold", "text"}
    (workshop.folder / "my.toml").write_text("[health]\nunused_features = [0.0, 0.0]\n")
    assert command("health", "study", "--config", "my.toml", *folder) == 1
    # Diagnostics that are gone are no failure; those of another model say nothing.
    workshop.paths.diagnostics.unlink()
    capsys.readouterr()
    assert command("health", "study", *folder) == 0
    assert (
        capsys.readouterr().out == "study  absent: no training_diagnostics.json beside the model\n"
    )


# --- with a launch that only pretends


class Pretended:
    """Publishes a critical result at once, as launch `launch`."""

    def __init__(self, folder: Path, launch: str = "l1") -> None:
        self.settings = LaunchSettings(
            model_type="linear",
            studies_dir=str(folder),
            study_name="s",
            skip={"critical_results": 2},
        )
        self.paths = StudiesFolder(folder).study("s")
        self.sidecar = {"schema_version": 1, "kind": "table", "trial": 0, "launch": launch}
        self.sidecar |= {"model_file": "m", "files": {"m": "abc"}}
        self.started = False

    def __call__(
        self, settings: LaunchSettings, emit: events.Listener, on_published: OnPublished
    ) -> events.LaunchEnded:
        self.started = True
        self.paths.directory.mkdir(exist_ok=True)
        self.paths.sidecar.write_text(json.dumps(self.sidecar))
        scores = {"metric": "r2", "direction": "maximize", "cv": -1.0, "dummy": 0.0}
        content = {"schema_version": 1, "trial": 0, "model_sha256": "abc", "model_type": "linear"}
        content |= {"task": "regression", "scores": scores, "non_finite": []}
        content |= {"training": {"errors": None, "unit": "round", "limit": 1}}
        self.paths.diagnostics.write_text(json.dumps(content))
        return events.LaunchEnded(
            study="s",
            exit_reason="complete",
            exit_code=0,
            n_trials=1,
            journal=self.paths.journal,
            n_finished=1,
            directions=("maximize",),
            metric="r2",
            sidecar=Sidecar.from_json(self.sidecar),
            health=on_published(),
        )

    def run(self, seen: list[events.Event] | None = None, **options: Any) -> events.LaunchEnded:
        listen = (lambda event: None) if seen is None else seen.append
        return launch_with_health(replace(self.settings, **options), listen, self)


def test_the_result_that_starts_a_skip_says_so(tmp_path: Path) -> None:
    seen: list[events.Event] = []
    for launch in ("l1", "l1", "l2"):
        ended = Pretended(tmp_path, launch).run(seen)
        assert ended.health is not None and ended.health.level == "critical"
    notes = [event.text for event in seen if isinstance(event, events.Note)]
    assert len(notes) == 1 and "2 critical in a row" in notes[0]
    third = Pretended(tmp_path, "l3")
    assert third.run().exit_reason == "skipped" and not third.started


def test_another_table_or_type_is_not_skipped(tmp_path: Path) -> None:
    for launch in ("l1", "l2"):
        Pretended(tmp_path, launch).run()
    assert Pretended(tmp_path, "l3").run(data="sklearn:wine").exit_reason == "complete"
    assert Pretended(tmp_path, "l4").run(model_type="catboost").exit_reason == "complete"


def test_a_damaged_registry_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "skip_registry.json").write_text("{")
    launch = Pretended(tmp_path)
    with pytest.raises(UsageError, match="skip registry cannot be read"):
        launch.run()
    assert not launch.started


def test_a_damaged_registry_costs_no_published_model(tmp_path: Path) -> None:
    (tmp_path / "skip_registry.json").write_text("{")
    seen: list[events.Event] = []
    ended = Pretended(tmp_path).run(seen, ignore_skip=True)
    assert ended.health is not None
    notes = [event for event in seen if isinstance(event, events.Note)]
    assert len(notes) == 1 and notes[0].level == "warning"
    assert notes[0].text.startswith("this result was not counted: ")
    assert (tmp_path / "skip_registry.json").read_text() == "{"


def test_an_objective_of_the_users_own_is_not_judged(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n")
    (workshop.paths.folder).mkdir()
    (workshop.paths.folder / "skip_registry.json").write_text("{")
    result = workshop.launch(n_trials=1)
    assert (result.exit_code, result.health) == (0, None)
