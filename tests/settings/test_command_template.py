"""The command template and the `[command]` table."""

from typing import Any

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.settings.command_template import parse_report, parse_template, parse_value

VALUES = {"lr": "0.1", "opt": "a'b; $(touch x) {lr}", "dir": "/a folder"}


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("python train.py --lr {lr}", ["python", "train.py", "--lr", "0.1"]),
        ("run --lr={lr} '{lr} {lr}'", ["run", "--lr=0.1", "0.1 0.1"]),
        ("run {opt} {dir}/x", ["run", "a'b; $(touch x) {lr}", "/a folder/x"]),
        ("run '{{\"lr\": {lr}}}' {{}}", ["run", '{"lr": 0.1}', "{}"]),
        ("run; rm -rf $HOME | cat", ["run;", "rm", "-rf", "$HOME", "|", "cat"]),
    ],
)
def test_it_is_split_once_and_values_stay_inside_their_argument(
    text: str, arguments: list[str]
) -> None:
    assert parse_template(text, ["lr", "opt"]).fill(VALUES) == arguments


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--command: expected a command such as"),
        ("run 'a", "--command: No closing quotation in"),
        ("run {learning_rat}", "{learning_rat} is no parameter of [space]; did you mean {learning"),
        ("run {zzz}", "{zzz} is no parameter of [space]; known: learning_rate, dir"),
        ("run {}", "{} is no parameter"),
        ("run {learning_rate:.2f}", "{learning_rate:.2f} is no parameter of [space]; did you mean"),
        ("run }", "--command: a lone '}' in '}'; write }} for the character itself"),
        ("run '{ x'", "a lone '{' in '{ x'; write {{"),
    ],
)
def test_each_mistake_in_a_command_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_template(text, ["learning_rate"])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name", "program", "script"),
    [
        ("python my/train.py {lr}", "train", "python", "my/train.py"),
        ("./train.sh {lr}", "train", "./train.sh", None),
        ("python -m pkg.train", "python", "python", None),
        ("{opt} train.py", "train", None, "train.py"),
        ("python {opt}.py", "python", "python", None),
    ],
)
def test_what_a_command_runs(text: str, name: str, program: str | None, script: str | None) -> None:
    template = parse_template(text, ["lr", "opt"])
    assert (template.name, template.program, template.script) == (name, program, script)


@pytest.mark.parametrize(
    ("found", "n", "message"),
    [
        ("last", 1, 'expected "last-line", {pattern = "…"} or {file = "metrics.json", key ='),
        ({"pattern": "x", "file": "y"}, 1, 'expected "last-line"'),
        ({"file": "y"}, 1, 'expected "last-line"'),
        ({"pattern": "("}, 1, "[command] value: '(' is no regular expression: missing )"),
        ({"pattern": "loss"}, 1, "expected 1 group(s) in the pattern, one for each --direction"),
        ({"pattern": "(a) (b) (c)"}, 2, "expected 2 group(s) in the pattern"),
        ({"file": "../m.json", "key": "a"}, 1, "a file below the trial's own folder, found '../m"),
        ({"file": "/m.json", "key": "a"}, 1, "a file below the trial's own folder"),
        ({"file": "m\0.json", "key": "a"}, 1, "a file below the trial's own folder"),
        ({"file": "m.json", "key": ["a", "b"]}, 1, "expected 1 key(s), one for each --direction"),
        ({"file": "m.json", "key": 3}, 1, "expected 1 key(s)"),
    ],
)
def test_each_mistake_in_value_is_named(found: Any, n: int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_value(found, n)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("found", "n", "message"),
    [
        ("x", 1, "[command] report: expected {pattern = "),
        ({"pattern": r"loss (\S+)"}, 1, "expected a group (?P<value>…)"),
        ({"pattern": "(?P<value>.)"}, 2, "intermediate values need one --direction, found 2"),
    ],
)
def test_each_mistake_in_report_is_named(found: Any, n: int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_report(found, n)
    assert message in str(caught.value)
