"""Check that what links in a built site lead to is there, page and place: ``python docs/check_links.py HTML``."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Places of a page that a link can lead to, and the links that are on it."""

    def __init__(self, text):
        super().__init__()
        self.places, self.links = {""}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("id", "name"):
                self.places.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)
            elif name == "srcset":
                self.links += [each.split()[0] for each in value.split(",")]


def broken_links(root):
    """Yield pages and links that lead nowhere; those to other sites are not followed."""
    root = Path(root).resolve()
    paths = [path for path in sorted(root.rglob("*.html")) if not path.is_relative_to(root / "_static")]
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in paths}
    if not pages:
        yield root, "no page at all"
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].places if target in pages else {unquote(parts.fragment)}
            if not target.is_file() or unquote(parts.fragment) not in known:
                yield path, link


if __name__ == "__main__":
    found = list(broken_links(sys.argv[1]))
    for page, link in found:
        print(f"{page}: {link} leads nowhere")
    sys.exit(len(found) > 0)
