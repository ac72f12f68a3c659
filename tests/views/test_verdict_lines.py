"""A verdict as people read it."""

from journal_launcher.base.verdict import Finding, Verdict
from journal_launcher.views.health import verdict_lines


def test_a_line_for_each_finding() -> None:
    findings = (
        Finding("dead_units", "warning", 0.3, 0.25, "share of units"),
        Finding("gradient_spread", "ok", 12.345678, 100.0, "largest ÷ smallest"),
    )
    assert list(verdict_lines(Verdict("my_study", "warning", findings))) == [
        "my_study  warning",
        "  warning  dead_units              0.3  limit 0.25      share of units",
        "  ok       gradient_spread      12.346  limit 100       largest ÷ smallest",
    ]


def test_a_reason_instead_of_findings() -> None:
    lines = list(verdict_lines(Verdict("my_study", "absent", reason="no diagnostics")))
    assert lines == ["my_study  absent: no diagnostics"]
