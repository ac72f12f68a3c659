"""Small spreadsheets, written by hand: no library that writes them is needed."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"


def cell(value: object, place: str = "") -> str:
    """The XML of a cell: numbers, booleans, texts, and errors such as #N/A."""
    where = f' r="{place}"' if place else ""
    if value is None:
        return f"<c{where}/>"
    if isinstance(value, bool):
        return f'<c{where} t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c{where}><v>{value!r}</v></c>"
    if str(value).startswith("day:"):  # a serial number in the style of dates
        return f'<c{where} s="1"><v>{str(value)[4:]}</v></c>'
    if str(value).startswith("#"):
        return f'<c{where} t="e"><v>{value}</v></c>'
    return f'<c{where} t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'


def rows_of(rows: list[list[object]]) -> str:
    return "".join(
        f'<row r="{n}">{"".join(cell(v, f"{chr(65 + k)}{n}") for k, v in enumerate(row))}</row>'
        for n, row in enumerate(rows, start=1)
    )


def xlsx(path: Path, sheets: dict[str, str], merged: Sequence[str] = ()) -> Path:
    """An Excel file; `sheets`: the XML of the rows of each; merged: such as A2:A4, in each."""
    ranges = "".join(f'<mergeCell ref="{cells}"/>' for cells in merged)
    merges = f'<mergeCells count="{len(merged)}">{ranges}</mergeCells>' if merged else ""
    names = enumerate(sheets, start=1)
    listed = "".join(f'<sheet name="{n}" sheetId="{k}" r:id="r{k}"/>' for k, n in names)
    kinds = "".join(
        f'<Relationship Id="r{k}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{k}.xml"/>'
        for k in range(1, len(sheets) + 1)
    )
    style = f'<Relationship Id="s" Type="{OFFICE}/styles" Target="styles.xml"/>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{TYPES}"><Default Extension="xml" ContentType="application/xml"/>'
            "</Types>",
        )
        file.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r" '
            f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        file.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>',
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}">{kinds}{style}</Relationships>',
        )
        file.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{MAIN}"><cellXfs count="2"><xf numFmtId="0"/>'
            '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
        )
        for number, rows in enumerate(sheets.values(), start=1):
            file.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData>{merges}</worksheet>',
            )
    return path
