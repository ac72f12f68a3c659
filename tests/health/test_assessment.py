"""From diagnostics to findings: the documented thresholds, and files that say nothing."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from journal_launcher.base.artifacts.diagnostics import Diagnostics
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudyPaths
from journal_launcher.health.assessment import assess_health
from journal_launcher.health.findings import against_baselines, findings_in
from journal_launcher.settings.limits import HealthLimits, Limits

SOUND: dict[str, Any] = {
    "schema_version": 1,
    "study": "s",
    "trial": 4,
    "model_sha256": "abc",
    "model_type": "neural_net",
    "task": "regression",
    "scores": {"metric": "r2", "direction": "maximize", "cv": 0.5, "train": 0.6, "dummy": -0.01},
    "training": {
        **{"unit": "epoch", "steps": 60, "limit": 100, "overfit_ratio": 1.1},
        "errors": {"validation": 1.1, "training": 1.0},
    },
    "network": {"dead_units": 0.1, "gradient_spread": 12.0},
    "importance": {"error": 1.0, "increase": {"a": 0.4, "b": 0.2}, "not_scored": []},
    "non_finite": [],
}
NAMES = ["non_finite", "better_than_dummy", "overfit_ratio", "epochs_used", "dead_units"]
NAMES += ["gradient_spread", "unused_features"]


def but(**sections: Any) -> dict[str, Any]:
    """SOUND with other values in its sections."""
    changed = copy.deepcopy(SOUND)
    for name, section in sections.items():
        changed[name] = {**changed[name], **section} if isinstance(section, dict) else section
    return changed


def levels(diagnostics: dict[str, Any], limits: HealthLimits | None = None) -> dict[str, str]:
    found = findings_in(Diagnostics.from_json(diagnostics), limits or HealthLimits())
    assert all(finding.text for finding in found)
    return {finding.name: finding.level for finding in found}


def unused(count: int) -> dict[str, Any]:
    """Ten features, of which the model needs all but `count`."""
    return {"increase": {f"x{n}": 0.0009 if n < count else 0.1 for n in range(10)}}


def test_a_sound_training_has_a_finding_for_everything() -> None:
    assert levels(SOUND) == dict.fromkeys(NAMES, "ok")


@pytest.mark.parametrize(
    ("name", "sections", "level"),
    [
        ("dead_units", {"network": {"dead_units": 0.249}}, "ok"),
        ("dead_units", {"network": {"dead_units": 0.25}}, "warning"),
        ("dead_units", {"network": {"dead_units": 0.5}}, "critical"),
        ("gradient_spread", {"network": {"gradient_spread": 99.0}}, "ok"),
        ("gradient_spread", {"network": {"gradient_spread": 100.0}}, "warning"),
        ("gradient_spread", {"network": {"gradient_spread": 1000.0}}, "critical"),
        ("overfit_ratio", {"training": {"errors": {"validation": 1.29, "training": 1}}}, "ok"),
        ("overfit_ratio", {"training": {"errors": {"validation": 1.3, "training": 1}}}, "warning"),
        ("overfit_ratio", {"training": {"errors": {"validation": 1.5, "training": 1}}}, "critical"),
        ("epochs_used", {"training": {"steps": 30}}, "ok"),
        ("epochs_used", {"training": {"steps": 29}}, "warning"),
        ("epochs_used", {"training": {"steps": 15}}, "warning"),
        ("epochs_used", {"training": {"steps": 14}}, "critical"),
        ("unused_features", {"importance": unused(3)}, "ok"),
        ("unused_features", {"importance": unused(4)}, "warning"),
        ("unused_features", {"importance": unused(7)}, "critical"),
        ("better_than_dummy", {"scores": {"cv": -0.01}}, "critical"),
        ("better_than_dummy", {"scores": {"direction": "minimize"}}, "critical"),
        ("better_than_dummy", {"scores": {"direction": "minimize", "cv": -0.02}}, "ok"),
        ("non_finite", {"non_finite": ["curves.training[3]"]}, "critical"),
    ],
)
def test_thresholds(name: str, sections: dict[str, Any], level: str) -> None:
    assert levels(but(**sections)) == {**dict.fromkeys(NAMES, "ok"), name: level}


def beaten(sidecar: dict[str, Any]) -> list[tuple[str, str, float, float]]:
    found = against_baselines(Sidecar.from_json(sidecar))
    return [(each.name, each.level, each.value, each.threshold) for each in found]


def test_what_a_linear_model_does_better_is_a_warning_here_too() -> None:
    by_name = {"dummy": {"score": 0.0, "confirmed_score": 0.3}, "linear": {"score": 0.5}}
    sidecar = {"model_type": "neural_net", "metric": "r2", "value": 0.5}
    sidecar |= {"directions": ["maximize"], "baselines": by_name}
    lost = ("better_than_linear", "warning", 0.5, 0.5)
    assert beaten(sidecar) == [("better_than_dummy", "ok", 0.5, 0.0), lost]
    assert beaten({**sidecar, "model_type": "linear"}) == [("better_than_dummy", "ok", 0.5, 0.0)]
    assert beaten({**sidecar, "value": 0.6})[1][1] == "ok"
    assert beaten({**sidecar, "directions": ["minimize"], "value": 0.4})[1][1] == "ok"
    fresh = beaten({**sidecar, "confirmed_score": 0.25})
    assert fresh == [("better_than_dummy", "critical", 0.25, 0.3)]
    assert beaten({}) == []


@pytest.mark.parametrize(
    ("by_fold", "level"),
    [
        ([0.6, 0.2, 0.5, 0.7, 0.45], "ok"),  # 0.01 worse than linear, 0.2 up and down
        ([0.44, 0.43, 0.42, 0.41, 0.45], "warning"),  # 0.07 worse, in every fold
        ([0.44], "warning"),
        ([], "warning"),
    ],
)
def test_worse_than_linear_by_no_more_than_chance_is_no_warning(
    by_fold: list[float], level: str
) -> None:
    linear = {"score": 0.5, "fold_scores": [0.5, 0.5, 0.5, 0.49, 0.51]}
    sidecar = {"model_type": "neural_net", "metric": "r2", "value": 0.49, "fold_scores": by_fold}
    sidecar |= {"directions": ["maximize"], "baselines": {"linear": linear}}
    (found,) = against_baselines(Sidecar.from_json(sidecar))
    assert found.level == level and "does not beat a linear model" in found.text
    assert found.text.endswith("by no more than chance: that simpler one would do") == (
        level == "ok"
    )


def test_a_finding_names_value_and_threshold() -> None:
    sick = Diagnostics.from_json(but(network={"dead_units": 0.6}))
    found = {f.name: f for f in findings_in(sick, HealthLimits())}
    assert (found["dead_units"].value, found["dead_units"].threshold) == (0.6, 0.5)
    assert (found["gradient_spread"].value, found["gradient_spread"].threshold) == (12.0, 100.0)


def test_classes_compare_log_losses_by_their_difference() -> None:
    """25 times the training loss of next to nothing is no overfitting."""
    errors = {"errors": {"validation": 0.08, "training": 0.003}, "overfit_ratio": 26.0}
    assert levels(but(task="classification", training=errors))["overfit_ratio"] == "ok"
    errors = {"errors": {"validation": 0.9, "training": 0.3}, "overfit_ratio": 3.0}
    assert levels(but(task="classification", training=errors))["overfit_ratio"] == "critical"


def test_boosted_trees_may_overfit_and_end_early() -> None:
    training = {"unit": "round", "steps": 40, "limit": 1500}
    training |= {"errors": {"validation": 2, "training": 1}}
    trees = but(model_type="catboost", training=training)
    del trees["network"]
    assert levels(trees) == dict.fromkeys(["non_finite", NAMES[1], NAMES[-1]], "ok")


def test_what_was_not_measured_is_not_judged() -> None:
    partial = but(training={"errors": None, "limit": None}, scores={"dummy": None})
    partial["importance"] = {"error": None, "increase": {"a": None}, "not_scored": []}
    del partial["network"]
    assert levels(partial) == {"non_finite": "ok"}
    few = but(importance={"increase": {"a": 0.0}, "not_scored": [str(n) for n in range(60)]})
    assert "unused_features" not in levels(few)


def test_a_user_sets_other_limits() -> None:
    strict = Limits.of({"dead-units": [0.01, 0.05]}).health
    assert levels(SOUND, strict)["dead_units"] == "critical"
    assert levels(SOUND, strict)["gradient_spread"] == "ok"


# --- from the files of a study


def published(folder: Path, diagnostics: dict[str, Any] | None, **more: Any) -> StudyPaths:
    paths = StudyPaths(folder, "s")
    paths.directory.mkdir()
    sidecar = {"schema_version": 1, "kind": "table", "trial": 4, "launch": "l1", **more}
    sidecar = {"model_file": "best_model.cbm", "files": {"best_model.cbm": "abc"}, **sidecar}
    paths.sidecar.write_text(json.dumps(sidecar))
    if diagnostics is not None:
        paths.diagnostics.write_text(json.dumps(diagnostics))
    return paths


def test_a_study_is_as_healthy_as_its_worst_finding(tmp_path: Path) -> None:
    sick = but(network={"dead_units": 0.3}, scores={"cv": -0.5})
    verdict = assess_health(published(tmp_path, sick))
    assert (verdict.level, verdict.result) == ("critical", "l1")
    bad = [finding.name for finding in verdict.findings if finding.level != "ok"]
    assert bad == ["better_than_dummy", "dead_units"]
    assert verdict.why == "better_than_dummy -0.5 (limit -0.01)"
    assert json.loads(json.dumps(verdict.to_json()))["level"] == "critical"


@pytest.mark.parametrize(
    ("diagnostics", "reason"),
    [
        (None, "no training_diagnostics.json"),
        (but(model_sha256="other"), "belongs to another model"),
        (but(trial=3), "belongs to another model"),
        ({**SOUND, "failed": "MemoryError: no room"}, "MemoryError: no room"),
        ({**SOUND, "schema_version": 99}, "schema_version 99"),
        ({"schema_version": 1, "model_sha256": "abc", "trial": 4, "scores": 3}, "expected"),
        ({"schema_version": 1, "model_sha256": "abc", "trial": 4}, "expected non_finite"),
        ({**SOUND, "network": None}, "no valid network"),
        (but(scores={"cv": "x"}), "no valid scores.cv"),
        (but(training={"steps": 10**400}), "no valid training.steps"),
        (but(training={"steps": None}), "expected training.steps"),
        (but(training={"errors": {"validation": None}}), "expected training.errors.validation"),
    ],
)
def test_without_diagnostics_of_this_model_nothing_is_judged(
    tmp_path: Path, diagnostics: dict[str, Any] | None, reason: str
) -> None:
    verdict = assess_health(published(tmp_path, diagnostics))
    assert verdict.level == "absent" and verdict.findings == ()
    assert reason in str(verdict.reason)


def test_a_scripts_model_has_none(tmp_path: Path) -> None:
    assert assess_health(published(tmp_path, None, kind="objective")).level == "absent"


def test_without_a_model_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no study s in"):
        assess_health(StudyPaths(tmp_path, "s"))
    (tmp_path / "s").mkdir()
    with pytest.raises(UsageError, match="no model"):
        assess_health(StudyPaths(tmp_path, "s"))


def test_what_cannot_be_read_is_no_traceback(tmp_path: Path) -> None:
    paths = published(tmp_path, None)
    paths.diagnostics.mkdir()
    assert assess_health(paths).level == "absent"
    paths.sidecar.unlink()
    paths.sidecar.mkdir()
    with pytest.raises(UsageError, match="found a folder"):
        assess_health(paths)
