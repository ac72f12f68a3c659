"""docs/tutorial.md: every command as it stands there, on the CPU where the page has two GPUs."""

import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TUTORIAL = (ROOT / "docs/tutorial.md").read_text()
SITE = (ROOT / "mkdocs.yml").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```console\n(.+?)```", TUTORIAL, flags=re.S)
    for line in block.splitlines()
]
CHECKED_ELSEWHERE = (
    "./launch.sh pip install ",
)  # tests/test_launch_sh.py, with a wheel of its own


@pytest.mark.timeout(900)
def test_every_command_of_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.+?)```", TUTORIAL, flags=re.S)
    (tmp_path / "train.py").write_text(code)
    printed: dict[str, str] = {}
    run = [line for line in COMMANDS if not line.startswith(CHECKED_ELSEWHERE)]
    for line in run:
        words = shlex.split(line.replace("--gpus 0,1", "--gpus none --workers 2"))
        assert words[0] == "./launch.sh"
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "journal_launcher", *words[1:]],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            if words[1] == "dashboard":
                assert process.stderr is not None
                found = re.search(r"open (\S+) in a browser", process.stderr.readline())
                assert found is not None
                with urllib.request.urlopen(found[1], timeout=30) as answer:
                    assert answer.status == 200
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=200)
        finally:
            process.kill()
        assert process.returncode == 0, (line, out, err)
        printed[line] = out + err
    assert "12 of 12 trials finished" in printed[run[1]]
    assert "lr " in printed["./launch.sh best first"]
    assert "trial 12" in printed["./launch.sh enqueue first lr=0.01 width=32"]
    assert "16 of 16 trials finished, 4 of them now" in printed[run[6]]
    assert (tmp_path / "optuna_studies/first.html").is_file()
    assert (tmp_path / "optuna_studies/first.log").is_file()


def test_the_tutorial_is_the_page_that_was_tested() -> None:
    names = [shlex.split(line)[1] for line in COMMANDS]
    assert names == [
        *("doctor", "--objective", "status", "best", "trials", "enqueue"),
        *("--objective", "pip", "report", "dashboard"),
    ]


def test_every_page_has_its_place_in_the_site() -> None:
    placed = re.findall(r": (\w[\w-]*\.md)$", SITE.partition("\nnav:")[2], flags=re.M)
    assert sorted(placed) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    assert len(placed) == len(set(placed))


def test_no_page_links_out_of_the_site() -> None:
    for path in (ROOT / "docs").glob("*.md"):
        assert "](../" not in path.read_text(), f"{path.name}: the site has only the pages of docs/"
