"""Check in Chromium that no page of the built site is wider than its window.

At each width of the window, a page must not scroll sideways, and code, tables and pictures must
stay within their frames. The page of messages must find one that is pasted into its field.

Usage: ``python docs/check_pages.py [--pictures FOLDER]``. Pictures of whole pages are for people to
look at.
"""

from __future__ import annotations

import argparse
import base64
import sys
from pathlib import Path

from browser import chromium, served

SITE = Path(__file__).parent / "_build" / "html"
WIDTHS = (1280, 390)
HEIGHT = 900
HIGHEST = 12_000  # of a picture

# What cannot be seen without scrolling the page, or lies upon what is beside its frame.
STICKING_OUT = """
const width = document.documentElement.clientWidth;
const scrolls = (element) => getComputedStyle(element).overflowX !== "visible";
const visible = (element) => element.checkVisibility({visibilityProperty: true});
const found = [];
const tell = (element, why) => {
  const name = element.tagName.toLowerCase() + (element.className ? "." + element.className : "");
  found.push(`${why}: ${name} "${element.textContent.trim().slice(0, 40)}"`);
};
if (document.documentElement.scrollWidth > width + 1)
  found.push(`the page is ${document.documentElement.scrollWidth} pixels wide`);
const frames = "pre, table, div.highlight, div.math, .sphx-glr-script-out, .output_subarea";
const framed = (element) => {
  const frame = element.parentElement.closest(frames);
  return frame !== null && (scrolls(frame) || framed(frame));
};
for (const element of document.querySelectorAll("article *, .prev-next-area *"))
  if (visible(element) && element.getBoundingClientRect().right > width + 1 && !framed(element))
    tell(element, "beyond the window");
for (const code of document.querySelectorAll("article pre"))
  if (visible(code) && code.scrollWidth > code.clientWidth + 1 && !scrolls(code)
      && !scrolls(code.parentElement)) tell(code, "code out of its frame");
for (const cell of document.querySelectorAll("article :is(td, th)"))
  if (visible(cell) && cell.scrollWidth > cell.clientWidth + 1) tell(cell, "out of its cell");
return found.slice(0, 3);
"""

# A message as a user sees it, and what its row says; a word finds the rows that contain it.
PASTED = {
    "ValueError: backbone='efficientnet_lite1' is not known.": "typing error",
    "ValueError: row 3 ('a.jpg') cannot be read as an image: it is empty. Copy or download it "
    "again.": "0 bytes",
    "Git LFS pointer": "git lfs pull",
}
PASTE = """
const field = document.getElementById("find-message");
field.value = arguments[0];
field.dispatchEvent(new Event("input"));
return [...document.querySelectorAll("tbody tr")].filter((row) => row.checkVisibility())
  .map((row) => row.textContent);
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, help="a folder for pictures of the pages")
    options = parser.parse_args()
    pages = sorted(path.relative_to(SITE) for path in SITE.rglob("*.html"))
    pages = [page for page in pages if page.parts[0] != "_static"]
    if not pages:
        sys.exit(f"There is no site in {SITE}.")
    faults = []
    with served(SITE) as address, chromium() as driver:
        for page in pages:
            for width, found in measured(driver, f"{address}/{page}"):
                faults += [f"{page} at {width}: {fault}" for fault in found]
                if options.pictures and page.parts[0] != "_modules":
                    take_picture(driver, width, options.pictures / f"{width}", page)
        faults += faults_of_messages(driver, f"{address}/errors.html")
    print(f"{len(pages)} pages at {' and '.join(map(str, WIDTHS))} pixels: {len(faults)} faults")
    if faults:
        sys.exit("\n".join(faults))


def measured(driver, address):
    """Yield each width with what is too wide at it; the page is open at that width meanwhile."""
    driver.get(address)
    for width in WIDTHS:
        set_window(driver, width, HEIGHT)
        yield width, driver.execute_script(STICKING_OUT)


def faults_of_messages(driver, address):
    """Yield messages that do not find their row, with one of the same kind at most."""
    driver.get(address)
    for message, told in PASTED.items():
        found = driver.execute_script(PASTE, message)
        if len(found) > 2 or not any(told in row for row in found):
            yield f"errors.html: {message!r} finds {found}"


def set_window(driver, width, height):
    window = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", window)


def take_picture(driver, width, folder, page):
    height = driver.execute_script("return document.documentElement.scrollHeight")
    set_window(driver, width, min(height, HIGHEST))
    picture = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    folder.mkdir(parents=True, exist_ok=True)
    name = "-".join(page.with_suffix(".png").parts)
    (folder / name).write_bytes(base64.b64decode(picture["data"]))


if __name__ == "__main__":
    main()
