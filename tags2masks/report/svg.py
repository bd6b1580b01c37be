"""Figures as inline SVG, with colours and font from the page's style sheet."""

import io
import re

from matplotlib.figure import Figure

WIDTH = 4.2  # inches; the page scales charts to its columns
SERIES = 8  # colours of the page's style sheet, --series-0 to --series-7
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1, 2)))

# Placeholder colours, replaced by the page's CSS colours in the final SVG.
INK, RULE, SURFACE = "#0a0a01", "#0a0a02", "#0a0a03"
PAGE_COLOURS = {INK: "currentColor", RULE: "var(--rule)", SURFACE: "var(--surface)"} | {
    f"#0a0b{number:02x}": f"var(--series-{number})" for number in range(SERIES)
}

STYLE = {
    "svg.fonttype": "none",  # text stays text
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "text.parse_math": False,  # names may have dollar signs
}


def colour(number: int) -> str:
    """The stand-in for the page's colour of a series."""
    return f"#0a0b{number % SERIES:02x}"


def svg(figure: Figure, key: str) -> str:
    """The figure as an <svg> element for an HTML page: equal figures give equal text."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r'(id="|url\(#|href="#)(\w+)', rf"\1{key}-\2", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(
        r'<svg[^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', text
    )
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = re.sub(r"#0a0[ab]\w\w", lambda match: PAGE_COLOURS[match.group()], text)
    return re.sub(r"\s*\n\s*", "\n", text).strip()
