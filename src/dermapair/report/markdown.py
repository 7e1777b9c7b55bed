"""Sections of paragraphs, lists and tables, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dermapair.report.wording import without_folders


@dataclass(frozen=True)
class Table:
    """A table of text: its head, and rows as long as it."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A part of the card: its title, then paragraphs, lists and tables in order."""

    title: str
    parts: tuple[str | list[str] | Table, ...]


def to_markdown(title: str, sections: Iterable[Section]) -> str:
    """Return a title and sections as Markdown; characters of HTML and of tables are escaped."""
    blocks = [f"# {escaped(title)}"]
    for section in sections:
        blocks.append(f"## {section.title}")
        for part in section.parts:
            if isinstance(part, Table):
                rows = [part.head, ("---",) * len(part.head), *part.rows]
                blocks.append("\n".join(f"| {' | '.join(map(escaped, row))} |" for row in rows))
            else:
                lines = [f"- {escaped(line)}" for line in part] if isinstance(part, list) else [escaped(part)]
                blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """Return a text for Markdown, on one line, with paths cut down to their last part."""
    text = " ".join(without_folders(text).split())
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")
