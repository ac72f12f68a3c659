from journal_launcher.base.times import utc


def test_times_are_utc_with_a_z() -> None:
    assert utc(0) == "1970-01-01T00:00:00Z"
    assert utc(1.5, "milliseconds") == "1970-01-01T00:00:01.500Z"
    assert utc() > "2024"
