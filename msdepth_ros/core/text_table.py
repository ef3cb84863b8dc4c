"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def text_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int | None = None, rule: bool = False
) -> list[str]:
    """Lines of a table, columns two spaces apart.

    Args:
        head: Names of the columns.
        rows: Cells, one for each column.
        numbers_from: Columns from this one on are aligned at their right; None aligns all at their left.
        rule: Draw a line below the head.
    """
    everything = [tuple(head), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*everything, strict=True)]
    right = len(widths) if numbers_from is None else numbers_from
    lines = []
    for row in everything:
        cells = zip(row, widths, strict=True)
        aligned = [text.ljust(w) if index < right else text.rjust(w) for index, (text, w) in enumerate(cells)]
        lines.append("  ".join(aligned).rstrip())
    return [lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]] if rule else lines
