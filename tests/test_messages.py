"""The page of messages quotes the package: no message there that it does not have."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import skltransfer

PACKAGE = Path(skltransfer.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "errors.md"
OMITTED = "…"


def template(node):
    """A literal text, with … for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        parts = (
            value.value if isinstance(value, ast.Constant) else OMITTED for value in node.values
        )
        return "".join(parts)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def templates():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield template(node)


def quoted():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    messages = [re.findall(r"`([^`]+)`", row.split("|")[1]) for row in rows]
    return [message for found in messages for message in found]


@pytest.fixture(scope="module")
def texts():
    """All of the package; not parsed by each process that collects tests."""
    return list(templates())


@pytest.mark.parametrize("message", quoted())
def test_the_message_is_one_of_the_package(texts, message):
    assert any(message.removesuffix(OMITTED) in text for text in texts)


def test_the_page_is_long_enough_to_be_of_use():
    assert len(quoted()) > 80


@pytest.mark.parametrize("row", [r for r in PAGE.read_text("utf-8").splitlines() if r[:1] == "|"])
def test_every_row_has_a_message_a_cause_and_a_way_out(row):
    assert [bool(cell.strip()) for cell in row.strip("|").split("|")] == [True] * 3
