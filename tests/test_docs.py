"""What the docs promise, compared with the commands, the recipes and the files that exist."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
RECIPES = ROOT / "src" / "dermapair" / "recipes"


def markdown_files() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def read(*paths: Path) -> str:
    return "\n".join(path.read_text("utf-8") for path in paths)


def command_names(command: object, prefix: str = "dermapair") -> Iterator[str]:
    """Yield the full name of every command below a CLI group, as a user types it."""
    children = getattr(command, "commands", {})
    if not children:
        yield prefix
    for name, child in children.items():
        if not child.hidden:
            yield from command_names(child, f"{prefix} {name}")


def names_recipe(text: str, stem: str) -> bool:
    """Tell whether a text names a recipe: as code, as a file, or as the argument of `train`."""
    return bool(
        re.search(rf"`{re.escape(stem)}`|\b{re.escape(stem)}\.toml\b|train {re.escape(stem)}\b", text)
    )


def links(markdown: str) -> list[str]:
    """Return the targets of links and images that point into the repository, without anchors and code."""
    prose = re.sub(r"^(```|~~~).*?^\1", "", markdown, flags=re.M | re.S)
    prose = re.sub(r"`[^`\n]*`(?!\])", "", prose)
    inline = re.findall(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\)", prose)
    reference = re.findall(r"^\[[^\]]+\]:\s+(\S+)", prose, flags=re.M)
    paths = [unquote(target.split("#")[0]) for target in inline + reference]
    return [path for path in paths if path and not re.match(r"[a-z][a-z0-9+.-]*:|//", path, flags=re.I)]


def changelog_versions(markdown: str) -> list[str]:
    """Return the headings of a changelog, newest first: `Unreleased` or a version."""
    return re.findall(r"^## \[([^\]]+)\]", markdown, flags=re.M)


def test_every_command_is_in_the_docs():
    from dermapair.cli.main import app

    names = list(command_names(typer.main.get_command(app)))
    assert len(names) > 1, "the CLI has no command"
    text = read(*markdown_files())
    assert [name for name in names if not re.search(rf"{name}(?![\w-])", text)] == []


def test_commands_in_groups_are_named_in_full_and_hidden_ones_left_out():
    app, data = typer.Typer(), typer.Typer()
    app.add_typer(data, name="data")
    app.command("train")(lambda: None)
    app.command("secret", hidden=True)(lambda: None)
    data.command("import")(lambda: None)
    data.command("check")(lambda: None)
    names = set(command_names(typer.main.get_command(app)))
    assert names == {"dermapair train", "dermapair data import", "dermapair data check"}


def test_every_recipe_is_in_the_docs():
    recipes = sorted(path.stem for path in RECIPES.glob("*.toml"))
    assert recipes, f"no recipe under {RECIPES}"
    page = DOCS / "recipes.md"
    text = read(ROOT / "README.md", *([page] if page.exists() else []))
    assert [stem for stem in recipes if not names_recipe(text, stem)] == []


def test_a_recipe_is_not_named_by_prose_alone():
    assert not names_recipe("a quick start, and quickly.toml", "quick")
    assert names_recipe("run `dermapair train quick --data cases`", "quick")
    assert names_recipe("see `quick`", "quick")


@pytest.mark.parametrize("path", markdown_files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_into_the_repository_lead_somewhere(path):
    targets = [ROOT / t.lstrip("/") if t.startswith("/") else path.parent / t for t in links(read(path))]
    assert [str(target) for target in targets if not target.exists()] == []
    assert [str(t) for t in targets if not t.resolve().is_relative_to(ROOT)] == [], "outside the repository"


def test_links_are_read_without_anchors_titles_code_and_the_web():
    markdown = (
        "[a](a.md#part) ![b](img/b%20c.png 'title') [`c`](c.py) [d](https://example.org) [e](#here)\n"
        "`[f](f.md)` [g][1]\n\n```\n[h](h.md)\n```\n\n[1]: g.md\n"
    )
    assert links(markdown) == ["a.md", "img/b c.png", "c.py", "g.md"]


def test_the_changelog_agrees_with_the_version():
    version = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["version"]
    headings = changelog_versions(read(ROOT / "CHANGELOG.md"))
    assert headings, "CHANGELOG.md has no heading like '## [Unreleased]' or '## [0.1.0] - 2025-01-31'"
    released = [heading for heading in headings if heading != "Unreleased"]
    assert "Unreleased" not in headings[1:], "[Unreleased] stands on top"
    assert headings == ["Unreleased"] or released[0] == version


def test_the_recipes_page_lists_every_key_with_its_default() -> None:
    import json

    from dermapair.config import Recipe

    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    for name, field in Recipe.model_fields.items():
        if name in ("name", "seed"):
            continue
        section = page.split(f"### `[{name}]`")[1].split("###")[0]
        for key, setting in field.annotation.model_fields.items():  # type: ignore[union-attr]
            default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
            assert f"| `{key}` | `{json.dumps(default)}` |" in section, f"{name}.{key}"
