"""Instances of a dataclass, shown as the rows of a table in terminals and notebooks."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import field, fields
from typing import Any, Generic, SupportsIndex, TypeVar, cast, overload

Row = TypeVar("Row")

_WIDEST = 10_000


def column(header: str, show: Callable[[Any], str] = str, *, right: bool = True) -> Any:
    """Return a dataclass field that a `Table` shows.

    Parameters
    ----------
    header : str
        Header of the column.
    show : callable, default=str
        Formats a value.
    right : bool, default=True
        Whether texts are aligned to the right, as numbers usually are.
    """
    return field(metadata={"header": header, "show": show, "side": "right" if right else "left"})


class Table(tuple[Row, ...], Generic[Row]):
    """An immutable sequence of rows, each an instance of one dataclass."""

    __slots__ = ()

    @overload
    def __getitem__(self, index: SupportsIndex) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Table[Row]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Row | Table[Row]:
        """Return a row; for a slice, a table."""
        if isinstance(index, slice):
            return Table(super().__getitem__(index))
        return super().__getitem__(index)

    def __repr__(self) -> str:
        """Return aligned text with a header."""
        if not self:
            return "(no rows)"
        from rich.console import Console
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(box=None, padding=(0, 1), pad_edge=False, header_style="")
        for column in self._columns():
            grid.add_column(Text(column["header"]), justify=column["side"], no_wrap=True)
        for row in self:
            grid.add_row(*map(Text, _texts(row)))
        console = Console(width=_WIDEST, color_system=None, force_jupyter=False)
        with console.capture() as shown:
            console.print(grid)
        return "\n".join(line.rstrip() for line in shown.get().splitlines())

    def _repr_html_(self) -> str:
        """Return the same as an HTML table, for notebooks."""
        head = "".join(f"<th>{html.escape(column['header'])}</th>" for column in self._columns())
        body = "".join(self._html_row(row) for row in self)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _columns(self) -> list[dict[str, Any]]:
        return [dict(column.metadata) for column in fields(cast(Any, self[0]))] if self else []

    def _html_row(self, row: Any) -> str:
        cells = [
            f'<td style="text-align: {column["side"]}">{html.escape(text)}</td>'
            for text, column in zip(_texts(row), self._columns(), strict=True)
        ]
        return f"<tr>{''.join(cells)}</tr>"


def _texts(row: Any) -> list[str]:
    return [column.metadata["show"](getattr(row, column.name)) for column in fields(row)]


def with_commas(number: int) -> str:
    """Format a number as in 4,600,000."""
    return f"{number:,}"


def joined(sizes: tuple[int | None, ...]) -> str:
    """Format a shape as in 7 x 7 x 320; "n" stands for a length that differs between rows."""
    return " x ".join("n" if size is None else str(size) for size in sizes)
