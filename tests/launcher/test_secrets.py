"""What follows `--` may hold a secret: no file that is kept or published has it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from launcher.harness import Workshop

from journal_launcher.base import events
from journal_launcher.launcher import foreground as parent
from journal_launcher.launcher.provenance import command_line
from journal_launcher.study.attributes import ARGUMENTS, arguments_mark, changed_notes

SECRET, IN_ENVIRONMENT = "hunter2-5e8f0c", "env-9d1c77"
SAVING = """
def objective(trial):
    return trial.suggest_float("x", 0, 1)

def save_best(study, directory):
    (directory / "model").write_text("trained")
"""


def holding(folder: Path, *secrets: str) -> list[str]:
    """Files below `folder` with one of the secrets, or with the whole hash of one."""
    hashes = [hashlib.sha256("\0".join(["--token", s]).encode()).hexdigest() for s in secrets]
    wanted = [text.encode() for text in (*secrets, *hashes)]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 4
    return [path.name for path in files if any(text in path.read_bytes() for text in wanted)]


@pytest.mark.parametrize("given", ["typed", "configured", "from Python"])
def test_no_file_has_the_arguments(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    workshop.write(SAVING)
    environment = {"MY_TOKEN": IN_ENVIRONMENT}
    if given == "from Python":
        monkeypatch.setenv(*next(iter(environment.items())))
        monkeypatch.setattr("sys.argv", ["mine.py", "--token", SECRET])
        monkeypatch.delitem(__import__("sys").modules, "journal_launcher.__main__", raising=False)
        assert workshop.launch(n_trials=1, arguments=["--token", SECRET]).exit_code == 0
    else:
        (workshop.folder / "c.toml").write_text(f'arguments = ["--token", "{SECRET}"]\n')
        arguments = ["--", "--token", SECRET] if given == "typed" else ["--config", "c.toml"]
        ended = workshop.run("--n-trials", "1", "-v", *arguments, environment=environment)
        assert ended.code == 0, ended.err
        assert SECRET not in ended.out + ended.err
    assert holding(workshop.paths.folder, SECRET, IN_ENVIRONMENT) == []
    record = json.loads(workshop.paths.launch_record.read_text())
    assert record["settings"]["arguments"] == 2
    if given == "typed":
        assert record["command_line"].endswith(" -- ARGUMENTS")
        assert workshop.sidecar()["command_line"] == record["command_line"]
    if given == "from Python":
        assert record["command_line"] == "python mine.py"


def test_an_objective_that_is_missing_does_not_show_them_either(workshop: Workshop) -> None:
    ended = workshop.run("--", "--token", SECRET)
    assert ended.code == 2 and SECRET not in ended.out + ended.err
    table = workshop.run("--json", "--", "--token", SECRET, table=True)
    assert table.code == 2 and SECRET not in table.out + table.err
    assert "what follows -- belongs to --objective, found 2 without it" in table.err


def test_the_command_line_is_cut_where_the_arguments_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    import journal_launcher.__main__  # noqa: F401

    for argv, told in (
        (["x", "run", "--n-trials", "3"], "journal-launcher run --n-trials 3"),
        (["x", "--objective", "a b.py:f", "--", SECRET], None),
        (["x", "run", "--"], "journal-launcher run -- ARGUMENTS"),
        (["x", "--", "a", "--", SECRET], "journal-launcher -- ARGUMENTS"),
    ):
        monkeypatch.setattr("sys.argv", argv)
        assert command_line() == (told or "journal-launcher --objective 'a b.py:f' -- ARGUMENTS")


def test_what_is_noted_of_them_leaves_other_guesses_standing() -> None:
    guesses = [(f"{n:05}",) for n in range(100_000)]
    marks = [arguments_mark(guess) for guess in guesses]
    assert len(set(marks)) == 4096
    assert marks.count(arguments_mark(("12345",))) > 5
    assert arguments_mark(("a b",)) != arguments_mark(("a", "b"))
    assert arguments_mark(("\ud800",))


def test_a_change_is_noted_after_an_older_version_too(workshop: Workshop) -> None:
    workshop.write(SAVING)
    arguments = ("--token", SECRET)
    assert workshop.launch(n_trials=1, arguments=arguments).exit_code == 0

    def notes() -> list[Any]:
        return [note.text for note in workshop.of(events.Note) if ARGUMENTS in note.text]

    whole = hashlib.sha256("\0".join(arguments).encode()).hexdigest()
    noted = dict(workshop.study().user_attrs["journal_launcher_noted"])
    settings = dict(workshop.study().user_attrs["journal_launcher_settings"])
    old = workshop.study()
    old.set_user_attr("journal_launcher_noted", {**noted, ARGUMENTS: whole})
    old.set_user_attr("journal_launcher_settings", {**settings, "arguments": list(arguments)})
    record = {"command_line": f"journal-launcher -- {SECRET}", "settings": {"arguments": arguments}}
    workshop.paths.launch_record.write_text(json.dumps(record))
    assert workshop.launch(n_trials=2, arguments=arguments).exit_code == 0
    assert notes() == []
    old.set_user_attr("journal_launcher_noted", {**noted, ARGUMENTS: whole})
    assert workshop.launch(n_trials=3, arguments=("--token", "other")).exit_code == 0
    assert len(notes()) == 1
    assert workshop.study().user_attrs["journal_launcher_noted"][ARGUMENTS] == arguments_mark(
        ("--token", "other")
    )
    assert SECRET not in workshop.paths.launch_record.read_text()
    assert "arguments" not in workshop.study().user_attrs["journal_launcher_settings"]


def test_notes_compare_what_was_noted_and_nothing_else() -> None:
    whole = hashlib.sha256(b"a").hexdigest()
    assert changed_notes({ARGUMENTS: whole}, {ARGUMENTS: arguments_mark(("a",))}) == []
    assert changed_notes({ARGUMENTS: whole}, {ARGUMENTS: "000"}) == [ARGUMENTS]
    assert changed_notes({"script": None}, {"script": None, "new": 1}) == []
    assert changed_notes({"script": 7}, {"script": "a"}) == ["script"]
    assert changed_notes(7, {"script": "a"}) == []


def test_a_replay_says_how_to_give_them_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workshop.write(SAVING)
    assert workshop.launch(n_trials=1, arguments=("--token", SECRET)).exit_code == 0
    monkeypatch.setattr("os.execve", lambda *_: None)
    parent.replay_in_foreground("studies", "study", 0)
    said = capsys.readouterr().err
    assert "journal-launcher replay study 0 --studies-dir studies -- ARGUMENTS\n" in said
    parent.replay_in_foreground("studies", "study", 0, ("--token", SECRET))
    assert capsys.readouterr().err == ""
    assert workshop.launch(n_trials=2).exit_code == 0
    parent.replay_in_foreground("studies", "study", 0)
    assert capsys.readouterr().err == ""
