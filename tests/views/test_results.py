"""What a launch prints to stdout, for scripts."""

import json
from dataclasses import replace

from views.ended import OBJECTIVE, PARAMS, TABLE

from journal_launcher.base.events import GpuLoad
from journal_launcher.views.summary import failure_json, result_json, result_line


def test_the_json_result_has_exactly_the_promised_keys() -> None:
    result = result_json(TABLE)
    assert json.loads(json.dumps(result)) == {
        "schema_version": 1,
        "study": "diabetes_neural_net",
        "exit_reason": "done",
        "exit_code": 0,
        "message": None,
        "n_finished": 20,
        "n_failed": 0,
        "best_trial": {"number": 7, "value": 0.47, "params": PARAMS},
        "model_path": "/data/my studies/diabetes_neural_net/best_model.safetensors",
        "holdout": {
            "metrics": {"r2": 0.431, "rmse": 55.1},
            "interval": {"metric": "r2", "low": 0.33, "high": 0.52},
        },
        "scores": {"folds": None, "fresh_folds": None, "holdout": {"r2": 0.431, "rmse": 55.1}},
        "health": None,
        "busy": None,
        "gpus": None,
        "journal": "/data/my studies/diabetes_neural_net.log",
    }
    assert result_json(replace(TABLE, busy=(0.98, 0.97)))["busy"] == [0.98, 0.97]
    load = GpuLoad("GPU 0 NVIDIA H100", "GPU-aaaa", 3 * 2**30, 80 * 2**30, 0.5)
    assert json.loads(json.dumps(result_json(replace(TABLE, gpus=(load,)))))["gpus"] == [
        {
            "device": "GPU 0 NVIDIA H100",
            "uuid": "GPU-aaaa",
            "used": 3 * 2**30,
            "total": 80 * 2**30,
            "utilization": 0.5,
            "workers": None,
            "speedup": None,
        }
    ]
    nothing = result_json(replace(OBJECTIVE, best_trial=None))
    assert (nothing["best_trial"], nothing["model_path"], nothing["holdout"]) == (None,) * 3


def test_the_json_of_a_launch_that_never_began_has_the_same_keys() -> None:
    failure = failure_json(4, "the study is in use")
    assert list(failure) == list(result_json(TABLE))
    known = {key: value for key, value in failure.items() if value is not None}
    assert known == {
        "schema_version": 1,
        "exit_reason": "failed",
        "exit_code": 4,
        "message": "the study is in use",
    }


def test_the_line_for_scripts_is_value_and_model() -> None:
    assert result_line(TABLE) == f"0.47 {TABLE.model_path}"
    assert result_line(OBJECTIVE) == "0.25"
