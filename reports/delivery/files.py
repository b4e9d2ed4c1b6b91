"""A report as a file: a workbook, or pages."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
import xlsxwriter
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from reports.delivery.content import Content, Table
from reports.site.charts import SHARE
from warehouse.errors import BuildError
from warehouse.reading.export import SHEET_ROWS, write_cell
from warehouse.reading.money import Currency

PDF_ROWS = 2000  # of one table; who wants more wants a workbook
_INK, _GREY, _LINE = colors.HexColor("#1c2733"), colors.HexColor("#5b6573"), colors.HexColor("#d5dae0")
FONT, BOLD = "DejaVuSans", "DejaVuSans-Bold"


def workbook(title: str, facts: list[tuple[str, str]], content: Content) -> bytes:
    """A workbook: a sheet that says what it is, with figures and charts; then a sheet for each table.

    Numbers are numbers, as many digits as a sheet keeps; texts never are formulas.

    Args:
        title: of the report.
        facts: what is to be known of it, such as its period, by name.
        content: what it says.

    Raises:
        BuildError: a table has more rows than a sheet.
    """
    written = io.BytesIO()
    options = {
        "in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
    }  # fmt: skip
    with xlsxwriter.Workbook(written, options) as book:
        styles = {
            name: book.add_format(values)
            for name, values in (
                ("title", {"bold": True, "font_size": 14}),
                ("bold", {"bold": True, "text_wrap": True, "valign": "top"}),
                ("date", {"num_format": "yyyy-mm-dd"}), ("time", {"num_format": "yyyy-mm-dd hh:mm:ss"}),
                ("wrap", {"text_wrap": True, "valign": "top"}),
            )
        }  # fmt: skip
        sheet = book.add_worksheet("Report")
        sheet.hide_gridlines(2)
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 2, 30)
        sheet.write_string(0, 0, title, styles["title"])
        line = 1
        for name, value in facts:
            line += 1
            sheet.write_string(line, 0, name, styles["bold"])
            sheet.write_string(line, 1, value)
        line += 1
        for figure in content.figures:
            line += 1
            for column, text in enumerate((figure.label, figure.value, figure.before)):
                sheet.write_string(line, column, text, styles["bold" if column == 0 else "wrap"])
        line += 2
        for picture in content.pictures:
            sheet.write_string(line, 0, picture.title, styles["bold"])
            scale = {"x_scale": 0.5, "y_scale": 0.5, "description": picture.text}
            sheet.insert_image(line + 1, 0, "chart.png", {"image_data": io.BytesIO(picture.png), **scale})
            line += 19
        taken = {"report"}
        for table in content.tables:
            _sheet(book, table, _sheet_name(table.title, taken), styles)
    return written.getvalue()


def _sheet(book: Any, table: Table, name: str, styles: dict[str, Any]) -> None:
    if len(table.rows) >= SHEET_ROWS:
        raise BuildError(f"{table.title} has {len(table.rows):,} rows, and a sheet holds {SHEET_ROWS - 1:,}")
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    for number, (head, unit) in enumerate(zip(table.names, table.units, strict=True)):
        shape = None
        if isinstance(unit, Currency):
            shape = book.add_format({"num_format": "#,##0" + ("." + "0" * unit.digits if unit.digits else "")})
        elif unit == SHARE:
            shape = book.add_format({"num_format": "0.0%"})
        longest = max((len(str(row[number])) for row in table.rows[:200]), default=0)
        sheet.set_column(number, number, min(60, max(10, len(head), longest) + 2), shape)
        currency = f", {unit.code}" if isinstance(unit, Currency) and unit.code else ""
        sheet.write_string(0, number, head + currency, styles["bold"])
    for line, row in enumerate(table.rows, start=1):
        for number, value in enumerate(row):
            write_cell(sheet, line, number, value, styles["date"], styles["time"])


def _sheet_name(title: str, taken: set[str]) -> str:
    """A name that a sheet may have, and that no other has."""
    plain = re.sub(r"[\[\]:*?/\\']", " ", title).strip()[:31] or "Table"
    name, number = plain, 1
    while name.lower() in taken:
        number += 1
        name = f"{plain[: 31 - len(str(number)) - 1]} {number}"
    taken.add(name.lower())
    return name


def pages(title: str, facts: list[tuple[str, str]], content: Content) -> bytes:
    """The report as PDF: figures, charts, tables whose head stands on every page.

    Args:
        title: of the report.
        facts: what is to be known of it, such as its period, by name.
        content: what it says.
    """
    _fonts()
    styles = {
        "title": ParagraphStyle("title", fontName=BOLD, fontSize=16, leading=20, textColor=_INK, spaceAfter=4),
        "text": ParagraphStyle("text", fontName=FONT, fontSize=8.5, leading=12, textColor=_GREY),
        "head": ParagraphStyle("head", fontName=BOLD, fontSize=10.5, leading=14, textColor=_INK, spaceBefore=12),
        "cell": ParagraphStyle("cell", fontName=FONT, fontSize=7.5, leading=9.5, textColor=_INK),
        "number": ParagraphStyle("number", fontName=FONT, fontSize=7.5, leading=9.5, textColor=_INK, alignment=2),
        "value": ParagraphStyle("value", fontName=BOLD, fontSize=13, leading=17, textColor=_INK),
    }
    story: list[Flowable] = [Paragraph(escape(title), styles["title"])]
    story += [Paragraph(f"{escape(name)}: {escape(value)}", styles["text"]) for name, value in facts]
    story.append(Spacer(1, 4 * mm))
    width = A4[0] - 36 * mm
    for begin in range(0, len(content.figures), 3):
        row = [
            [Paragraph(escape(figure.label), styles["text"]), Paragraph(escape(figure.value), styles["value"]),
             Paragraph(escape(figure.before), styles["text"])]
            for figure in content.figures[begin : begin + 3]
        ]  # fmt: skip
        row += [[] for _ in range(3 - len(row))]
        story.append(Grid([row], colWidths=[width / 3] * 3, style=[("VALIGN", (0, 0), (-1, -1), "TOP")]))
    for picture in content.pictures:
        image = Image(io.BytesIO(picture.png))
        image.drawWidth, image.drawHeight = width, width * image.imageHeight / image.imageWidth
        story.append(KeepTogether([Paragraph(escape(picture.title), styles["head"]), image]))
    for table in content.tables:
        story.append(Paragraph(escape(table.title), styles["head"]))
        story.append(_grid(table, styles, width))
        if len(table.rows) > PDF_ROWS:
            more = f"The first {PDF_ROWS:,} of {len(table.rows):,} rows; `format: xlsx` sends all."
            story.append(Paragraph(more, styles["text"]))
    written = io.BytesIO()
    document = SimpleDocTemplate(
        written, pagesize=A4, title=title, author="Granary", leftMargin=18 * mm, rightMargin=18 * mm,
        topMargin=16 * mm, bottomMargin=18 * mm,
    )  # fmt: skip

    def foot(canvas: Any, page: Any) -> None:
        canvas.setFont(FONT, 7)
        canvas.setFillColor(_GREY)
        canvas.drawString(18 * mm, 10 * mm, title)
        canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"page {page.page}")

    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return written.getvalue()


def _grid(table: Table, styles: dict[str, ParagraphStyle], width: float) -> Grid:
    kinds = ["number" if each else "cell" for each in table.is_right]
    rows = [
        [Paragraph(escape(text), styles[kind]) for text, kind in zip(row, kinds, strict=True)]
        for row in ([f"{name}" for name in table.names], *table.cells(PDF_ROWS))
    ]
    cells = table.cells(200)
    longest = [
        max(4, *(min(40, len(row[i])) for row in cells), min(40, len(name))) if cells else len(name)
        for i, name in enumerate(table.names)
    ]
    return Grid(
        rows, repeatRows=1, colWidths=[width * each / sum(longest) for each in longest], hAlign="LEFT",
        style=[
            ("LINEBELOW", (0, 0), (-1, 0), 0.8, _GREY), ("LINEBELOW", (0, 1), (-1, -1), 0.3, _LINE),
            ("VALIGN", (0, 0), (-1, -1), "TOP"), ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ],
    )  # fmt: skip


def _fonts() -> None:
    """The font of the charts, which has the letters of most of Europe's languages; PDF's own have Latin-1 alone."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in (FONT, BOLD):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
