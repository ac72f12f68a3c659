"""Messages come out as they went in, and what is none is one line that names both versions."""

import dataclasses
import json
import types
from typing import Any, get_args

import pytest

from journal_launcher import __version__
from journal_launcher.base import messages
from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.artifacts.scores import Baselines, Confirmation
from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.channel import Channel, LineBuffer
from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.messages import FromParent, FromWorker, Message, Preparation

CHANNEL = Channel("abc", 3)
OLDER: dict[str, Any] = {  # what earlier versions say under the same keys
    "prepared": {
        **{"identity": {"kind": "table", "metric": "r2", "seed": 0, "later": [1]}, "metric": "r2"},
        **{"notes": ["a"], "noted": {"script": None}, "content": {"data": "a.csv"}},
    },
    "scored": {"dummy": {"score": None, "reason": "no"}, "linear": {"score": 0.5}},
    "confirmed": {
        **{"score": 0.5, "fold_scores": [0.5], "train_scores": [0.6], "overfit_ratio": None},
        **{"curves": {"every": 1, "train": [0.6], "validation": [None]}},
    },
    "staged": {"kind": "command", "command": "sh a.sh"},
}
PREPARATION = Preparation(
    Identity.from_json(OLDER["prepared"]["identity"]), ["a"], {"script": None}, {"data": "a.csv"}
)
SAMPLES: dict[Any, Any] = {
    **{str: "text", int: 7, float: 0.5, bool: True, dict[str, Any]: {"a": [1]}},
    list[dict[str, Any]]: [{"a": [1]}],
    list[str]: ["a"],
    Identity: PREPARATION.identity,
    Preparation: PREPARATION,
    Baselines: Baselines.from_json(OLDER["scored"]),
    Confirmation: Confirmation.from_json(OLDER["confirmed"]),
    Sidecar: Sidecar.from_json(OLDER["staged"]),
}
WRONG: dict[Any, Any] = {str: 7, int: True, float: "0.5", bool: 1, dict[str, Any]: [1]}
WRONG |= {list[dict[str, Any]]: {"a": 1}, list[str]: {"a": 1}}
WRONG |= {kind: [1] for kind in (Identity, Preparation, Baselines, Confirmation, Sidecar)}
KINDS = [(family, kind) for family in (FromParent, FromWorker) for kind in family.__subclasses__()]
FIELDS = [(family, kind, field) for family, kind in KINDS for field in dataclasses.fields(kind)]
BOTH = pytest.mark.parametrize(("family", "kind"), KINDS, ids=lambda kind: kind.__name__)
EACH = pytest.mark.parametrize(
    ("family", "kind", "field"), FIELDS, ids=lambda it: getattr(it, "__name__", None) or it.name
)


def plain(field: "dataclasses.Field[Any]") -> Any:
    """Its type, without the None that may stand for it."""
    union = isinstance(field.type, types.UnionType)
    return get_args(field.type)[0] if union else field.type


def sample(kind: type) -> Message:
    made = kind(**{field.name: SAMPLES[plain(field)] for field in dataclasses.fields(kind)})
    assert isinstance(made, Message)
    return made


def line_of(message: Message, /, **changed: Any) -> bytes:
    return json.dumps({**json.loads(CHANNEL.encode(message)), **changed}).encode()


def refused(line: bytes, family: type[Message]) -> str:
    with pytest.raises(JournalLauncherError) as caught:
        CHANNEL.decode(line, family)
    text = str(caught.value)
    assert text.startswith("worker 3: expected ") and "\n" not in text and len(text) < 400
    return text


def test_a_message_is_one_line_of_json() -> None:
    line = CHANNEL.encode(messages.Grant(None))
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert json.loads(line) == {
        "v": 1,
        "program": __version__,
        "type": "grant",
        "launch": "abc",
        "worker": 3,
        "trial": None,
    }
    assert Channel.of_spec(line) == CHANNEL


@BOTH
def test_every_message_comes_out_as_it_went_in(family: type[Message], kind: type) -> None:
    assert CHANNEL.decode(CHANNEL.encode(sample(kind)), family) == sample(kind)


@pytest.mark.parametrize("name", OLDER)
def test_what_is_a_type_of_its_own_is_the_json_that_it_always_was(name: str) -> None:
    kind = next(kind for _, kind in KINDS if kind.__name__.lower() == name)
    told = sample(kind)
    assert CHANNEL.decode(line_of(told, content=OLDER[name]), FromWorker) == told
    written = json.loads(CHANNEL.encode(told))["content"]
    assert written == {key: OLDER[name][key] for key in OLDER[name] if key != "metric"}
    assert [*written] == [key for key in OLDER[name] if key != "metric"]


@pytest.mark.parametrize("key", ["identity", "notes", "noted", "content"])
def test_a_preparation_that_lacks_something_is_refused(key: str) -> None:
    for odd in (None, 7):
        content = {**OLDER["prepared"], key: odd}
        assert f"'preparation' with {key!r} of" in refused(
            line_of(messages.Open(PREPARATION, 0), prepared=content), FromParent
        )
        del content[key]
        assert f"'preparation' with {key!r}, found none" in refused(
            line_of(messages.Open(PREPARATION, 0), prepared=content), FromParent
        )


@EACH
def test_what_may_be_missing_comes_out_as_none(
    family: type[Message], kind: type, field: "dataclasses.Field[Any]"
) -> None:
    line = line_of(sample(kind), **{field.name: None})
    if isinstance(field.type, types.UnionType):
        assert getattr(CHANNEL.decode(line, family), field.name) is None
    else:
        refused(line, family)


def test_a_whole_number_is_a_float_too() -> None:
    line = line_of(sample(messages.Progress), value=1)
    assert CHANNEL.decode(line, FromWorker) == messages.Progress(7, "text", 7, 7, 1, 7, 7)


@BOTH
def test_keys_that_nobody_knows_are_ignored(family: type[Message], kind: type) -> None:
    assert CHANNEL.decode(line_of(sample(kind), color="red"), family) == sample(kind)


@EACH
def test_a_missing_key_is_an_error(
    family: type[Message], kind: type, field: "dataclasses.Field[Any]"
) -> None:
    found = json.loads(CHANNEL.encode(sample(kind)))
    del found[field.name]
    text = refused(json.dumps(found).encode(), family)
    assert f"{kind.__name__.lower()!r} with {field.name!r}, found none" in text


@EACH
def test_a_value_of_another_type_is_an_error(
    family: type[Message], kind: type, field: "dataclasses.Field[Any]"
) -> None:
    wrong = WRONG[plain(field)]
    text = refused(line_of(sample(kind), **{field.name: wrong}), family)
    assert f"{kind.__name__.lower()!r} with {field.name!r} of " in text
    assert f"found {wrong!r}" in text


@pytest.mark.parametrize(
    ("family", "kind"), [(FromParent, messages.Bye), (FromWorker, messages.Request)]
)
@pytest.mark.parametrize("name", ["grnt", "", None, ["grant"], "message", "fromparent"])
def test_an_unknown_type_is_an_error_that_names_both_versions(
    family: type[Message], kind: type, name: Any
) -> None:
    text = refused(line_of(sample(kind), type=name, program="9.8.7"), family)
    assert f"found the type {name!r}" in text
    assert f"this end runs journal_launcher {__version__}, the other 9.8.7" in text


@BOTH
def test_what_the_other_end_should_hear_is_unknown_here(family: type[Message], kind: type) -> None:
    wrong = FromWorker if family is FromParent else FromParent
    if issubclass(kind, wrong):  # folders travel both ways
        assert kind in (messages.File, messages.Whole)
        return
    assert f"found the type {kind.__name__.lower()!r}" in refused(line_of(sample(kind)), wrong)


def test_a_line_without_a_version_is_of_an_unknown_one() -> None:
    found = json.loads(line_of(messages.Bye(), type="by"))
    del found["program"]
    assert "the other an unknown version" in refused(json.dumps(found).encode(), FromParent)


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"hello", b"[1]", b'{"v":1}', b'{"v":1,"launch":"abc"}'),
        *(b'{"v":2,"launch":"abc","type":"bye"}', b'{"v":1,"launch":"x","type":"bye"}'),
    ],
)
def test_anything_else_is_an_error_that_names_the_worker(line: bytes) -> None:
    refused(line, FromParent)


@pytest.mark.parametrize("line", [b"hello", b"[1]", b'{"launch":"abc"}'])
def test_a_first_line_that_is_no_spec_is_an_error(line: bytes) -> None:
    with pytest.raises(JournalLauncherError, match="expected a spec, found"):
        Channel.of_spec(line)


def test_lines_are_cut_wherever_the_chunks_end() -> None:
    text = b'{"a":1}\n\n{"b":2}\n{"c":3'
    for size in range(1, len(text)):
        buffer, lines = LineBuffer(), []
        for start in range(0, len(text), size):
            lines += buffer.feed(text[start : start + size])
        assert lines == [b'{"a":1}', b'{"b":2}']


@pytest.mark.timeout(60)  # copying what is there already with each chunk would take many minutes
def test_a_line_of_a_hundred_megabytes_is_one_line() -> None:
    buffer, chunk = LineBuffer(), b"x" * (1 << 16)
    for _ in range(1600):
        assert buffer.feed(chunk) == []
    (line,) = buffer.feed(b'\n{"a":1}')
    assert len(line) == 1600 << 16
    assert buffer.feed(b"\n") == [b'{"a":1}']
