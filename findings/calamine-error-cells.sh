#!/usr/bin/env bash
# python-calamine gives a cell with an error of Excel's as an empty cell: a division by zero, a failed look-up and a cell
# in which nothing stands are the same. Who loads a workbook by it takes a figure that could not be computed for one
# that is not there. openpyxl gives the error's text.
#
# Seen: python-calamine 0.9.1, openpyxl 3.1.5, XlsxWriter 3.3.1, Python 3.11. Guessed before: the error's text, or an
# exception. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check python-calamine==0.9.1 openpyxl==3.1.5 XlsxWriter==3.3.1
"$work/venv/bin/python" - "$work/prices.xlsx" <<'PYTHON'
import sys

import openpyxl
import python_calamine
import xlsxwriter

with xlsxwriter.Workbook(sys.argv[1]) as book:
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["article", "price"])
    for row, (formula, computed) in enumerate([("=5/0", "#DIV/0!"), ("=VLOOKUP(1,A9:B9,2,0)", "#N/A"), ("=5/2", 2.5)], 1):
        sheet.write(row, 0, f"A{row}")
        sheet.write_formula(row, 1, formula, None, computed)
    sheet.write(4, 0, "A4")

with open(sys.argv[1], "rb") as file:
    by_calamine = [row[1] for row in python_calamine.load_workbook(file).get_sheet_by_index(0).to_python()][1:]
rows = openpyxl.load_workbook(sys.argv[1], data_only=True).active.iter_rows(min_row=2, values_only=True)
by_openpyxl = [row[1] for row in rows]
print("python-calamine:", by_calamine)
print("openpyxl:       ", by_openpyxl)
assert by_calamine == ["", "", 2.5, ""], "the behaviour has changed"
assert by_openpyxl == ["#DIV/0!", "#N/A", 2.5, None], "the behaviour has changed"
PYTHON
