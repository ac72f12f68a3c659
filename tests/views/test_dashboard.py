"""`dashboard`: a real server, asked by real requests."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from launcher.harness import Workshop
from views.listed import Listed, of_every_kind

from journal_launcher.base.artifacts.scores import Confirmation
from journal_launcher.base.errors import JournalDamagedError, UsageError
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.study.confirmation import keep_confirmation
from journal_launcher.study.reading import open_study
from journal_launcher.study.study import BEST_ATTRIBUTE
from journal_launcher.views.dashboard.server import make_dashboard

ROOT = Path(__file__).parents[2]
Start = Callable[..., str]


class Answer:
    def __init__(self, url: str, method: str = "GET", body: Any = None, **headers: str) -> None:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(url, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self.status, self.text = answer.status, answer.read().decode()
                self.headers = answer.headers
        except urllib.error.HTTPError as refused:
            self.status, self.text = refused.code, refused.read().decode()
            self.headers = refused.headers

    def json(self) -> Any:
        return json.loads(self.text)


@pytest.fixture
def studies(tmp_path: Path) -> StudiesFolder:
    return StudiesFolder.at(tmp_path / "my studies")


@pytest.fixture
def paths(studies: StudiesFolder) -> StudyPaths:
    return studies.study("mine")


@contextmanager
def serving(studies: StudiesFolder, study: str | None, **more: Any) -> Iterator[str]:
    options = {"port": None, "allow_writes": False, "say": pytest.fail, **more}
    server, url = make_dashboard(studies, study, **options)
    thread = threading.Thread(target=server.serve_forever)
    with server:
        thread.start()
        try:
            yield url
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def start(studies: StudiesFolder) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda study=None, **more: stack.enter_context(serving(studies, study, **more))


def api(url: str) -> str:
    """Where a study's page gets its data from."""
    return url.replace("/dashboard", "/api")


def attributes(said: list[dict[str, str]]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in said}


def test_a_study_is_shown_with_what_people_read_and_stays_as_it_is(
    paths: StudyPaths, start: Start
) -> None:
    made = of_every_kind(paths)
    made.add(0.25, mine="kept", jl_owner={"host": "x"}, jl_device="GPU 1", jl_metrics={"rmse": 2})
    made.record.set_attribute(BEST_ATTRIBUTE, 0)
    made.record.set_attribute("theirs", 1)
    before = paths.journal.read_bytes()
    url = start("mine")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/dashboard/studies/0", url)
    page = Answer(url)
    assert page.status == 200 and "<html" in page.text.lower()
    found = Answer(api(url)).json()
    assert found["name"] == "mine" and len(found["trials"]) == 9
    assert attributes(found["user_attrs"]) == {"saved as the best: trial": "0", "theirs": "1"}
    last = attributes(found["trials"][8]["user_attrs"])
    assert last == {"mine": "kept", "device": "GPU 1", "metrics": '{"rmse": 2}'}
    first = attributes(found["trials"][0]["user_attrs"])
    assert first == {"device": "GPU 0 H200", "seconds": "4.56", "fold scores": "[0.25, 0.75]"}
    assert attributes(found["trials"][2]["user_attrs"])["why it failed"].startswith("ValueError")
    assert [trial["number"] for trial in found["best_trials"]] == [0]
    assert Answer(f"{api(url)}/param_importances").status == 200
    assert Answer(url.replace("dashboard/studies", "csv")).status == 200
    assert paths.journal.read_bytes() == before


def test_the_best_trial_is_the_one_that_is_saved(paths: StudyPaths, start: Start) -> None:
    table = {"kind": "table", "directions": ["maximize"], "seed": 0, "split": {"kind": "kfold"}}
    made = Listed(paths, table)
    scored = {"jl_fold_scores": [1.0], "jl_train_scores": [1.0], "jl_steps": 3}
    for value in (0.5, 0.625):
        made.add(value, **scored)
    url = start("mine")
    assert [t["number"] for t in Answer(api(url)).json()["best_trials"]] == [1]
    for number, score in ((0, 0.4), (1, 0.3)):
        keep_confirmation(made.record, number, Confirmation(score, [score]))
    assert [t["number"] for t in Answer(api(url)).json()["best_trials"]] == [0]


def test_a_launch_marks_the_trial_that_it_saves_once(workshop: Workshop) -> None:
    workshop.write("def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n")
    for trials in (2, 4):
        assert workshop.launch(n_trials=trials).exit_code == 0
        study = open_study(workshop.paths)
        best = study.best()
        assert best is not None and study.attribute(BEST_ATTRIBUTE) == best.number
    before = workshop.paths.journal.read_bytes()
    assert workshop.launch(n_trials=4).exit_code == 0
    assert workshop.paths.journal.read_bytes() == before
    with serving(StudiesFolder(workshop.paths.folder), "study") as url:
        said = attributes(Answer(api(url)).json()["user_attrs"])
    assert said["saved as the best: trial"] == str(best.number)
    workshop.write(
        "def objective(trial):\n    x = trial.suggest_float('x', 0, 1)\n    return x, -x\n"
    )
    both = {"direction": ("minimize", "minimize"), "study_name": "both"}
    assert workshop.launch(n_trials=2, **both).exit_code == 0
    both_paths = StudyPaths(workshop.paths.folder, "both")
    assert open_study(both_paths).attribute(BEST_ATTRIBUTE) == [0, 1]


def test_all_studies_of_the_folder_and_those_that_begin_meanwhile(
    studies: StudiesFolder, start: Start
) -> None:
    studies.root.mkdir()
    said: list[str] = []
    url = start(say=said.append)
    assert Answer(api(url) + "/studies").json() == {"study_summaries": []}
    for name in ("b", "a"):
        Listed(studies.study(name), {"directions": ["minimize"]}).add(1.0)
    (studies.root / "broken.log").write_text("rubbish\nrubbish\n")
    for _ in range(2):
        found = Answer(api(url) + "/studies").json()["study_summaries"]
        assert {each["study_name"]: each["study_id"] for each in found} == {"a": 0, "b": 1}
    for number, name in enumerate(("a", "b")):
        assert Answer(f"{api(url)}/studies/{number}").json()["name"] == name
    (line,) = said
    assert "broken.log" in line
    assert Answer(f"{api(url)}/studies/7").status == 404


EDITS = [
    ("POST", "/api/studies", {"study_name": "new", "directions": ["minimize"]}),
    ("POST", "/api/studies/0/rename", {"study_name": "new"}),
    ("DELETE", "/api/studies/0", None),
    ("PUT", "/api/studies/0/note", {"body": "x", "version": 1}),
    ("POST", "/api/trials/0/tell", {"state": "Fail"}),
    ("PUT", "/api/studies/0/0/note", {"body": "x", "version": 1}),
]


@pytest.mark.parametrize(("method", "path", "body"), EDITS, ids=lambda value: str(value)[:24])
def test_an_edit_is_refused_and_names_what_allows_it(
    paths: StudyPaths, start: Start, method: str, path: str, body: Any
) -> None:
    of_every_kind(paths)
    before = paths.journal.read_bytes()
    url = start("mine").partition("/dashboard")[0]
    refused = Answer(url + path, method, body)
    assert refused.status == 405 and refused.headers["Allow"] == "GET, HEAD"
    assert refused.json()["reason"].endswith("start it with --allow-writes")
    assert paths.journal.read_bytes() == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/static/../x", 404),
        (b"/static/%2e%2e/%2e%2e/etc/passwd", 404),
        (b"/static/..%2f..%2fREADME.md", 404),
        (b"/static/%00", 404),
        (b"/static/a%ff%00", 404),
        (b"/static/\xff", 404),
        (b"/static/" + b"a" * 5000, 404),
        (b"/static//etc/passwd", 404),
        (b"/static/bundle.js", 200),
        (b"/favicon.ico", 200),
    ],
)
def test_no_path_is_an_error_of_the_server_for_a_client_that_says_nothing_else(
    paths: StudyPaths, start: Start, path: bytes, status: int
) -> None:
    of_every_kind(paths)
    port = int(start().split("/")[2].rpartition(":")[2])
    for more in (b"", b"Accept-Encoding: gzip\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as asking:
            asking.sendall(b"GET " + path + b" HTTP/1.0\r\nHost: localhost\r\n" + more + b"\r\n")
            assert asking.makefile("rb").readline().split()[1] == str(status).encode()


def test_with_writes_a_note_is_kept_unless_another_page_asks(
    paths: StudyPaths, start: Start
) -> None:
    made = of_every_kind(paths)
    with pytest.raises(UsageError, match="--allow-writes needs a STUDY"):
        start(allow_writes=True)
    url = start("mine", allow_writes=True)
    note = {"body": "look at this", "version": 1}
    foreign = Answer(f"{api(url)}/note", "PUT", note, Origin="https://evil.example")
    assert foreign.status == 403 and "found one of https://evil.example" in foreign.text
    own = url.partition("/dashboard")[0]
    assert Answer(f"{api(url)}/note", "PUT", note, Origin=own).status == 204
    assert Answer(api(url)).json()["note"]["body"] == "look at this"
    made.record.check()
    assert b"look at this" in paths.journal.read_bytes()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "", "localhost.evil.x", "[", "evil.x@localhost"]
)
def test_a_foreign_host_is_refused(paths: StudyPaths, start: Start, host: str) -> None:
    of_every_kind(paths)
    url = start("mine")
    refused = Answer(api(url), Host=host)
    assert refused.status == 403 and "expected localhost as host" in refused.text


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:1", "[::1]:8080"])
def test_a_tunnel_may_end_at_any_port(paths: StudyPaths, start: Start, host: str) -> None:
    of_every_kind(paths)
    assert Answer(api(start("mine")), Host=host).status == 200


def test_what_cannot_be_served_is_said_in_one_line(
    studies: StudiesFolder, paths: StudyPaths, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_every_kind(paths)
    with pytest.raises(UsageError, match=r"no study mini in .*; did you mean mine"):
        start("mini")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port {port}: expected a port that is free on 127"):
            start("mine", port=port)
    broken = studies.study("broken")
    broken.journal.write_text("rubbish\nrubbish\n")
    with pytest.raises(JournalDamagedError):
        start("broken")
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    said = r"^dashboard needs optuna-dashboard: pip install '.*\[dashboard\]'$"
    with pytest.raises(UsageError, match=said):
        start("mine")


def test_the_command_says_what_to_open_and_ends_with_ctrl_c(paths: StudyPaths) -> None:
    of_every_kind(paths)
    command = [sys.executable, "-P", "-m", "journal_launcher", "dashboard", "mine"]
    process = subprocess.Popen(
        [*command, "--studies-dir", str(paths.folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        found = re.search(r"open (http://\S+) in a browser; Ctrl-C", process.stderr.readline())
        assert found is not None
        assert Answer(api(found[1])).json()["name"] == "mine"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (0, "", "")
