"""Draw the folders of the package, each above those that it imports: docs/house.svg.

Usage: ``python benchmarks/house.py``. It ends with 1 where a folder imports one that is beside it
or above, or is missing in the drawing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from structure import PACKAGE, import_graph

FILE = Path(__file__).parents[1] / "docs" / "house.svg"

# From the top down, with what the floor is for.
FLOORS = [
    (("displays", "comparison", "extraction"), "drawn, compared, on machines"),
    (("estimators",), "what users call"),
    (("persistence", "exporting", "adaptation"), "as files; to other domains"),
    (("training",), "head, step, epochs"),
    (("augmentation", "frozen"), "rows to activations"),
    (("network",), "a network as a graph"),
    (("backbones",), "what was pretrained"),
    (("tasks", "inputs", "cache"), "the two seams; rows by content"),
    (("progress",), "a bar, or lines"),
    (("backend",), "TensorFlow, JAX, PyTorch"),
]
KINDS = {
    "top": {"displays", "comparison", "extraction", "estimators"},
    "seam": {"tasks", "inputs"},
}
NOTES = {"tasks": "what is learned", "inputs": "what comes in"}

LEFT, WIDTH, GAP = 20, 540, 8
TOP, HEIGHT, STEP = 15, 38, 46
STYLE = """\
rect { fill: #f4f6fa; stroke: #5b6b8c; stroke-width: 1.2; rx: 6 }
.seam { fill: #fdf3e1; stroke: #c07f1d }
.top { fill: #e8f0e9; stroke: #4c7f59 }
text { fill: #1d2433; text-anchor: middle; dominant-baseline: middle }
.small { font-size: 11px; fill: #53607a }
.side { text-anchor: start; font-size: 11px; fill: #53607a }"""


def main():
    faults = [*missing_rooms(), *upward_imports(import_graph())]
    if faults:
        sys.exit("\n".join(faults))
    FILE.write_text(drawing(), encoding="utf-8")


def missing_rooms():
    """Yield what is a folder and not drawn, or drawn and no folder."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    drawn = {room for rooms, _ in FLOORS for room in rooms}
    yield from (f"{name} is not drawn" for name in sorted(folders - drawn))
    yield from (f"{name} is no folder" for name in sorted(drawn - folders))


def upward_imports(graph):
    """Yield modules that import one of another folder on the same floor, or on a higher one."""
    floors = {room: floor for floor, (rooms, _) in enumerate(FLOORS) for room in rooms}
    for module, others in sorted(graph.items()):
        room = module.split(".")[1]
        for other in sorted(others):
            below = other.split(".")[1]
            if room != below and {room, below} <= set(floors) and floors[room] >= floors[below]:
                yield f"{module} imports {other}"


def drawing():
    """The drawing as SVG."""
    bottom = TOP + STEP * len(FLOORS)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 770 {bottom}" '
        'font-family="sans-serif" font-size="14" role="img">',
        "<title>The folders of the package: each may import those below it</title>",
        f"<style>\n{STYLE}\n</style>",
    ]
    for floor, (rooms, purpose) in enumerate(FLOORS):
        top = TOP + STEP * floor
        width = (WIDTH - GAP * (len(rooms) - 1)) // len(rooms)
        for place, room in enumerate(rooms):
            lines += drawn_room(room, LEFT + place * (width + GAP), top, width)
        lines.append(text(purpose, LEFT + WIDTH + 15, top + HEIGHT // 2, "side"))
    return "\n".join([*lines, "</svg>", ""])


def drawn_room(room, left, top, width):
    kind = next((f' class="{kind}"' for kind, rooms in KINDS.items() if room in rooms), "")
    yield f'<rect{kind} x="{left}" y="{top}" width="{width}" height="{HEIGHT}"/>'
    middle = left + width // 2
    yield text(room, middle, top + (13 if room in NOTES else HEIGHT // 2))
    if room in NOTES:
        yield text(NOTES[room], middle, top + 28, "small")


def text(words, x, y, kind=None):
    chosen = f' class="{kind}"' if kind else ""
    return f'<text{chosen} x="{x}" y="{y}">{words}</text>'


if __name__ == "__main__":
    main()
