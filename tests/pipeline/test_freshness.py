"""Is a published model still what its inputs give? Fingerprints decide, times only ask."""

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launcher.harness import Workshop

from journal_launcher.pipeline import freshness as module
from journal_launcher.pipeline.freshness import CHANGED, FRESH, MISSING, STALE, freshness
from journal_launcher.settings.launch_settings import LaunchSettings

TABLE = {"model_type": "linear", "k_folds": 3, "target": "y", "gpus": "none", "confirm": 0}


def table(seed: int) -> str:
    x = np.random.default_rng(seed).normal(size=(60, 3))
    rows = np.column_stack([x, x[:, 0] + 0.1 * x[:, 1]])
    return "\n".join(["a,b,c,y", *(",".join(f"{v:.6f}" for v in row) for row in rows), ""])


def settings(shop: Workshop, **options: Any) -> LaunchSettings:
    where = {"studies_dir": str(shop.paths.folder), "study_name": "study", "n_trials": 2}
    return LaunchSettings(**{"data": "t.csv.gz", **TABLE, **where, **options})


def write(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))


def test_a_model_is_fresh_until_data_settings_best_trial_or_counts_say_otherwise(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = workshop.folder / "t.csv.gz"
    write(data, table(0))
    os.utime(data, (1e9, 1e9))
    before = freshness(workshop.paths, settings(workshop))
    assert (before.state, before.reason) == (MISSING, "no study yet")
    options = {key: value for key, value in TABLE.items() if key != "gpus"}
    assert workshop.launch(objective=None, data="t.csv.gz", **options).exit_code == 0
    files = sorted(workshop.paths.folder.rglob("*"))

    found = freshness(workshop.paths, settings(workshop))
    assert found.state == FRESH
    published = workshop.sidecar()["started"]
    assert "data of 20" in found.reason and f"model of {published}" in found.reason
    assert sorted(workshop.paths.folder.rglob("*")) == files, "nothing is written"
    judging = settings(workshop, skip={"hours": 1}, ignore_skip=True, timeout=9.0)
    assert freshness(workshop.paths, judging).state == FRESH

    more = freshness(workshop.paths, settings(workshop, n_trials=3))
    assert more.state == STALE and more.reason.startswith("2 trials finished")
    other = freshness(workshop.paths, settings(workshop, k_folds=4))
    assert (other.state, other.reason) == (CHANGED, "made with other settings: k_folds")

    # Older data is not even opened; newer data is, and its text counts, not its time or bytes.
    opened: list[str] = []
    real = module.fingerprint
    monkeypatch.setattr(module, "fingerprint", lambda data: opened.append(data) or real(data))
    sidecar = workshop.paths.sidecar
    sidecar.write_text(sidecar.read_text().replace(published, "2100-01-01T00:00:00Z"))
    assert freshness(workshop.paths, settings(workshop)).state == FRESH and not opened
    sidecar.write_text(sidecar.read_text().replace("2100-01-01T00:00:00Z", published))
    data.write_bytes(gzip.compress(table(0).encode(), compresslevel=1))
    assert freshness(workshop.paths, settings(workshop)).state == FRESH and opened
    write(workshop.folder / "other.gz", table(1))
    os.utime(workshop.folder / "other.gz", (1e9, 1e9))
    shutil.copy2(workshop.folder / "other.gz", data)  # keeps the old modification time
    changed = freshness(workshop.paths, settings(workshop))
    assert changed.state == CHANGED and changed.reason.startswith("made from other data (data of")
    write(data, table(0))

    study = workshop.study()
    best = study.best_trial
    attributes = {**best.user_attrs, "jl_epochs": 1}
    from optuna import create_trial

    study.add_trial(
        create_trial(
            params=best.params,
            distributions=best.distributions,
            values=[best.value + 1],
            user_attrs=attributes,
        )
    )
    better = freshness(workshop.paths, settings(workshop))
    assert better.state == STALE and better.reason.startswith("the best trial is another one")
    sidecar.unlink()
    gone = freshness(workshop.paths, settings(workshop))
    assert gone.state == STALE and gone.reason.startswith("no model of this study")


def test_a_path_with_dots_is_the_same_path(workshop: Workshop) -> None:
    write(workshop.folder / "t.csv.gz", table(0))
    data = f"../{workshop.folder.name}/t.csv.gz"
    options = {key: value for key, value in TABLE.items() if key != "gpus"}
    assert workshop.launch(objective=None, data=data, **options).exit_code == 0
    assert freshness(workshop.paths, settings(workshop, data=data)).state == FRESH
    whole = (workshop.folder / "t.csv.gz").read_bytes()
    (workshop.folder / "t.csv.gz").write_bytes(whole[:-20])
    assert freshness(workshop.paths, settings(workshop, data=data)).state == FRESH, "unreadable"
