"""`trials`: what it says of every kind of trial, on paper of any width, and as CSV and JSON."""

import csv
import io
import json
import math
import re
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from views.listed import PARAMS, Listed, of_every_kind

from journal_launcher.base.errors import JournalDamagedError, UsageError
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.study.lease import Lease
from journal_launcher.views.trials import TrialList

STATES = ["complete", "pruned", "fail", "interrupted", "complete", "waiting", "stale", "running"]


@pytest.fixture
def paths(tmp_path: Path) -> StudyPaths:
    return StudiesFolder.at(tmp_path / "my studies").study("mine")


def shown(paths: StudyPaths, width: int | None = None) -> tuple[list[str], str | None]:
    lines, left_out = TrialList(paths).lines(width)
    return list(lines), left_out


def test_a_pipe_gets_every_column_of_every_kind_of_trial(paths: StudyPaths) -> None:
    of_every_kind(paths)
    heads, *rows = (" ".join(line.split()) for line in shown(paths)[0])
    assert heads == "trial state r2 reported lr depth loss device time folds reason"
    assert rows == [
        "0 complete 0.5 0.12346 3 mae GPU 0 H200 4.5 s 0.25 0.75",
        "1 pruned 0.12346 1e-05 1:15",
        r"2 fail 0.12346 3 mae 1:15 ValueError: bad\nsecond line",
        "3 interrupted 1:15 interrupted: stopped",
        "4 complete 0.75 0.12346 3 mae 1:15 does not meet a constraint",
        "5 waiting 0.12346 3 mae",
        "6 stale GPU 0 X",
        "7 running GPU 0 X",
    ]
    assert {line.find(state) for line, state in zip(shown(paths)[0][1:], STATES, strict=True)} == {
        7
    }
    with Lease(paths.lease, "mine", "launch"):
        assert "6  running" in shown(paths)[0][7]


def test_it_changes_nothing_and_needs_no_lease(paths: StudyPaths) -> None:
    of_every_kind(paths)
    with Lease(paths.lease, "mine", "launch"):
        files = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in paths.folder.rglob("*.l*")}
        TrialList(paths, best_first=True).to_json()
        assert files and all(
            (p.stat().st_mtime_ns, p.read_bytes()) == found for p, found in files.items()
        )


def test_a_terminal_shows_what_fits_and_names_the_rest(paths: StudyPaths) -> None:
    of_every_kind(paths)
    found = TrialList(paths)
    as_tables = 0
    for width in (*range(20, 130, 3), 200):
        drawn, note = found.lines(width)
        lines = list(drawn)
        if not lines[0].startswith("trial  state"):  # too narrow for a table
            assert width < 65 and note is None and as_tables == 0
            assert len([line for line in lines if line.startswith("trial   ")]) == 8
            assert "  r2        0.5" in lines
            assert r"  reason    ValueError: bad\nsecond line" in lines
            continue
        as_tables += 1
        assert max(map(len, lines)) <= width
        order = ["folds", "device", "reported", "loss", "depth", "lr"]
        told = [] if note is None else re.findall(r"for (.+);", note)[0].split(", ")
        assert told == order[: len(told)]
        assert [name in lines[0].split() for name in order] == [name not in told for name in order]
        assert "second line" in "\n".join(lines) or "…" in "\n".join(lines)
    assert as_tables > 20 and note is None and lines == shown(paths)[0]


def test_of_many_columns_that_do_not_fit_a_few_are_named(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["minimize"], "seed": 0})
    names = [f"a_long_name_{n}" for n in range(10)]
    trial = optuna.create_trial(
        value=1.0,
        params=dict.fromkeys(names, 0.5),
        distributions={name: FloatDistribution(0, 1) for name in names},
    )
    made.record._study.add_trial(trial)
    lines, note = shown(paths, 60)
    assert lines[0].split() == ["trial", "state", "value", *names[:2], "time"]
    named = ", ".join(reversed(names[5:]))
    assert note == f"too narrow for {named}, 3 more; `| cat` shows everything"


def test_characters_of_double_width_keep_the_columns(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["minimize"], "seed": 0})
    made.add(state=TrialState.FAIL, params={}, jl_device="显卡", jl_fail_reason="x")
    made.add(state=TrialState.FAIL, params={}, jl_device="GPU0", jl_fail_reason="y" * 50)
    lines, _ = shown(paths, 54)
    assert lines[1] == "    0  fail   显卡    1:15  x"
    assert lines[2] == "    1  fail   GPU0    1:15  " + "y" * 25 + "…"


def test_best_first_and_those_that_cannot_be_the_best_last(paths: StudyPaths) -> None:
    made = of_every_kind(paths)
    made.add(0.9)
    made.add(math.inf)
    made.add(0.5)
    rows = TrialList(paths, best_first=True).rows
    assert [row.number for row in rows] == [8, 0, 10, 1, 2, 3, 4, 5, 6, 7, 9]


def test_several_objectives(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["minimize", "maximize"], "seed": 0})
    for values in ((2.0, 5.0), (1.0, -math.inf), (3.0, 1.0)):
        made.add(*values)
    made.add(0.5, 1.0, constraints=[0.5])
    made.add(state=TrialState.FAIL)
    assert shown(paths)[0][0].startswith("trial  state     value 0  value 1  ")
    found = TrialList(paths, best_first=True)
    assert [row.number for row in found.rows] == [1, 0, 2, 3, 4]
    trials = found.to_json()["trials"]
    assert trials[0]["values"] == [1.0, "-inf"] and trials[-1]["values"] is None
    assert found.to_csv().startswith("number,state,values_0,values_1,params_lr,")


def test_another_number_of_values_is_said(paths: StudyPaths) -> None:
    made = of_every_kind(paths)
    written = paths.journal.read_text()
    made.add(0.625)
    added = paths.journal.read_text().removeprefix(written)
    single, double = '"value":0.625,"values":null', '"value":null,"values":[0.625,1.0]'
    assert added.count(single) == 1
    paths.journal.write_text(written + added.replace(single, double))
    assert shown(paths)[0][-1].endswith("  another writer gave it 2 values instead of 1")
    assert TrialList(paths, best_first=True).rows[-1].number == 8


def test_csv_has_all_digits_and_what_is_odd_in_quotes(paths: StudyPaths) -> None:
    made = of_every_kind(paths)
    made.add(0.1, params={**PARAMS, "loss": None})
    made.add(0.1, params={**PARAMS, "loss": math.inf})
    rows = list(csv.DictReader(io.StringIO(TrialList(paths).to_csv())))
    assert list(rows[0]) == [
        *("number", "state", "value", "last_report"),
        *("params_lr", "params_depth", "params_loss"),
        *("device", "duration_s", "fold_0", "fold_1", "reason"),
    ]
    assert ",".join(rows[0].values()) == (
        "0,complete,0.5,,0.123456789,3,mae,GPU 0 H200,4.56,0.25,0.75,"
    )
    assert (rows[1]["value"], rows[1]["last_report"]) == ("", "0.123456789")
    assert rows[1]["params_depth"] == ""
    assert rows[2]["reason"] == "ValueError: bad\nsecond line"
    assert [row["params_loss"] for row in rows[-2:]] == ["None", "inf"]


def test_json_is_json(paths: StudyPaths) -> None:
    made = of_every_kind(paths)
    made.add(-math.inf, params={**PARAMS, "loss": math.inf})
    found = json.loads(json.dumps(TrialList(paths).to_json(), allow_nan=False))
    assert [*found] == ["schema_version", "study", "metric", "directions", "trials"]
    assert found["trials"][0] == {
        "number": 0,
        "state": "complete",
        "value": 0.5,
        "last_report": None,
        "params": PARAMS,
        "device": "GPU 0 H200",
        "duration_s": 4.56,
        "fold_scores": [0.25, 0.75],
        "metrics": None,
        "reason": None,
        "repeats": None,
    }
    assert (found["trials"][1]["value"], found["trials"][1]["last_report"]) == (None, 0.123456789)
    assert found["trials"][3]["value"] is None and found["trials"][8]["value"] == "-inf"
    assert found["trials"][8]["params"]["loss"] == "inf"


def test_all_metrics_of_a_trial_are_in_json_and_csv(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["maximize"], "metric": "r2", "seed": 0})
    made.add(0.25)  # of an older version
    made.add(0.5, jl_metrics={"r2": 0.5, "rmse": 2.0, "mae": None})
    listed = TrialList(paths)
    found = [trial["metrics"] for trial in listed.to_json()["trials"]]
    assert found == [None, {"r2": 0.5, "rmse": 2.0, "mae": None}]
    head, *rows = (line.split(",") for line in listed.to_csv().splitlines())
    assert head[-4:] == ["metric_r2", "metric_rmse", "metric_mae", "reason"]
    assert [row[-4:] for row in rows] == [["", "", "", ""], ["0.5", "2.0", "", ""]]


def test_a_trial_that_repeats_one_says_which(paths: StudyPaths) -> None:
    made = Listed(paths, {"directions": ["maximize"], "seed": 0})
    made.add(state=TrialState.FAIL, jl_fail_reason="worker killed by SIGKILL")
    made.add(0.5, jl_repeats=0)
    made.add(0.25, jl_repeats="odd")
    listed = TrialList(paths)
    assert [trial["repeats"] for trial in listed.to_json()["trials"]] == [None, 0, None]
    head, *rows = (line.split(",") for line in listed.to_csv().splitlines())
    assert head[-2:] == ["repeats", "reason"] and [row[-2] for row in rows] == ["", "0", ""]
    lines, _ = shown(paths)
    assert lines[0].split()[-3:] == ["repeat", "of", "reason"]
    assert lines[2].split()[-1] == "0"


def test_no_trial_yet(paths: StudyPaths) -> None:
    Listed(paths, {"directions": ["minimize"], "seed": 0})
    assert shown(paths) == ([], "no trial yet") == shown(paths, 80)
    assert TrialList(paths).to_csv() == "number,state,value,device,duration_s,reason\n"
    assert TrialList(paths).to_json()["trials"] == []


def test_damage_is_said_as_status_says_it(paths: StudyPaths) -> None:
    of_every_kind(paths)
    with paths.journal.open("ab") as file:
        file.write(b"rubbish\n{}\n")
    with pytest.raises(JournalDamagedError, match=r"byte \d+.*journal-launcher repair mine"):
        TrialList(paths)


def test_an_empty_journal_and_none(paths: StudyPaths) -> None:
    paths.folder.mkdir()
    with pytest.raises(UsageError, match="no study mine in"):
        TrialList(paths)
    paths.journal.touch()
    with pytest.raises(UsageError, match=r"mine\.log: the journal holds no study"):
        TrialList(paths)
    of_every_kind(StudiesFolder.at(paths.folder).study("mien"))
    with pytest.raises(UsageError, match=r"did you mean mien\?"):
        TrialList(StudiesFolder.at(paths.folder).study("miens"))
