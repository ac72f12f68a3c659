"""What rooms tell each other in JSON: read as far as it is known, written as it was found."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal_launcher.base.artifacts.diagnostics import Diagnostics, Network
from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.sidecar import Best, Confirmed, Counts, Sidecar, TrainedOn
from journal_launcher.base.artifacts.trial_attributes import (
    FoldScores,
    Placed,
    TrialAttributes,
    without_ours,
)
from journal_launcher.base.job_kinds import COMMAND, TABLE, JobKind

KEYS = [name for name in Identity.__dataclass_fields__ if name != "stored"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
# Small at every level: what is large takes ten times as long to draw and has nothing else in it.
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
# Every key that is known, and others, with anything in them.
ANYTHING = st.dictionaries(st.sampled_from(KEYS) | st.text(), JSON)
OLD: dict[str, Any] = {
    **{"schema_version": 1, "kind": "table", "model_type": "linear", "flags": {}},
    **{"data_sha256": "0", "target": "target", "task": "regression", "metric": "r2"},
    **{"directions": ["maximize"], "split": {"kind": "kfold", "k_folds": 5}, "seed": 0},
}


@given(ANYTHING)
def test_whatever_was_found_is_what_is_compared_and_hashed(content: dict[str, Any]) -> None:
    found = Identity.from_json(content)
    assert found.to_json() == content and list(found.to_json()) == list(content)
    text = json.dumps(content, sort_keys=True).encode()
    assert found.sha256 == hashlib.sha256(text).hexdigest()


def test_a_new_one_is_written_as_it_always_was() -> None:
    made = Identity(**OLD)
    assert json.dumps(made.to_json()) == json.dumps(OLD)
    assert Identity.from_json(made.to_json()).to_json() == OLD
    own = {"schema_version": 1, "kind": "command", "command": "sh a.sh {lr}", "value": "last line"}
    own |= {"space": {"lr": "float"}, "directions": ["minimize"], "seed": 3}
    assert json.dumps(Identity(**own).to_json()) == json.dumps(own)


def test_what_it_says_is_read() -> None:
    found = Identity.from_json({**OLD, "newer": 1})
    assert (found.job_kind, found.metric, found.seed, found.split_kind) == (TABLE, "r2", 0, "kfold")
    assert Identity.from_json({"kind": "command"}).job_kind == COMMAND
    assert Identity.from_json({"kind": "later"}).job_kind == JobKind("later")


@pytest.mark.parametrize("odd", [None, True, -1, 10**30, 1.5, [[1]], {"a": 1}, "x" * 100_000])
def test_what_is_of_another_kind_is_as_absent(odd: Any) -> None:
    known = {"seed": None, "directions": None, "metric": None, "data_sha256": None}
    found = Identity.from_json(dict.fromkeys(known, odd))
    assert {name: getattr(found, name) for name in known} == known
    assert Identity.from_json({**OLD, "split": odd}).split_kind is None
    assert Identity.from_json({**OLD, "split": {"kind": odd}}).split_kind is None


# --- of a trial

PLACED = {
    **{"jl_worker": 1, "jl_device": "GPU 0", "jl_device_uuid": "GPU-1"},
    **{"jl_device_status": "ok", "jl_threads": 4},
}
SCORED: dict[str, Any] = {
    **{"jl_fold_scores": [0.5, 1.0], "jl_train_scores": [0.5, 0.5], "jl_steps": 3},
    **{"jl_overfit_ratio": None, "jl_errors": {"training": 1.0, "validation": 2.0}},
}
ATTRIBUTES = {**PLACED, **SCORED, "jl_duration_s": 1.5, "jl_fail_reason": "because"}


@given(st.dictionaries(st.sampled_from(sorted(ATTRIBUTES)) | st.text(), JSON))
def test_attributes_of_any_writer_stay_what_they_are(content: dict[str, Any]) -> None:
    assert TrialAttributes.from_json(content).to_json() == content


def test_attributes_are_read_and_written_as_they_always_were() -> None:
    found = TrialAttributes.from_json({**ATTRIBUTES, "mine": 1})
    assert json.dumps(found.placed.to_json()) == json.dumps(PLACED)
    assert json.dumps(found.scored.to_json()) == json.dumps(SCORED)
    assert (found.duration_s, found.fail_reason, found.scored.refittable) == (1.5, "because", True)
    assert without_ours({**ATTRIBUTES, "mine": 1}) == {"mine": 1}
    cpu = {**PLACED, "jl_device_uuid": None}
    assert Placed.from_json(cpu).to_json() == cpu
    foreign = TrialAttributes.from_json({"mine": 1})
    assert (foreign.placed, foreign.scored, foreign.duration_s) == (Placed(), FoldScores(), None)


def test_steps_have_one_name_and_older_trials_another() -> None:
    older = {("jl_epochs" if name == "jl_steps" else name): SCORED[name] for name in SCORED}
    found = FoldScores.from_json(older)
    assert found.steps == 3 and found.refittable and found.to_json() == SCORED
    assert FoldScores.from_json({**older, "jl_steps": 4}).steps == 4


@pytest.mark.parametrize("odd", [None, True, -1, 1e308, 10**400, "x", [], ["x"], {}])
@pytest.mark.parametrize("name", ["jl_steps", "jl_fold_scores", "jl_train_scores"])
def test_a_trial_that_lacks_what_a_refit_needs_is_no_candidate(name: str, odd: Any) -> None:
    refittable = odd == [] and name != "jl_steps"
    assert FoldScores.from_json({**SCORED, name: odd}).refittable == refittable


# --- of a published model

BEST: dict[str, Any] = {
    **{"study": "s", "identity_sha256": "ab", "refit": "train", "trial": 4},
    **{"params": {"x": 1.0}, "value": 0.5},
}
SIDECAR: dict[str, Any] = {
    **{"schema_version": 1, "kind": "table", "model_type": "linear", "metric": "r2"},
    **{"trial": 4, "params": {"x": 1.0}, "value": 0.5, "fold_scores": [0.4, 0.6]},
    **{"holdout_metrics": {"r2": 0.4, "mae": None}, "holdout_interval": [None, 0.5]},
    **{"refit": "train", "seeds": {"study": 7}, "model_file": "best_model.skops"},
    **{"data_sha256": "0", "device": "CPU", "device_uuid": None, "versions": {"python": "3"}},
    **{"command_line": "a b", "launch": "l", "started": "2020", "published": "2021"},
    **{"part_of": None, "busy": [1.0], "n_finished": 3, "n_failed": 0, "confirmed_score": 0.25},
    **{"confirmed_fold_scores": [0.25], "confirmed_trials": {"4": 0.25}},
    **{"directions": ["maximize"], "baselines": None, "study": "s", "identity_sha256": "ab"},
    **{"files": {"best_model.skops": "abc"}, "comparison": {"name": "all", "reason": "it won"}},
}


@given(st.dictionaries(st.sampled_from([*SIDECAR, "left_out", "pareto_front"]) | st.text(), JSON))
def test_a_sidecar_of_any_writer_stays_what_it_is(content: dict[str, Any]) -> None:
    found = Sidecar.from_json(content)
    assert found.to_json() == content and list(found.to_json()) == list(content)
    changed = replace(found, counts=Counts(5, 6)).to_json()
    assert changed == {**content, "n_finished": 5, "n_failed": 6}
    assert Sidecar.from_json(changed).counts == Counts(5, 6)


def test_the_parts_of_a_sidecar_are_written_as_they_always_were() -> None:
    found = Sidecar.from_json(SIDECAR)
    assert replace(found, stored={}).to_json() == SIDECAR
    assert found.best.to_json() == BEST and found.rows == (7, "0")
    assert found.won == ("all", "it won") and found.job_kind == TABLE
    assert found.holdout.metrics == {"r2": 0.4, "mae": None}
    assert found.holdout.interval == [None, 0.5] and found.confirmed.trials == {"4": 0.25}
    assert found.provenance.part_of is None and found.best.numbers == {4}
    assert replace(found, left_out=True).to_json() == {**SIDECAR, "left_out": True}
    assert replace(replace(found, left_out=True), left_out=None).to_json() == SIDECAR


def test_a_new_key_comes_behind_those_that_are_there_and_null_is_said_where_it_always_was() -> None:
    found = Sidecar.from_json({"kind": "objective", "mine": 1})
    found = replace(found, trained_on=TrainedOn("CPU", None), confirmed=Confirmed(trials={}))
    told = '{"kind": "objective", "mine": 1, "device": "CPU", "device_uuid": null, '
    told += '"confirmed_score": null, "confirmed_fold_scores": null, "confirmed_trials": {}}'
    assert json.dumps(found.to_json()) == told


@pytest.mark.parametrize("old", ["value", "selection_score", "cv_score"])
def test_the_trials_value_has_one_name_and_older_files_others(old: str) -> None:
    assert Best.from_json({old: 0.5}).value == 0.5
    assert Best.from_json({"cv_score": 0.1, "selection_score": 0.2, "value": 0.5}).value == 0.5
    assert Best(value=0.5).to_json() == {"value": 0.5}


def test_a_model_is_the_wanted_one_if_it_agrees_with_all_that_is_asked() -> None:
    found = Sidecar.from_json({**SIDECAR, "selection_score": 0.5, "cv_score": 0.5})
    assert found.is_of(Best()) and found.is_of(Best.from_json(BEST)) and found.is_of(Best(trial=4))
    for name, value in {
        "study": "t",
        "trial": 5,
        "params": {},
        "value": 0.4,
        "refit": "all",
    }.items():
        assert not found.is_of(replace(Best.from_json(BEST), **{name: value}))


@pytest.mark.parametrize("odd", [None, True, -1, 1e308, "x", [1], {"a": [1]}, {"../etc": "0"}])
def test_what_a_sidecar_says_oddly_is_as_absent(odd: Any) -> None:
    assert not Sidecar.from_json({"files": odd}).names_our_files
    assert Sidecar.from_json({"comparison": odd}).won == (None, None)
    assert Sidecar.from_json({"seeds": odd}).rows == (None, None)
    assert Best.from_json({"pareto_front": odd, "trial": odd}).numbers == set()
    assert Sidecar.from_json({"holdout_interval": odd}).holdout.interval is None
    assert Sidecar.from_json({"n_finished": odd, "fold_scores": {}}).counts.n_finished is None


# --- of a training

DIAGNOSTICS: dict[str, Any] = {
    **{"schema_version": 1, "study": "s", "trial": 4, "model_type": "x", "model_sha256": "ab"},
    "task": "regression",
    "scores": {"metric": "r2", "direction": "maximize", "cv": None, "train": 0.6, "dummy": 0.0},
    "training": {
        **{"unit": "epoch", "steps": 60, "limit": None},
        **{"errors": {"validation": 1.1, "training": None}, "overfit_ratio": None},
    },
    "curves": {"training": [1.0, None]},
    "network": {"rows": 5, "layers": [{"name": "a"}], "gradient_spread": 9.0, "dead_units": 0.1},
    "importance": {
        **{"rows": 5, "repeats": 3, "error": 1.0},
        **{"increase": {"y" * 300: 0.4, "b": None}, "not_scored": []},
    },
    "non_finite": ["importance.increase." + "y" * 300],
}
SECTIONS = ["scores", "training", "network", "importance"]
INSIDE = sorted({name for section in SECTIONS for name in DIAGNOSTICS[section]})


@given(
    st.dictionaries(
        st.sampled_from([*DIAGNOSTICS, "failed"]) | st.text(),
        LEAVES | st.dictionaries(st.sampled_from(INSIDE) | st.text(), LEAVES),
    )
)
def test_diagnostics_of_any_writer_stay_what_they_are(content: dict[str, Any]) -> None:
    found = Diagnostics.from_json(content)
    assert found.to_json() == content and list(found.to_json()) == list(content)
    assert all(name.split(".")[0] in DIAGNOSTICS | {"failed": ""} for name in found.odd)


def test_diagnostics_are_written_as_they_always_were() -> None:
    found = Diagnostics.from_json(DIAGNOSTICS)
    assert found.odd == []
    assert json.dumps(replace(found, stored={}).to_json()) == json.dumps(DIAGNOSTICS)


def test_a_section_that_changes_keeps_what_is_not_known() -> None:
    found = Diagnostics.from_json({"network": {"mine": 1, "dead_units": 0.1}, "yours": 2})
    changed = replace(found, network=Network(dead_units=0.2)).to_json()
    assert changed == {"network": {"mine": 1, "dead_units": 0.2}, "yours": 2}
    assert replace(found, network=None).to_json() == {"yours": 2}


@pytest.mark.parametrize("odd", [True, -1.5, 10**400, [1], {"a": [1]}, {"a": True}])
@pytest.mark.parametrize(
    "name",
    [
        *("trial", "model_sha256", "task", "failed", "non_finite", "scores.metric", "scores.cv"),
        *("training.errors", "training.steps", "training.limit", "importance.increase"),
        *("importance.not_scored", "network.dead_units"),
    ],
)
def test_what_diagnostics_say_oddly_is_named(name: str, odd: Any) -> None:
    content = json.loads(json.dumps(DIAGNOSTICS))
    *section, inner = name.split(".")
    (content[section[0]] if section else content)[inner] = odd
    fine = [] if name.endswith(("cv", "dead_units")) and odd == -1.5 else [name]
    assert Diagnostics.from_json(content).odd == fine


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_is_there_or_is_not(name: str) -> None:
    for odd in (None, 3, [1], "x"):
        found = Diagnostics.from_json({**DIAGNOSTICS, name: odd})
        assert getattr(found, name) is None and found.odd == [name]
    assert Diagnostics.from_json({}).odd == []
    assert Diagnostics.from_json({"scores": {}}).odd == ["scores.cv", "scores.dummy"]
