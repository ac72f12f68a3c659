"""The page: sections in their order, in one HTML file that needs nothing else."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from journal_launcher.base.errors import UsageError
from journal_launcher.base.files import check_result, write_result
from journal_launcher.base.paths import StudyPaths, install_extra
from journal_launcher.base.times import utc
from journal_launcher.views.report import about_model, about_study, about_trials, about_workers
from journal_launcher.views.report.charts import Chart
from journal_launcher.views.report.gather import Known, gather
from journal_launcher.views.report.parallel import parallel
from journal_launcher.views.report.section import Grid, Section, escaped

__all__ = ["report_path", "write_report"]

_TEMPLATE = Path(__file__).with_name("page.html")
_MARK = b'<meta name="generator" content="journal-launcher report">'
_BEGINNING = 2000  # bytes in which the mark is
_SLOT = re.compile(r"\{\{(\w+)\}\}")

_SECTIONS: tuple[Callable[[Known], Section], ...] = (
    about_study.summary,
    about_trials.progress,
    about_trials.pareto,
    about_trials.importance,
    about_trials.slices,
    parallel,
    about_model.folds,
    about_workers.timeline,
    about_workers.failures,
    about_model.comparison,
    about_model.learning,
    about_model.features,
    about_model.holdout,
    about_model.health,
    about_study.provenance,
)


def report_path(home: StudyPaths) -> Path:
    """Beside the journal."""
    return home.folder / f"{home.name}.html"


def write_report(home: StudyPaths, out: Path, named: str) -> None:
    """Write the page about a study, or a comparison, as it is at this moment.

    named: what the user said of the file, `out`. An older report is replaced.

    Raises:
        UsageError: no such study, no plotly, or a file that is no report.
        JournalDamagedError: the journal cannot be read.
    """
    _check(out, named)
    script = _plotly()
    page = _page(gather(home), script)
    write_result(named, out, page.encode(errors="backslashreplace"))


def _check(out: Path, named: str) -> None:
    check_result(named, out)
    if not out.exists():
        return
    with open(out, "rb") as file:
        if _MARK not in file.read(_BEGINNING):
            raise UsageError(
                f"{out}: expected a report to replace, found another file; move it away, or name "
                "another with --out FILE"
            )


def _plotly() -> str:
    """The source of plotly.js."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UsageError(f"report needs plotly: {install_extra('report', 'plotly')}") from None
    return str(get_plotlyjs())


def _page(known: Known, plotly: str) -> str:
    found = [section for make in _SECTIONS if (section := make(known)).parts]
    links = [*found, Section("trials", "Trials", ())]
    filled = {
        "title": escaped(known.name),
        "moment": escaped(utc(known.moment)),
        "links": "".join(f'<a href="#{s.anchor}">{escaped(s.title)}</a>' for s in links),
        "sections": "".join(map(_drawn, found)),
        "trials": about_study.trials_table(known),
        "plotly": plotly,
    }
    return _SLOT.sub(lambda slot: filled[slot[1]], _template())


@cache
def _template() -> str:
    return _TEMPLATE.read_text(encoding="utf-8")


def _drawn(section: Section) -> str:
    inside = "".join(_parts(section))
    return f'<section id="{section.anchor}"><h2>{escaped(section.title)}</h2>{inside}</section>\n'


def _parts(section: Section) -> Iterator[str]:
    for part in section.parts:
        if isinstance(part, Chart):
            yield _figure(part)
        elif isinstance(part, Grid):
            yield f'<div class="grid">{"".join(map(_figure, part.charts))}</div>'
        else:
            yield part


def _figure(chart: Chart) -> str:
    kind = "figure wide" if chart.wide else "figure"
    return (
        f'<div class="scroll"><div class="{kind}" style="height:{chart.height}px">'
        f'<script type="application/json">{chart.to_json()}</script></div></div>'
    )
