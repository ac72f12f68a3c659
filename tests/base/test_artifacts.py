"""What rooms tell each other in JSON: read as far as it is known, written as it was found."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.trial_attributes import (
    FoldScores,
    Placed,
    TrialAttributes,
    without_ours,
)
from journal_launcher.base.job_kinds import COMMAND, TABLE, JobKind

KEYS = [name for name in Identity.__dataclass_fields__ if name != "stored"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
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
    assert found.placed is not None and found.scored is not None
    assert json.dumps(found.placed.to_json()) == json.dumps(PLACED)
    assert json.dumps(found.scored.to_json()) == json.dumps(SCORED)
    assert (found.duration_s, found.fail_reason, found.scored.refittable) == (1.5, "because", True)
    assert without_ours({**ATTRIBUTES, "mine": 1}) == {"mine": 1}
    cpu = {**PLACED, "jl_device_uuid": None}
    assert Placed.from_json(cpu).to_json() == cpu
    foreign = TrialAttributes.from_json({"mine": 1})
    assert (foreign.placed, foreign.scored, foreign.duration_s) == (None, None, None)


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
