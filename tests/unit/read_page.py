"""A report's page and pictures, read back."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image

VOID = {"meta", "link", "img", "br", "wbr", "input", "hr"}


class Page(HTMLParser):
    """Elements of a page; fails on what is not closed or closed out of turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.cells = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.cells[-1] += data

    def named(self, *tags):
        """The attributes of each element of these kinds."""
        return [attributes for tag, attributes in self.elements if tag in tags]


def table_of(page, name):
    """The text of each cell of the first table of a section, row by row."""
    section = page[page.index(f'<section id="{name}"') :]
    rows = section[: section.index("</table>")].split("<tr>")[1:]
    return [
        [
            " ".join(re.sub(r"<[^>]+>", "", cell).split())
            for cell in re.findall(r"<(?:td|th)\b.*?</(?:td|th)>", row, re.DOTALL)
        ]
        for row in rows
    ]


def decoded(picture, tmp_path):
    """The picture's pixels, RGB."""
    path = tmp_path / "picture"
    path.write_bytes(base64.b64decode(picture.uri.partition(",")[2]))
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))
