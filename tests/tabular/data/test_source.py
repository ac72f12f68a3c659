"""What shapes a table: named, and chosen by default, like the options of a launch."""

import dataclasses

from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.tabular.data.source import TableSource


def test_what_is_not_given_is_what_a_launch_would_do() -> None:
    source, launch = TableSource(LaunchSettings().data, 0), LaunchSettings()
    names = [field.name for field in dataclasses.fields(source) if field.name != "seed"]
    assert len(names) == 10
    assert [getattr(source, name) for name in names] == [getattr(launch, name) for name in names]
