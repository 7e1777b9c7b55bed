"""Reading recipes: by name from the package or by path, with `--set KEY=VALUE` on top.

What the keys mean is in `recipe`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dermapair.config.recipe import Recipe
from dermapair.errors import RecipeError, unknown_choice


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes inside the package."""
    folder = resources.files("dermapair") / "recipes"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def load_recipe(name_or_path: str | Path, *, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        name_or_path: a recipe inside the package, or the path of a TOML file.
        overrides: `KEY=VALUE` with dots between the parts of the key and a TOML value, for example
            `train.epochs=5` or `network.backbone=resnet18` (a bare word is a string).

    Returns:
        The recipe, complete with defaults.

    Raises:
        RecipeError: there is no such recipe, it is not TOML, or a key or value is wrong.
    """
    source, text = _read_text(name_or_path)
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source}: expected a TOML file, but {error}") from error
    for override in overrides:
        _apply(values, override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{source}: {_first_problem(error)}") from None


def _read_text(name_or_path: str | Path) -> tuple[str, str]:
    """Return where a recipe was found and its text."""
    if str(name_or_path) in recipe_names():
        file = resources.files("dermapair") / "recipes" / f"{name_or_path}.toml"
        return f"recipe {name_or_path}", file.read_text(encoding="utf-8")
    path = Path(name_or_path)
    try:
        return str(path), path.read_text(encoding="utf-8-sig")
    except OSError:
        known = unknown_choice("recipe", str(name_or_path), recipe_names())
        raise RecipeError(f"{known}; or give the path of a TOML file") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: expected UTF-8 text, but {error.reason}; save it as UTF-8") from None


def _apply(values: dict[str, Any], override: str) -> None:
    """Set one dotted key in the nested dictionary."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set expected KEY=VALUE, got {override!r}, for example train.epochs=5")
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise RecipeError(f"--set {override}: {section} is a value, not a section")
    try:
        values[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        values[last] = text


def _first_problem(error: ValidationError) -> str:
    """Return the first problem that pydantic found, naming the known keys for an unknown one."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "value_error":  # ours, a whole sentence
        return str(problem["ctx"]["error"])
    if problem["type"] == "extra_forbidden":
        section: type[BaseModel] = Recipe
        for part in problem["loc"][:-1]:
            annotation = section.model_fields[str(part)].annotation
            assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
            section = annotation
        known = sorted(section.model_fields)
        return f"unknown key {key!r}; known here: {', '.join(known)}"
    return f"{key or 'recipe'} = {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def to_toml(recipe: Recipe) -> str:
    """Return a recipe as TOML with every key written out."""
    return "\n".join(_toml_lines(recipe.model_dump(mode="json"), prefix="")) + "\n"


def _toml_lines(values: Mapping[str, Any], *, prefix: str) -> list[str]:
    """Return the lines of a table: plain keys first, then sub-tables."""
    plain = {k: v for k, v in values.items() if not isinstance(v, dict)}
    tables = {k: v for k, v in values.items() if isinstance(v, dict)}
    lines = [f"{_key(k)} = {_value(v)}" for k, v in plain.items()]
    for name, table in tables.items():
        path = f"{prefix}{_key(name)}"
        lines += ["", f"[{path}]", *_toml_lines(table, prefix=f"{path}.")]
    return lines


def _key(name: str) -> str:
    """Return a key, quoted where TOML wants it."""
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _value(name)


def _value(value: Any) -> str:
    """Return a plain value as TOML, whose strings and numbers are JSON's but for two kinds of character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
