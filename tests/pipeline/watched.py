"""Launches that end as a test says, for the tests of `watch`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from journal_launcher.base import events
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.health.decisions import Decision, decisions
from journal_launcher.launcher import model_store
from journal_launcher.launcher.launch import OnPublished
from journal_launcher.pipeline.watch import watched_launch
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.study import SETTINGS_ATTRIBUTE, StudyHandle

HEALTHY = {"cv": 1.0}
WARNED = {"cv": 1.0, "dead": 0.3}
SICK = {"cv": 1.0, "dead": 0.9}
WORSE_THAN_DUMMY = {"cv": -1.0}


class Launches:
    """Stands in for `run_launch`: writes a study, a model and its diagnostics as `will` says.

    What is asked for beyond the list is as its last entry says.
    """

    def __init__(self, folder: Path, *will: Any) -> None:
        self.settings = LaunchSettings(studies_dir=str(folder), study_name="s")
        self.folder, self.will = folder, list(will)
        self.ran: list[LaunchSettings] = []
        self.seen: list[events.Event] = []

    def __call__(
        self,
        settings: LaunchSettings,
        emit: events.Listener,
        on_published: OnPublished | None = None,
        limit: float | None = None,
    ) -> events.LaunchEnded:
        will = self.will[min(len(self.ran), len(self.will) - 1)]
        self.ran.append(settings)
        paths = StudiesFolder(self.folder).study(settings.name)
        paths.directory.mkdir(exist_ok=True)
        if isinstance(will, Exception):
            raise will
        self._study(paths, settings)
        sidecar = None if isinstance(will, int) else self._model(paths, settings, will)
        return events.LaunchEnded(
            settings.name,
            "failed" if sidecar is None else "complete",
            will if sidecar is None else 0,
            n_trials=1,
            journal=paths.journal,
            n_finished=1,
            directions=("maximize",),
            metric="r2",
            model_path=model_store.model_path(paths, sidecar),
            message="no trial completed" if sidecar is None else None,
            sidecar=sidecar,
            health=None if sidecar is None or on_published is None else on_published(),
        )

    def _study(self, paths: StudyPaths, settings: LaunchSettings) -> None:
        paths.journal.unlink(missing_ok=True)
        study = StudyHandle.create(
            open_storage(paths.journal, create=True),
            paths.name,
            {"directions": ["maximize"], "data_sha256": "abc"},
        )
        study.remember(SETTINGS_ATTRIBUTE, {**settings.of_trials(), "data": settings.data})

    def _model(self, paths: StudyPaths, settings: LaunchSettings, will: Any) -> Sidecar:
        staging = model_store.clear_staging(paths)
        (staging / "best_model.cbm").write_text(paths.name)
        digest = model_store.hash_files(staging)["best_model.cbm"]
        scores = {"metric": "r2", "direction": "maximize", "cv": will["cv"], "dummy": 0.0}
        diagnostics = {"schema_version": 1, "trial": 0, "model_sha256": digest, "non_finite": []}
        diagnostics |= {"task": "regression", "model_type": settings.model_type, "scores": scores}
        diagnostics |= {"training": {"errors": None, "unit": "round", "limit": 1}}
        diagnostics |= {"network": {"dead_units": will.get("dead")}}
        (staging / "training_diagnostics.json").write_text(json.dumps(diagnostics))
        content = {"kind": "table", "trial": 0, "params": {}, "refit": "train", "study": paths.name}
        content |= {"identity_sha256": "x", "launch": f"l{len(self.ran)}", "n_finished": 1}
        content |= {"model_file": "best_model.cbm", "started": "2020-01-01T00:00:00Z"}
        return model_store.publish(paths, model_store.stage(paths, Sidecar.from_json(content)))

    def watch(self, retries: int = 2, **options: Any) -> events.LaunchEnded:
        settings = replace(self.settings, **options)
        return watched_launch(settings, self.seen.append, self, retries=retries)

    def decided(self) -> list[Decision]:
        return list(decisions(StudiesFolder(self.folder).study("s").decisions))

    def words(self) -> list[str]:
        return [decision.decision for decision in self.decided()]
