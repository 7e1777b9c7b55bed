"""That a report can be read by everyone: contrast, headings, landmarks, table headers, links, print."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from dermapair.report import write_report
from report.grouped import SUBGROUPS
from report.run_folder import make_run

CSS = (files("dermapair.report") / "templates" / "style.css").read_text(encoding="utf-8")
LEAST_CONTRAST = 4.5
"""WCAG 2.2, criterion 1.4.3: least contrast of text."""
THEMES = dict(zip(("light", "dark", "print"), re.findall(r":root \{(.*?)\}", CSS, re.DOTALL), strict=True))
PAIRS = [(ink, ground) for ink in ("ink", "soft", "accent") for ground in ("page", "card", "warn")]


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rgb` or `#rrggbb` (WCAG 2.2)."""
    digits = colour.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    shares = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_black_on_white():
    assert contrast("#000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_text_stands_out_from_its_ground(theme, ink, ground):
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", THEMES[theme]))
    assert contrast(colours[ink], colours[ground]) >= LEAST_CONTRAST


class Structure(HTMLParser):
    """Collects heading levels, tags with attributes, and links within the page."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))


@pytest.fixture(scope="module", params=["plain", "with groups"])
def structure(request, tmp_path_factory) -> Structure:
    run = make_run(tmp_path_factory.mktemp("runs") / "run")
    if request.param == "with groups":
        path: Path = run / "results.json"
        results = json.loads(path.read_text(encoding="utf-8")) | {"subgroups": SUBGROUPS}
        path.write_text(json.dumps(results), encoding="utf-8")
    write_report(run)
    found = Structure()
    found.feed((run / "report.html").read_text(encoding="utf-8"))
    return found


def test_headings_start_at_one_and_skip_no_level(structure):
    levels = structure.levels
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_landmarks_and_the_language_are_there(structure):
    names = [tag for tag, _ in structure.tags]
    assert all(names.count(tag) == 1 for tag in ("header", "main", "footer", "nav"))
    assert ("html", {"lang": "en"}) in structure.tags


def test_every_header_cell_says_what_it_heads(structure):
    scopes = [attrs.get("scope") for tag, attrs in structure.tags if tag == "th"]
    assert scopes and set(scopes) <= {"col", "row", "colgroup", "rowgroup"}


def test_the_table_of_contents_leads_to_places_that_exist_once(structure):
    ids = [attrs["id"] for _, attrs in structure.tags if "id" in attrs]
    links = [a["href"][1:] for t, a in structure.tags if t == "a" and (a.get("href") or "").startswith("#")]
    assert links and all(ids.count(link) == 1 for link in links)
