"""Averages numbers, exactly: the sum is one integer, rounded once at the end."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from typing import Any

from ..context import Context
from . import _input

MAX_NUMBERS = 1_000_000
UNIT_BITS = 1127  # frexp gives 53 bits and exponents from -1073: all floats are multiples of 2^-1127
CHECK_EVERY = 10_000  # numbers
CELL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")


def mean(ctx: Context) -> dict[str, Any]:
    """{"numbers"} or {"csv", "column"} → mean, count, min, max; with "part" partials instead of the mean."""
    numbers, part = parse(_input.fields(ctx, "numbers", "csv", "column", "part"))
    total = exact(ctx, numbers)
    # Adding zero turns -0 into 0: which of the two is found first is no result.
    rest = {"count": len(numbers), "min": min(numbers) + 0.0, "max": max(numbers) + 0.0}
    if part:
        return {"partials": partials(total), **rest}
    return {"mean": total / (len(numbers) << UNIT_BITS), **rest}


def exact(ctx: Context, numbers: list[float]) -> int:
    """The sum in units of 2^-UNIT_BITS, without any rounding."""
    by_exponent: dict[int, int] = {}
    for i, x in enumerate(numbers):
        if i % CHECK_EVERY == 0:
            ctx.check()
        mantissa, exponent = math.frexp(x)
        by_exponent[exponent] = by_exponent.get(exponent, 0) + int(mantissa * (1 << 53))
    return sum(s << (exponent + UNIT_BITS - 53) for exponent, s in by_exponent.items())


def partials(total: int) -> list[float]:
    """Floats whose exact sum is the total: the nearest float, then the nearest to what is left."""
    out = []
    while total:
        try:
            f = total / (1 << UNIT_BITS)  # of integers, and rounded once
        except OverflowError:
            f = sys.float_info.max if total > 0 else -sys.float_info.max
        out.append(f)
        numerator, denominator = f.as_integer_ratio()
        total -= numerator * ((1 << UNIT_BITS) // denominator)
    return out


def parse(values: dict[str, Any]) -> tuple[list[float], bool]:
    """The numbers, and whether a part's output is asked for. Raises BadInput."""
    if "numbers" in values and ("csv" in values or "column" in values):
        raise _input.bad("numbers", "give either numbers, or csv and column")
    if "numbers" in values:
        numbers = of_list(values["numbers"])
    elif "csv" in values:
        numbers = of_column(_input.text(values, "csv"), _input.text(values, "column"))
    else:
        raise _input.bad("numbers", "missing; give numbers, or csv and column")
    return numbers, _input.boolean(values, "part", False)


def of_list(values: Any) -> list[float]:
    """The numbers of an array. Raises BadInput."""
    if not isinstance(values, list):
        raise _input.bad("numbers", "must be an array of numbers")
    if not values:
        raise _input.bad("numbers", "must hold at least one number")
    if len(values) > MAX_NUMBERS:
        raise _input.bad("numbers", f"at most {MAX_NUMBERS} numbers")
    numbers = []
    for i, value in enumerate(values):
        try:
            x = float(value) if type(value) in (int, float) else math.nan
        except OverflowError:
            x = math.inf
        if not math.isfinite(x):
            raise _input.bad(f"numbers[{i}]", "must be a finite number")
        numbers.append(x)
    return numbers


def of_column(text: str, column: str) -> list[float]:
    """The numbers below a header of a CSV text. Raises BadInput."""
    table = rows(text.removeprefix("\ufeff"))
    header = next(table, None)
    if header is None:
        raise _input.bad("csv", "must have a header row and at least one row below it")
    if column not in header:
        raise _input.bad("column", f"the header row has no column {_quoted(column)}")
    if header.count(column) > 1:
        raise _input.bad("column", f"the header row has column {_quoted(column)} more than once")
    index = header.index(column)
    numbers: list[float] = []
    for row, cells in enumerate(table, 2):
        cell = cells[index].strip(" \t")
        x = float(cell) if CELL.match(cell) else math.inf
        if not math.isfinite(x):
            where = f"row {row}, column {_quoted(column)}"
            raise _input.bad("csv", f"{where}: {_quoted(cells[index][:40])} is not a finite number")
        if len(numbers) == MAX_NUMBERS:
            raise _input.bad("csv", f"at most {MAX_NUMBERS} rows")
        numbers.append(x)
    if not numbers:
        raise _input.bad("csv", "must have a header row and at least one row below it")
    return numbers


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def rows(text: str) -> Iterator[list[str]]:
    """The rows of a CSV text (RFC 4180), empty lines ignored. Raises BadInput.

    The csv module takes a lone carriage return for a line's end and quotes within a cell for text,
    and Go does not.
    """
    lines = iter(text.removesuffix("\r").replace("\r\n", "\n").split("\n"))
    width = row = 0
    for line in lines:
        if not line:
            continue
        row += 1
        cells = _cells(line, lines, row)
        width = width or len(cells)
        if len(cells) != width:
            raise _input.bad("csv", f"row {row}: {len(cells)} cells, the header has {width}")
        yield cells


def _cells(line: str, lines: Iterator[str], row: int) -> list[str]:
    """The cells of one row, which goes on below if a quoted cell does."""
    cells = []
    at = 0
    while True:
        if not line.startswith('"', at):
            end = line.find(",", at)
            cell = line[at:] if end < 0 else line[at:end]
            if '"' in cell:
                raise _input.bad("csv", f"row {row}: a quote in a cell without quotes")
            cells.append(cell)
            if end < 0:
                return cells
            at = end + 1
            continue
        cell, line, at = _quoted_cell(line, at + 1, lines, row)
        cells.append(cell)
        if at == len(line):
            return cells
        if line[at] != ",":
            raise _input.bad("csv", f"row {row}: text after a cell in quotes")
        at += 1


def _quoted_cell(line: str, at: int, lines: Iterator[str], row: int) -> tuple[str, str, int]:
    """A cell after its opening quote, and the line and place where it ends."""
    parts = []
    while True:
        end = line.find('"', at)
        if end < 0:
            parts.append(line[at:] + "\n")
            following = next(lines, None)
            if following is None:
                raise _input.bad("csv", f"row {row}: a quote is not closed")
            line, at = following, 0
        elif line.startswith('""', end):
            parts.append(line[at : end + 1])
            at = end + 2
        else:
            parts.append(line[at:end])
            return "".join(parts), line, end + 1
