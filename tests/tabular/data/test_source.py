"""What shapes a table: named, and chosen by default, like the options of a launch."""

import dataclasses

from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.tabular.data.source import TableSource


def test_what_is_not_given_is_what_a_launch_would_do() -> None:
    source, launch = TableSource(LaunchSettings().data, 0), LaunchSettings()
    of_a_study = {"seed", "target_in_units", "texts"}  # one that exists decides them
    names = [name for f in dataclasses.fields(source) if (name := f.name) not in of_a_study]
    assert len(names) == 12
    assert [getattr(source, name) for name in names] == [getattr(launch, name) for name in names]
    assert TableSource.of(launch, 0) == source
