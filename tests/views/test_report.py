"""`report`: what the page says of every kind of study, and that nothing in it runs or calls out."""

import json
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest
from launcher.harness import Workshop
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from views.listed import Listed, of_every_kind

from journal_launcher.__main__ import main
from journal_launcher.api import launch
from journal_launcher.base.errors import JournalDamagedError, UsageError
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.study.lease import Lease
from journal_launcher.views.report.page import report_path, write_report

HOSTILE = "</script><script>alert(1)</script><!--<b>\"'&amp;\x1b[2J\u202e"


class Page(HTMLParser):
    """A page as a browser would take it apart: text by section, JSON, and whatever calls out."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.words: dict[str, list[str]] = {}
        self.charts: dict[str, list[Any]] = {}
        self.trials: Any = None
        self._section = ""
        self._script: dict[str, str | None] | None = None
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.tags.append(tag)
        links = [said[name] or "" for name in ("src", "href", "action", "data") if name in said]
        self.outside += [link for link in links if not link.startswith("#")]
        self.outside += [name for name in said if name.startswith("on")]
        if tag == "section":
            self._section = said["id"] or ""
        if tag == "script":
            self._script = said

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.words.setdefault(self._section, []).append(data)
        elif self._script.get("id") == "all-trials":
            self.trials = json.loads(data)
        elif self._script.get("type") == "application/json":
            self.charts.setdefault(self._section, []).append(json.loads(data))

    def text(self, section: str) -> str:
        return " ".join(" ".join(self.words[section]).split())

    def charts_flat(self) -> list[Any]:
        return [chart for charts in self.charts.values() for chart in charts]

    def column(self, head: str) -> list[Any]:
        place = self.trials["heads"].index(head)
        return [row[place] for row in self.trials["rows"]]


@pytest.fixture
def paths(tmp_path: Path) -> StudyPaths:
    return StudiesFolder.at(tmp_path / "my studies").study("mine")


def page_of(paths: StudyPaths) -> Page:
    file = report_path(paths)
    write_report(paths, file, "--out")
    page = Page(file.read_text())
    assert page.outside == [] and page.tags.count("script") == page.source.count("<script")
    return page


def test_every_kind_of_trial_is_in_the_table_and_the_words(paths: StudyPaths) -> None:
    of_every_kind(paths)
    before = paths.journal.read_bytes()
    page = page_of(paths)
    assert paths.journal.read_bytes() == before
    assert page.trials["heads"] == [
        *("trial", "state", "r2", "reported", "lr", "depth", "loss", "device", "seconds"),
        *("fold 0", "fold 1", "reason"),
    ]
    states = ["complete", "pruned", "fail", "interrupted", "complete", "waiting", "stale"]
    assert page.column("state") == [*states, "running"]
    assert page.column("r2")[:5] == [0.5, None, None, None, 0.75]
    assert page.column("reported")[:3] == [None, 0.123456789, None]
    assert page.column("reason")[4] == "does not meet a constraint"
    assert page.trials["chosen"] == [0]
    summary = page.text("summary")
    assert (
        "4 parameter" not in summary and "3 parameters; judged by r2 (larger is better)." in summary
    )
    assert "3 trials finished: 2 complete, 1 pruned, 1 fail, 1 interrupted, 1 waiting" in summary
    assert "best r2 0.5 ± 0.35 (standard deviation over 2 folds)" in summary
    assert "health not judged" in summary
    failed = page.text("failures")
    assert r"ValueError 1 2 ValueError: bad\nsecond line" in failed and "interrupted 1 3" in failed


def test_the_line_goes_through_the_best_values_and_over_none_that_cannot_be_it(
    paths: StudyPaths,
) -> None:
    made = Listed(paths, {"directions": ["minimize"], "seed": 0})
    for value, constraint in ((3.0, -1.0), (4.0, -1.0), (1.0, 1.0), (2.0, 0.0), (2.5, -1.0)):
        made.add(value, constraints=[constraint])
    over_trials, over_time = page_of(paths).charts["progress"]
    for chart in (over_trials, over_time):
        best = next(trace for trace in chart["data"] if trace["name"] == "best so far")
        assert best["y"] == [3.0, 2.0, 2.0]
        odd = next(trace for trace in chart["data"] if trace["name"] == "cannot be the best")
        assert odd["y"] == [1.0] and "does not meet a constraint" in odd["text"][0]
    assert next(t for t in over_trials["data"] if t["name"] == "best so far")["x"] == [0, 3, 4]


def test_pruned_trials_are_marked_or_said_to_be_missing(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["minimize"], "seed": 0})
    for value in (1.0, 1.5, 2.0):
        made.add(value, params={"lr": value / 10})
    made.add(9.0, state=TrialState.PRUNED, params={"lr": 0.3})
    made.add(1.25, state=TrialState.PRUNED, params={"lr": 0.4})
    page = page_of(paths)
    (slice_,) = page.charts["slices"]
    pruned, complete = slice_["data"]
    assert (pruned["x"], pruned["y"]) == ([0.3, 0.4], [9.0, 1.25])
    assert pruned["text"][1].endswith("(pruned)") and complete["y"] == [1.0, 1.5, 2.0]
    assert slice_["layout"]["yaxis"]["range"][1] < 3
    assert "triangle is a pruned one" in page.text("slices")
    assert "1 pruned trial lies outside" in page.text("slices")
    for section in ("progress", "importance"):
        assert "The 2 pruned trials are not in it" in page.text(section), section


def test_numbers_are_rounded_once(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["minimize"], "seed": 0})
    made.add(0.12345499, params={"lr": 0.22222449999}, jl_fold_scores=[0.3333349999])
    page = page_of(paths)
    assert [page.column(name) for name in ("value", "lr", "fold 0")] == [
        *([0.12345499], [0.22222449999], [0.3333349999])
    ]


def test_the_summary_says_which_trial_and_which_weights(paths: StudyPaths) -> None:
    of_every_kind(paths)
    assert "trial 0 best r2 0.5" in page_of(paths).text("summary")
    other = StudyPaths(paths.folder, "weighted")
    identity = {"kind": "table", "directions": ["maximize"], "weight_column": "w", "target": "y"}
    frame = str(other.frame("0" * 64))
    Listed(other, {**identity, "model_type": "linear"}, {"data": frame, "target": "y"})
    summary = page_of(other).text("summary")
    assert "predicts y of a DataFrame" in summary
    assert "A row counts by its weight, in the column w." in summary


def test_the_worst_few_do_not_press_the_others_flat_and_are_counted(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["minimize"], "seed": 0})
    for number in range(30):
        made.add(1e6 if number == 3 else 1.0 + number / 100)
    page = page_of(paths)
    low, high = page.charts["progress"][0]["layout"]["yaxis"]["range"]
    assert low < 1.0 and 1.4 > high > 1.2
    assert "1 worse trial lies outside" in page.text("progress")


def test_nothing_that_a_user_can_name_gets_out_of_its_place(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["maximize"], "metric": HOSTILE, "objective": HOSTILE})
    for number in range(4):
        made.record._study.add_trial(
            optuna.create_trial(
                value=float(number),
                params={HOSTILE: HOSTILE, "x": 0.1 * number, "{{plotly}}": 0.5},
                distributions={
                    HOSTILE: CategoricalDistribution([HOSTILE, "1"]),
                    "x": FloatDistribution(0, 1),
                    "{{plotly}}": FloatDistribution(0, 1),
                },
                user_attrs={"jl_device": HOSTILE},
            )
        )
    made.add(state=TrialState.FAIL, jl_fail_reason=HOSTILE)
    page = page_of(paths)
    assert page.tags.count("b") == 0 and page.tags.count("script") == len(page.charts_flat()) + 3
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\u202a-\u202e]", page.source.partition("plotly.js v")[0]
    )
    for chart in page.charts_flat():
        shown = json.dumps([chart["layout"], [t.get("text") for t in chart["data"]]])
        assert "<b>" not in shown and "\\u001b" not in shown
    assert r"</script><script>" in page.text("summary")


def test_what_failed_to_finish_or_never_began_is_a_page_too(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["minimize"], "seed": 0})
    assert "there is none yet. There is no best trial yet." in page_of(paths).text("summary")
    made.begin(ours=True)
    with Lease(paths.lease, "mine", "launch"):
        page = page_of(paths)
    assert "The study is being run now" in page.text("summary")
    (chart,) = page.charts["timeline"]
    assert [t["name"] for t in chart["data"]] == ["idle", "running"]
    assert "progress" not in page.charts and page.trials["rows"][0][1] == "running"


def test_two_objectives_have_a_front_and_no_single_best(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["minimize", "maximize"], "seed": 0})
    for one, other in ((1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (0.5, 0.1)):
        made.add(one, other)
    made.add(0.0, 9.0, constraints=[1.0])
    page = page_of(paths)
    assert page.trials["chosen"] == [0, 1, 3]
    assert "best 3 Pareto-optimal trials of 2 objectives" in page.text("summary")
    (chart,) = page.charts["pareto"]
    front = next(trace for trace in chart["data"] if trace["name"] == "Pareto-optimal")
    assert list(zip(front["x"], front["y"], strict=True)) == [(0.5, 0.1), (1, 1), (2, 3)]
    assert "cannot be the best" in [trace["name"] for trace in chart["data"]]
    assert "value 1 (larger is better)" in page.text("summary")


def test_an_infinite_value_is_listed_and_never_the_best(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["minimize"], "seed": 0})
    for value in (1.0, float("inf"), float("-inf"), 2.0):
        made.add(value)
    page = page_of(paths)
    assert page.trials["chosen"] == [0] and page.column("value") == [1.0, "inf", "-inf", 2.0]


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution should be")
def test_choices_that_are_lists_huge_values_and_what_optuna_cannot_weigh(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["maximize"], "seed": 0})
    layers = CategoricalDistribution([[64, 32], [8], None])
    for number in range(40):
        good = number % 4 == 0
        trial = optuna.create_trial(
            value=number + (1e308 if good else -1e308),
            params={"layers": [8] if good else [64, 32], "x": (number % 7) / 7},
            distributions={"layers": layers, "x": FloatDistribution(0, 1)},
        )
        made.record._study.add_trial(trial)
    page = page_of(paths)
    (shares,) = page.charts["importance"]
    assert shares["layout"]["yaxis"]["ticktext"][0] == "layers" and shares["data"][0]["x"][0] > 0.5
    labels = page.charts["slices"][0]["layout"]["xaxis"]["ticktext"]
    assert labels == ["[64, 32]", "[8]", "None"]
    huge = {"n": IntDistribution(1, 10**30, log=True)}
    for number in range(20):
        trial = optuna.create_trial(
            value=1.7e308, params={"n": 10 ** (9 + number)}, distributions=huge
        )
        made.record._study.add_trial(trial)
    assert "It could not be worked out for value: TypeError" in page_of(paths).text("importance")


OBJECTIVE = """
import optuna

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if trial.number == 2:
        raise ValueError("two")
    for step in range(5):
        trial.report(x + 1 / (step + 1), step)
    if trial.number == 3:
        raise optuna.TrialPruned()
    return x
"""


def test_a_launch_of_an_objective(workshop: Workshop) -> None:
    workshop.write(OBJECTIVE)
    assert workshop.launch(n_trials=6, workers=2).exit_code == 0
    page = page_of(workshop.paths)
    assert "6 of 6 trials finished: 5 complete, 1 fail, 1 pruned." in page.text("summary")
    assert "ValueError 1 2 ValueError: two" in page.text("failures")
    names = [trace["name"] for trace in page.charts["learning"][0]["data"]]
    assert "pruned" in names and "the best 5" in names
    (timeline,) = page.charts["timeline"]
    states = {trace["name"]: len(trace["x"]) for trace in timeline["data"]}
    assert {**states, "idle": 0} == {"idle": 0, "complete": 5, "pruned": 1, "fail": 1}
    assert "worker 0, CPU" in page.text("timeline")
    provenance = page.text("provenance")
    for word in ("again", "command line", "versions python 3", "option n-trials 6"):
        assert word in provenance, word
    assert "option direction" not in provenance  # it is the default


def test_a_launch_of_a_table(tmp_path: Path) -> None:
    ended = launch(
        data="sklearn:diabetes",
        model_type="hist_gradient_boosting",
        k_folds=2,
        n_trials=2,
        gpus="none",
        studies_dir=str(tmp_path / "s"),
        study_name="t",
        confirm=2,
    )
    assert ended.exit_code == 0
    page = page_of(StudiesFolder.at(tmp_path / "s").study("t"))
    summary = page.text("summary")
    assert "hist_gradient_boosting, which predicts target of the table sklearn:diabetes" in summary
    for word in ("chosen r2", "confirmed r2", "hold-out r2", "baselines dummy", "health"):
        assert word in summary
    drawn = {"progress", "folds", "timeline", "learning", "features"}
    assert drawn <= set(page.charts)
    names = [trace["name"] for trace in page.charts["learning"][0]["data"]]
    assert names == ["validation rows", "train rows"]
    assert "fresh folds" in [trace["name"] for trace in page.charts["folds"][0]["data"]]
    assert "better_than_dummy" in page.text("health") and "rmse" in page.text("holdout")
    assert (
        "better_than_linear" in page.text("health") and "warning" not in summary.split("health")[0]
    )
    (residuals,) = page.charts["holdout"]
    assert len(residuals["data"][0]["x"]) > 50 and "Residuals" in page.text("holdout")
    assert "data sha256" in page.text("provenance") and "bmi" in json.dumps(page.charts["features"])


def test_calibration_is_drawn_by_bins_and_names_the_class(paths: StudyPaths) -> None:
    made = Listed(paths, {"kind": "table", "directions": ["minimize"], "metric": "log_loss"})
    made.add(0.5)
    metrics = {"holdout_metrics": {"log_loss": 0.5}, "files": {"best_model.x": "abc"}}
    model = {"schema_version": 1, "kind": "table", "trial": 0, "model_file": "best_model.x"}
    paths.directory.mkdir()
    paths.sidecar.write_text(json.dumps({**model, **metrics, "metric": "log_loss"}))
    kept = {"rows": 12, "calibration": [[0.1, 0.0, 3], [0.9, 1.0, 9]], "of": "malignant"}
    found = {"schema_version": 1, "trial": 0, "model_sha256": "abc", "holdout": kept}
    paths.diagnostics.write_text(json.dumps({**found, "non_finite": []}))
    page = page_of(paths)
    (chart,) = page.charts["holdout"]
    bins, line = chart["data"]
    assert (bins["x"], bins["y"], line["y"]) == ([0.1, 0.9], [0.0, 1.0], [0, 1])
    assert bins["text"][1] == "9 rows: said 90%, was so 100%"
    assert chart["layout"]["xaxis"]["title"]["text"] == "probability of malignant"
    assert "says of malignant" in page.text("holdout")
    assert "The published model, on rows that" in page.text("holdout")
    several = {**model, **metrics, "metric": "log_loss", "members": 5}
    paths.sidecar.write_text(json.dumps(several))
    mean = "The published model, the mean of 5 trainings, on rows that"
    assert mean in page_of(paths).text("holdout")
    paths.diagnostics.unlink()
    assert "No prediction of these rows was kept" in page_of(paths).text("holdout")


def test_what_is_no_report_is_never_overwritten(paths: StudyPaths, tmp_path: Path) -> None:
    of_every_kind(paths)
    file = report_path(paths)
    file.write_text("<html>mine</html>")
    with pytest.raises(UsageError, match=r"mine.html: expected a report to replace, found another"):
        write_report(paths, file, "--out")
    assert file.read_text() == "<html>mine</html>"
    file.unlink()
    page_of(paths)
    assert "mine" in page_of(paths).text("")  # its own report it replaces
    with pytest.raises(UsageError, match="expected a file to write, found a folder"):
        write_report(paths, tmp_path, "--out")
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        write_report(paths, tmp_path / "no" / "x.html", "--out")


def test_the_command_says_where_it_wrote_and_opens_it(
    paths: StudyPaths,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    of_every_kind(paths)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url))  # falsy: no browser
    out = tmp_path / "my report.html"
    given = ("--studies-dir", str(paths.folder))
    for more, file in (((), report_path(paths)), (("--out", str(out), "--open"), out)):
        with pytest.raises(SystemExit) as caught:
            main(["report", "mine", *given, *more])
        assert not caught.value.code and Page(file.read_text()).trials["chosen"] == [0]
        said = capsys.readouterr()
        assert f"wrote {file}\n" in said.err and said.out == ""
    assert opened == [out.as_uri()] and "open the file in yours" in said.err


def test_no_study_a_damaged_one_and_no_plotly(
    paths: StudyPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_every_kind(paths)
    other = StudyPaths(paths.folder, "mini")
    with pytest.raises(UsageError, match=r"no study mini in .*; did you mean mine"):
        write_report(other, report_path(other), "--out")
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "plotly.offline", None)
        with pytest.raises(UsageError, match=r"^report needs plotly: pip install '.*\[report\]'$"):
            write_report(paths, report_path(paths), "--out")
    text = paths.journal.read_bytes()
    paths.journal.write_bytes(text[:300] + b"rubbish\n" + text[300:])
    with pytest.raises(JournalDamagedError):
        write_report(paths, report_path(paths), "--out")
    assert not report_path(paths).exists()


def _many(paths: StudyPaths, n: int) -> None:
    made = Listed(paths, {"directions": ["maximize"], "seed": 0})
    space = {f"p{place:02}": FloatDistribution(1e-5, 1, log=place % 2 == 0) for place in range(15)}
    begun = datetime(2026, 1, 1)
    trials = []
    for number in range(n):
        share = (number * 0.6180339887) % 1
        trial = optuna.create_trial(
            value=-abs(share - 0.3),
            params={name: 1e-5 + (share * (place + 1)) % 0.99 for place, name in enumerate(space)},
            distributions=space,
            user_attrs={"jl_fold_scores": [share] * 5, "jl_device": "GPU 0 H200"},
        )
        trial.datetime_start = begun + timedelta(seconds=number)
        trial.datetime_complete = trial.datetime_start + timedelta(seconds=1.5)
        trials.append(trial)
    made.record._study.add_trials(trials)


@pytest.mark.slow
def test_ten_thousand_trials_take_seconds_and_megabytes_that_can_be_sent(paths: StudyPaths) -> None:
    _many(paths, 10_000)
    begun = time.process_time()
    write_report(paths, report_path(paths), "--out")
    assert time.process_time() - begun < 20
    assert report_path(paths).stat().st_size < 15_000_000


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="apt-get install chromium")
def test_a_browser_draws_every_chart(paths: StudyPaths, tmp_path: Path) -> None:
    _many(paths, 300)
    charts = page_of(paths).charts_flat()
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile")
    page = report_path(paths).as_uri()
    for width, name in ((1440, "another writer (1)"), (390, "another writer …")):
        drawn = subprocess.run(
            ["chromium", *options, f"--window-size={width},800", "--dump-dom", page],
            capture_output=True,
            text=True,
            timeout=200,
            check=True,
        ).stdout
        assert drawn.count('class="plot-container') == len(charts) > 10
        assert "The first 100 of 300 trials: show all" in drawn
        ticks = re.findall(r'class="ytick"><text [^>]*>([^<]+)</text>', drawn)
        assert name in ticks, ticks  # a phone has room for the beginning of a name
