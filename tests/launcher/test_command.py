"""Launches of a script that knows nothing of Optuna: what it is given, and what is read of it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from launcher.harness import Workshop
from launcher.scripts import SPACE, ScriptShop, scripts

from journal_launcher.base import events
from journal_launcher.base.errors import UsageError

__all__ = ["scripts"]

TWO_GPUS = {"FAKE_NVML": '{"gpus": [{"uuid": "GPU-aaaaaaaa"}, {"uuid": "GPU-bbbbbbbb"}]}'}
HOSTILE = ["a b", "x; touch pwned", "$(touch pwned)", "`touch pwned`", "'\"", "{x}", "*", "", "\n"]


def notes(shop: Workshop) -> list[str]:
    return [note.text for note in shop.of(events.Note) if "CPU" not in note.text]


def test_both_gpus_run_the_script_and_the_best_folder_is_published(scripts: ScriptShop) -> None:
    scripts.write(
        """
x, gpu = float(sys.argv[1]), os.environ["CUDA_VISIBLE_DEVICES"]
note(f"began {gpu}")
told("began GPU-aaaaaaaa"), told("began GPU-bbbbbbbb")
assert (list(DIR.iterdir()), sys.argv[2], os.environ["JL_X"]) == ([], str(DIR), sys.argv[1])
assert os.environ["JL_TRIAL_DIR"] == str(DIR)
(DIR / "sub").mkdir()
(DIR / "sub" / "weights").write_text(sys.argv[1])
(DIR / "gpu").write_text(gpu)
print("starts")
print(x)
print("warning", file=sys.stderr)
"""
    )
    folder = scripts.shop.folder
    (folder / "libcuda.so.1").write_text("no library: a real driver would miss these GPUs")
    environment = {**TWO_GPUS, "LD_LIBRARY_PATH": str(folder)}
    options = scripts.configured("--command", scripts.command + " {dir}", "--n-trials", "6")
    ended = scripts.shop.run(
        *options, "--gpus", "auto", "--json", environment=environment, command=True
    )
    assert ended.code == 0, ended.err
    trials = scripts.shop.trials()
    assert {trial.user_attrs["jl_device_uuid"] for trial in trials} == {
        *("GPU-aaaaaaaa", "GPU-bbbbbbbb")
    }
    assert [trial.value for trial in trials] == [trial.params["x"] for trial in trials]
    best = scripts.shop.study().best_trial
    device = best.user_attrs["jl_device_uuid"]
    assert scripts.published() == {"sub/weights": str(best.params["x"]), "gpu": device}
    assert ended.json["model_path"] == str(scripts.shop.paths.best_model_directory)
    assert set(scripts.shop.sidecar()["files"]) == {"best_model/sub/weights", "best_model/gpu"}
    assert scripts.trials == [] and not scripts.shop.paths.trials.exists()
    log = scripts.shop.paths.worker_log(0).read_text()
    assert "starts\n" in log and "warning\n" in log


def test_a_value_is_never_a_command_nor_a_second_argument(scripts: ScriptShop) -> None:
    scripts.write(
        """
names = [f"JL_P{i}" for i in range(len(sys.argv) - 1)]
json.dump([sys.argv[1:], [os.environ[n] for n in names]], open(DIR / "m.json", "w"))
print(0)
"""
    )
    space = {f"p{index}": [choice] for index, choice in enumerate(HOSTILE)}
    words = [f"{{p{index}}}" for index in range(len(HOSTILE))]
    words[0] = "'before {p0}'{p1}"
    command = " ".join([f"'{sys.executable}' 'my train.py'", *words[:1], *words[2:]])
    assert scripts.launch(command=command, space=space, n_trials=1).exit_code == 0
    found = json.loads(scripts.published()["m.json"])[0]
    assert found == [f"before {HOSTILE[0]}{HOSTILE[1]}", *HOSTILE[2:]]
    sh = scripts.shop.folder / "my train.sh"
    sh.write_text('for argument; do echo "<$argument>"; done\necho "<$JL_P2>"\necho 1\n')
    command = " ".join(["sh 'my train.sh'", *[f"{{p{i}}}" for i in range(len(HOSTILE))]])
    result = scripts.launch(command=command, space=space, n_trials=1, study_name="sh")
    assert result.exit_code == 0
    log = (scripts.shop.paths.folder / "sh" / "workers" / "0.log").read_text()
    log = log.replace("[trial 0] ", "")
    assert "".join(f"<{choice}>\n" for choice in [*HOSTILE, HOSTILE[2]]) in log
    assert not list(scripts.shop.folder.rglob("pwned"))


def test_every_kind_of_parameter(scripts: ScriptShop) -> None:
    scripts.write("json.dump(sys.argv[1:], open(DIR / 'm.json', 'w'))\nprint(0)")
    space: dict[str, Any] = {
        "lr": {"low": 1e-5, "high": 1e-5, "log": True},
        "n": {"low": 64, "high": 64, "step": 64},
        "bias": [True],
        "rate": [0.5],
        "size": {"low": 0, "high": 0.5, "step": 1},
        "fixed": "a b",
    }
    script = f"'{sys.executable}' 'my train.py'"
    command = f"{script} {{lr}} --n={{n}} {{bias}} {{rate}} {{size}} {{fixed}}"
    assert scripts.launch(command=command, space=space, n_trials=1).exit_code == 0
    given = ["1e-05", "--n=64", "true", "0.5", "0.0", "a b"]
    assert json.loads(scripts.published()["m.json"]) == given
    params = {"lr": 1e-5, "n": 64, "bias": True, "rate": 0.5, "size": 0.0, "fixed": "a b"}
    assert scripts.shop.trials()[0].params == params


VALUES = [
    (None, "print('epoch 1'); print(0.25, end='')", [0.25]),
    (None, "print('0.5, -1e3')", [0.5, -1000]),
    ({"pattern": r"loss=(\S+)"}, "print('loss=9\\nloss=0.5 ok\\nbye')", [0.5]),
    ({"pattern": r"loss=(?P<value>\S+) (.*)"}, "print('loss=2 x', file=sys.stderr)", [2]),
    ({"pattern": r"a=(\S+) b=(\S+)"}, "print('a=1 b=2')", [1, 2]),
    ({"file": "m.json", "key": "loss"}, "(DIR / 'm.json').write_text('{\"loss\": 3}')", [3]),
    (
        {"file": "o/m.json", "key": ["val.loss", "size"]},
        "(DIR / 'o').mkdir()\n"
        '(DIR / \'o/m.json\').write_text(\'{"val": {"loss": 3}, "size": 4}\')',
        [3, 4],
    ),
]


@pytest.mark.parametrize(("value", "code", "expected"), VALUES)
def test_where_the_value_is_read(
    scripts: ScriptShop, value: Any, code: str, expected: list[float]
) -> None:
    scripts.write(code)
    direction = ["minimize"] * len(expected)
    assert scripts.launch(value=value, direction=direction, n_trials=1).exit_code == 0
    assert scripts.shop.trials()[0].values == expected


FILE = {"file": "m.json", "key": "loss"}
FAILURES = [
    (None, "print('a'); sys.exit('no lr')", "the script exited with 1:\na\nno lr", True),
    (None, "sys.exit(3)", "the script exited with 3:\n(it printed nothing)", True),
    (None, "import nowhere.here", "no module 'nowhere': the script needs it, found", True),
    (None, "os.kill(os.getpid(), 11)", "the script was killed by SIGSEGV:\n(it printed", True),
    (None, "pass", "no value: expected a number in the last line of stdout, which is empty", True),
    (None, "print('loss 1')", "expected a number in the last line of stdout, found 'loss 1'", True),
    (None, "print('low')", "expected a number in the last line of stdout, found 'low'", True),
    (None, "print('x', float('nan'), sep='\\n')", "not finite: the script gave nan; its", False),
    (None, "print('-inf')", "not finite: the script gave -inf; its last lines:\n-inf", False),
    ({"pattern": "loss=(.*)"}, "print(3)", "no line of its output matches 'loss=(.*)'", True),
    ({"pattern": "loss=(.*)"}, "print('loss=no')", "as matched by the pattern, found 'no'", True),
    (FILE, "print(3)", "expected m.json in {dir}, found no such file; its last lines:\n3", True),
    (FILE, "(DIR / 'm.json').write_text('{')", "expected JSON in m.json, found Expecting", True),
    (FILE, "(DIR / 'm.json').write_text('[1]')", "expected loss in m.json, found no object", True),
    (FILE, "(DIR / 'm.json').write_text('{\"a\": 1}')", "expected loss in m.json, found a", True),
    (FILE, "(DIR / 'm.json').write_text('{\"loss\": null}')", "found 'None'", True),
]


@pytest.mark.parametrize(("value", "code", "reason", "broken"), FAILURES)
def test_why_a_trial_failed(
    scripts: ScriptShop, value: Any, code: str, reason: str, broken: bool
) -> None:
    scripts.write(f"(DIR / 'weights').touch()\n{code}")
    result = scripts.launch(value=value, n_trials=5, max_failures=5)
    assert result.exit_code == 1
    trials = scripts.shop.trials()
    assert all(reason in trial.user_attrs["jl_fail_reason"] for trial in trials)
    assert len(trials) == (3 if broken else 5)  # a script that never works is not tried for long
    told = "the first 3 trials failed: 3 x " if broken else "5 trials failed: 5 x not finite"
    assert told in str(result.message)
    assert scripts.trials == [] and not scripts.shop.paths.sidecar.exists()


def test_no_secret_reaches_the_journal_with_the_scripts_last_lines(scripts: ScriptShop) -> None:
    secret = "hunter2-5e8f0c"
    scripts.write("sys.exit(f'key {os.environ[\"SECRET_TOKEN\"]} is wrong')")
    options = scripts.configured("--n-trials", "3")
    ended = scripts.shop.run(*options, environment={"SECRET_TOKEN": secret}, command=True)
    assert ended.code == 1 and secret not in ended.out + ended.err
    assert secret.encode() not in scripts.shop.paths.journal.read_bytes()
    assert "key $SECRET_TOKEN is wrong" in scripts.shop.trials()[0].user_attrs["jl_fail_reason"]


def test_intermediate_values_reach_the_journal(scripts: ScriptShop) -> None:
    scripts.write(
        "[print(f'epoch {i} loss {v}') for i, v in [(1, 9), (1, 8), (3, 'nan'), (4, 'x')]]"
    )
    report = {"pattern": r"epoch (?P<step>\d+) loss (?P<value>\S+)"}
    value = {"pattern": r"epoch 1 loss (\d+)"}
    assert scripts.launch(report=report, value=value, n_trials=1).exit_code == 0
    (trial,) = scripts.shop.trials()
    assert str(trial.intermediate_values) == "{1: 9.0, 3: nan}" and trial.value == 8
    assert [p.value for p in scripts.shop.of(events.TrialProgress)][:1] == [9.0]
    counted = {"pattern": "loss (?P<value>[0-9]+)"}
    options = {"report": counted, "value": value, "n_trials": 1, "study_name": "counted"}
    assert scripts.launch(**options).exit_code == 0


MISTAKES = [
    (
        {"command": "nowhere-to-be-found {x}"},
        "no program 'nowhere-to-be-found' that can be run; seen",
    ),
    ({"command": "python3 gone.py {x}"}, "--command: no file gone.py in "),
    ({"command": "x" * 300}, "that can be run; seen from "),
    ({"command": f"python3 {'x' * 300}.py"}, ".py in "),
    ({"command": "'./my train.py'"}, "'./my train.py' that can be run; chmod +x ./my train.py"),
    ({"command": "ls {lx}"}, "{lx} is no parameter of [space]"),
    ({"space": {"x": {"low": 1}}}, "[space] x: expected a number for high, found none"),
    ({"value": "first-line"}, '[command] value: expected "last-line"'),
    ({"report": {"pattern": "("}}, "[command] report: '(' is no regular expression"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_bad_input_starts_and_writes_nothing(
    scripts: ScriptShop, options: dict[str, Any], message: str
) -> None:
    scripts.write("print(1)")
    with pytest.raises(UsageError) as caught:
        scripts.launch(**options)
    assert message in str(caught.value)
    assert not scripts.shop.paths.folder.exists()


def test_a_mistake_in_the_file_names_the_file(scripts: ScriptShop) -> None:
    scripts.write("print(1)")
    cases = [
        ({"space": {"x": []}}, "error: --config tune.toml: [space] x: expected at least"),
        (
            {"command": {"run": "ls", "values": 1}},
            "unknown key values in [command]; did you mean 'value'",
        ),
        ({"command": {"run": 3}}, "error: --config tune.toml: [command] run: expected text"),
        ({"command": {"value": "x"}}, "error: --config tune.toml: [space] needs a script"),
    ]
    for tables, message in cases:
        ended = scripts.shop.run(*scripts.configured(**tables), command=True)
        assert ended.code == 2 and message in ended.err and ended.err.count("\n") == 1
    (scripts.shop.folder / "tune.toml").write_text("value = 'last-line'\n")
    ended = scripts.shop.run("--config", "tune.toml", command=True)
    assert ended.code == 2 and "value belongs into the table [command]" in ended.err


def test_another_command_or_space_is_another_study_and_ranges_are_free(
    scripts: ScriptShop,
) -> None:
    scripts.write("print(sys.argv[1])")
    assert scripts.launch(n_trials=2).exit_code == 0
    before = scripts.shop.paths.journal.read_bytes()
    for change, shown in [
        ({"command": scripts.command + " "}, "command: the study has"),
        ({"space": {"x": {"low": 0, "high": 1}}}, "space.x: the study has 'float', this"),
        ({"space": {**SPACE, "y": [1]}}, "space.y: the study has"),
        ({"value": {"pattern": "(.)"}}, "value: the study has 'last-line'"),
    ]:
        with pytest.raises(UsageError) as caught:
            scripts.launch(n_trials=3, **change)
        assert shown in str(caught.value)
    assert scripts.shop.paths.journal.read_bytes() == before
    scripts.write("print(sys.argv[1])  # changed")
    wider = {"x": {"low": 0.0, "high": 2.0}}
    assert (
        scripts.launch(n_trials=3, space=wider, report={"pattern": "(?P<value>.)"}).exit_code == 0
    )
    source, space = notes(scripts.shop)
    assert source == "script changed since the last launch; trials are kept"
    assert space.startswith("the search space changed, earlier trials are kept: x (Float")


def test_a_fixed_value_is_one_choice_to_the_study(scripts: ScriptShop) -> None:
    scripts.write("print(1)")
    assert scripts.launch(n_trials=1, space={**SPACE, "y": 3}).exit_code == 0
    assert scripts.launch(n_trials=2, space={**SPACE, "y": [3]}).exit_code == 0
    assert [trial.params["y"] for trial in scripts.shop.trials()] == [3, 3]


def test_a_file_without_a_script_and_a_flag_over_the_file(scripts: ScriptShop) -> None:
    options = scripts.configured("--n-trials", "1", command={"value": {"pattern": "a(.)"}})
    ended = scripts.shop.run(*options, "--command", "echo {x} a3", "-q", command=True)
    assert ended.code == 0, ended.err
    assert ended.out.split()[0] == "3.0"
    assert Path(scripts.shop.paths.sidecar).exists() and scripts.published() == {}
