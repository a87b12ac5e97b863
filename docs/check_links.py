"""Check that every link within the built site leads somewhere: `python docs/check_links.py`.

Sphinx checks the links that it makes itself. This checks what came out, anchors included.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SITE = Path(__file__).parent / "_build" / "html"
NOT_PAGES = {"_static", "_downloads"}


class Page(HTMLParser):
    """Links of a page, and the names in it that links may lead to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.names = [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.names.add(found.get("id"))
        self.links += [found[key] for key in ("href", "src") if found.get(key)]


def broken(site):
    """Yield a page and a link of it that leads nowhere."""
    files = (path for path in site.rglob("*.html") if NOT_PAGES.isdisjoint(path.parts))
    pages = {path.resolve(): Page(path) for path in files}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].names if target in pages else {"", parts.fragment}
            if not target.exists() or unquote(parts.fragment) not in known:
                yield path.relative_to(site.resolve()), link


def main():
    found = sorted(set(broken(SITE)))
    for page, link in found:
        print(f"{page}: {link}")
    if found or not (SITE / "index.html").is_file():
        sys.exit(f"{len(found)} links of {SITE} lead nowhere")


if __name__ == "__main__":
    main()
