"""Launches of a DataFrame: its file is the study's own, and is there as long as that needs it."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from launcher.harness import ROOT, Workshop, finish, wait_until

from journal_launcher.api import load_model
from journal_launcher.base import events
from journal_launcher.base.errors import IdentityError, JournalLauncherError, UsageError
from journal_launcher.launcher.given_table import kept_table
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.lease import Lease

ROWS = 90


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=ROWS).round(3)
    words = pd.Series(["red", "blue", None] * (ROWS // 3))
    more = {"word": words.astype("category"), "day": pd.date_range("2024-01-01", periods=ROWS)}
    return pd.DataFrame({"x": x, **more, "good": x > 0.2, "y": x * 3 + rng.normal(size=ROWS)})


def frames(shop: Workshop) -> list[str]:
    return sorted(path.name for path in shop.paths.directory.glob("*frame*"))


class TestKeptTable:
    def settings(self, shop: Workshop) -> LaunchSettings:
        return LaunchSettings(studies_dir=str(shop.paths.folder), data="frame", study_name="study")

    def test_is_named_by_its_content_and_stays(self, workshop: Workshop) -> None:
        for content in (b"one", b"two", b"one"):
            with kept_table(self.settings(workshop), content) as settings:
                assert Path(settings.data).read_bytes() == content
                assert Path(settings.data).parent == workshop.paths.directory
        assert len(frames(workshop)) == 2

    def test_is_put_right_where_somebody_changed_it(self, workshop: Workshop) -> None:
        for _ in range(2):
            with kept_table(self.settings(workshop), b"one") as settings:
                assert Path(settings.data).read_bytes() == b"one"
            Path(settings.data).write_bytes(b"on")

    def test_of_bad_input_leaves_nothing(self, workshop: Workshop) -> None:
        with pytest.raises(UsageError), kept_table(self.settings(workshop), b"one"):
            raise UsageError("no such column")
        assert not workshop.paths.folder.exists()

    def test_that_was_there_before_stays(self, workshop: Workshop) -> None:
        for error in (None, UsageError("no such column")):
            with contextlib.suppress(UsageError), kept_table(self.settings(workshop), b"one"):
                if error is not None:
                    raise error
        assert len(frames(workshop)) == 1

    def test_stays_where_the_study_may_have_begun(self, workshop: Workshop) -> None:
        with pytest.raises(JournalLauncherError), kept_table(self.settings(workshop), b"one"):
            raise JournalLauncherError("all trials failed")
        assert len(frames(workshop)) == 1
        paths = workshop.paths
        with Lease(paths.lease, "study", "another"):  # which may have the same table
            with pytest.raises(UsageError), kept_table(self.settings(workshop), b"two"):
                raise UsageError("no such column")
            assert len(frames(workshop)) == 2

    def test_is_written_into_no_strange_folder(self, workshop: Workshop) -> None:
        workshop.paths.directory.mkdir(parents=True)
        (workshop.paths.directory / "thesis.tex").touch()
        with (
            pytest.raises(UsageError, match=r"what no launch of it made \(thesis.tex\)"),
            kept_table(self.settings(workshop), b"one"),
        ):
            raise AssertionError("never got here")
        assert frames(workshop) == []

    def test_alone_or_half_written_does_not_keep_a_launch_away(self, workshop: Workshop) -> None:
        workshop.paths.directory.mkdir(parents=True)
        (workshop.paths.directory / ".frame-0123456789abcdef.safetensors.x1y2").touch()
        lease = Lease(workshop.paths.lease, "study", "this")
        with kept_table(self.settings(workshop), b"one"), lease:
            assert len(frames(workshop)) == 2

    def test_says_where_it_cannot_be_written(self, workshop: Workshop) -> None:
        workshop.paths.folder.mkdir()
        workshop.paths.directory.symlink_to("nowhere/at all")
        with (
            pytest.raises(UsageError, match="expected a folder"),
            kept_table(self.settings(workshop), b"one"),
        ):
            raise AssertionError("never got here")


def table(shop: Workshop, data: Any, **options: Any) -> Any:
    given = {"model_type": "linear", "k_folds": 3, "target": "y", "confirm": 0, **options}
    return shop.launch(objective=None, data=data, **given)


@pytest.mark.slow  # every worker imports scikit-learn
class TestLaunches:
    def test_give_the_trials_of_the_files_and_a_model_that_predicts(
        self, workshop: Workshop, frame: pd.DataFrame
    ) -> None:
        frame.to_csv(workshop.folder / "table.csv", index=False)
        frame.to_parquet(workshop.folder / "table.parquet")
        found = []
        for name, data in (
            ("study", frame),
            ("csv", workshop.folder / "table.csv"),
            ("parquet", workshop.folder / "table.parquet"),
        ):
            result = table(workshop, data, study_name=name, n_trials=3)
            assert result.exit_code == 0, result.message
            predicted = load_model(result.model_path).predict(frame).tolist()
            found.append((result.best_trial, predicted))
        assert found[0] == found[1] == found[2]
        assert len(frames(workshop)) == 1

    def test_go_on_with_the_same_frame_and_name_a_changed_one(
        self, workshop: Workshop, frame: pd.DataFrame
    ) -> None:
        first = table(workshop, frame, n_trials=1, study_name=None)
        assert (first.exit_code, first.study_name) == (0, "frame_y_linear")
        assert "study frame_y_linear has its data in" in str(workshop.of(events.Note))
        again = table(
            workshop, frame.copy().set_axis(range(5, ROWS + 5)), n_trials=2, study_name=None
        )
        assert again.exit_code == 0
        (started,) = workshop.of(events.LaunchStarted)
        assert (started.resumed, started.n_finished) == (True, 1)
        folder = workshop.paths.folder / "frame_y_linear"
        (kept,) = folder.glob("frame-*")
        changed = frame.assign(x=frame["x"] + 1)
        with pytest.raises(
            IdentityError,
            match=f"DataFrame is not the one .*that one is in {kept}.*pass the old Data",
        ):
            table(workshop, changed, study_name=None)
        assert [*folder.glob("frame-*")] == [kept]
        anew = table(workshop, changed, n_trials=1, study_name=None, overwrite=True)
        assert anew.exit_code == 0
        (other,) = folder.glob("frame-*")
        (aside,) = workshop.paths.folder.glob("frame_y_linear.*Z/frame-*")
        assert other.name != kept.name == aside.name
        assert table(workshop, changed, n_trials=2, study_name=None).exit_code == 0

    def test_of_bad_input_leave_nothing(self, workshop: Workshop, frame: pd.DataFrame) -> None:
        with pytest.raises(UsageError, match=r"--target z: no such column; there are x, word"):
            table(workshop, frame, target="z")
        with pytest.raises(UsageError, match=r"needs --target COLUMN, one of x, word"):
            table(workshop, frame, target=None)
        left = {path.name for path in workshop.paths.folder.glob("*")}
        assert left <= {".cache"}, left

    def test_compare_model_types_on_one_file(self, workshop: Workshop, frame: pd.DataFrame) -> None:
        given: Any = {"compare_models": True, "model_types": "linear,hist_gradient_boosting"}
        result = workshop.launch(
            objective=None,
            data=frame,
            target="good",
            study_name=None,
            n_trials=1,
            k_folds=3,
            confirm=0,
            **given,
        )
        assert (result.exit_code, result.study_name) == (0, "frame_good")
        found = [path.parent.name for path in workshop.paths.folder.glob("*/frame-*")]
        assert found == ["frame_good"]
        model = load_model(workshop.paths.folder / "frame_good")
        assert model.predict(frame).dtype == bool

    def test_killed_at_any_time_go_on(self, workshop: Workshop, frame: pd.DataFrame) -> None:
        frame.to_parquet(workshop.folder / "table.parquet")
        script = workshop.folder / "mine.py"
        script.write_text(
            "import os, signal, sys\nimport pandas as pd\nfrom journal_launcher import launch\n"
            "def kill(event):\n"
            "    if type(event).__name__ == sys.argv[1]:\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "frame = pd.read_parquet('table.parquet')\n"
            "launch(on_event=kill, data=frame, target='y', model_type='linear', k_folds=3, "
            "n_trials=3, gpus='none', study_name='study', studies_dir='studies')\n"
        )
        for event, code in (("Note", -signal.SIGKILL), ("TrialEnded", -signal.SIGKILL), ("", 0)):
            process = subprocess.Popen(
                [sys.executable, str(script), event],
                cwd=workshop.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            ended = finish(process)
            assert ended.code == code, ended.err
            wait_until(lambda: not workshop.processes())
        assert workshop.states().count("COMPLETE") == 3
        assert len(frames(workshop)) == 1
        (data,) = workshop.paths.directory.glob("frame-*")
        command = ["--model-type", "linear", "--k-folds", "3", "--n-trials", "3", "--target", "y"]
        assert workshop.run("--data", str(data), *command, table=True).code == 0
