"""Recipes: every shipped one loads, and what is unknown or impossible is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermapair.config import Recipe, load_recipe, recipe_names, to_toml
from dermapair.errors import RecipeError


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_loads_by_its_name_and_survives_its_own_toml(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert load_recipe(write(tmp_path, to_toml(recipe))) == recipe


def test_an_empty_recipe_is_the_defaults_and_all_of_them_are_written_out(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, ""))
    assert recipe == Recipe()
    text = to_toml(recipe)
    for section in Recipe.model_fields:
        keys = getattr(type(getattr(recipe, section)), "model_fields", {})
        assert all(f"\n{key} = " in text or f".{key}]" in text for key in keys), section


def test_a_recipe_with_every_kind_of_text_survives_its_own_toml(tmp_path: Path) -> None:
    recipe = load_recipe(
        write(
            tmp_path,
            'name = "quote \\" slash \\\\ tab \\t line \\n delete \\u007f mole \\U0001F600 é"\n'
            "[task]\ndrop = ['x', 'y z']\n[task.rename]\n'a.b' = 'c \"d\"'\nplain = 'p'\n"
            "[task.groups]\n'benign é' = ['*']\n",
        )
    )
    assert recipe.task.rename == {"a.b": 'c "d"', "plain": "p"}
    assert load_recipe(write(tmp_path, to_toml(recipe))) == recipe


def test_groups_keep_the_order_in_which_they_are_written(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "[task.groups]\nz = ['1']\na = ['2']\nm = ['3']\n"))
    again = load_recipe(write(tmp_path, to_toml(recipe)))
    assert list(again.task.groups) == list(recipe.task.groups) == ["z", "a", "m"]


def test_a_recipe_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "bom.toml"
    path.write_text('name = "x"\n', encoding="utf-8-sig")
    assert load_recipe(path).name == "x"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "sead = 1",
            r"unknown key 'sead'; known here: augment, crop, data, loss, name, .*seed, task, train$",
        ),
        ("[train]\nepoch = 1", r"unknown key 'train.epoch'; known here: batch_size, ema, epochs, "),
        ("[dta]\nsize = 1", "unknown key 'dta'; known here: augment, crop, data"),
        ("[train]\nepochs = 0", "train.epochs = 0: input should be greater than or equal to 1"),
        ("[train]\nepochs = 'many'", "train.epochs = 'many': input should be a valid integer"),
        (
            "[network]\nkind = 'double'",
            "network.kind = 'double': input should be 'single', 'sole', 'share' or",
        ),
        ("[optimizer]\nlr = inf", "optimizer.lr = inf: input should be a finite number"),
        ("[optimizer]\nlr = nan", "optimizer.lr = nan: input should be"),
        ("[augment]\nbrightness = 1.5", "augment.brightness = 1.5: input should be less than or equal to 1"),
        ("[augment]\nscale = [1]", r"augment.scale.1 = .*field required"),
        ("data = 5", "data = 5: input should be a valid dictionary"),
        (
            "[data]\nsize = 64\ninput = 65",
            r"mine.toml: data.input \(65\) must not exceed data.size \(64\)$",
        ),
        (
            "[augment]\nscale = [1.1, 0.9]",
            r"mine.toml: augment.scale: expected the smaller factor first, got",
        ),
        (
            "[augment]\nscale = [0.8, 1.5]",
            r"mine.toml: augment.scale \[0.8, 1.5\] times data.input 224 is up to 336 pixels, more than data",
        ),
        ("name = ", "expected a TOML file, but Invalid value"),
    ],
)
def test_a_bad_recipe_is_refused_in_one_sentence(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(RecipeError, match=match) as caught:
        load_recipe(write(tmp_path, text))
    assert "mine.toml: " in str(caught.value)


def test_a_cut_may_reach_the_whole_square_up_to_rounding(tmp_path: Path) -> None:
    path = write(tmp_path, "[data]\nsize = 240\ninput = 224\n[augment]\nscale = [0.75, 1.07]\n")
    assert load_recipe(path, overrides=["augment.scale=[0.75, 1.073]"]).augment.scale == (0.75, 1.073)
    with pytest.raises(RecipeError, match="is up to 241 pixels, more than data.size 240"):
        load_recipe(path, overrides=["augment.scale=[0.75, 1.075]"])
    with pytest.raises(RecipeError, match="is up to 246 pixels, more than data.size 240; lower the scale or"):
        load_recipe(path, overrides=["data.input=230"])


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_may_be_made_larger(name: str) -> None:
    small = load_recipe(name)
    sizes = {"data.size": 2 * small.data.size, "data.input": 2 * small.data.input}
    large = load_recipe(name, overrides=[f"{key}={value}" for key, value in sizes.items()])
    assert (large.data.size, large.data.input) == tuple(sizes.values())


@pytest.mark.parametrize("name", ["milk11k", "none.toml", "/", "pyproject.toml/x", "x" * 5000])
def test_an_unknown_recipe_lists_the_known_ones(name: str) -> None:
    with pytest.raises(
        RecipeError, match=r"unknown recipe '.*'; known: .*milk10k.*; or give the path of a T"
    ):
        load_recipe(name)


def test_a_recipe_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(RecipeError, match="expected UTF-8 text, but .*; save it as UTF-8"):
        load_recipe(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("seed=7", "seed", 7),
        ("train.epochs = 3", "train.epochs", 3),
        ("optimizer.lr=1e-3", "optimizer.lr", 0.001),
        ("augment.mirror=true", "augment.mirror", True),
        ("network.backbone=resnet18", "network.backbone", "resnet18"),
        ("network.backbone='resnet18'", "network.backbone", "resnet18"),
        ("network.weights=/models/a=b c.safetensors", "network.weights", "/models/a=b c.safetensors"),
        ("train.freeze_until=", "train.freeze_until", ""),
        ("augment.scale=[0.5, 1]", "augment.scale", (0.5, 1.0)),
        ('task.drop=["DF", "INF"]', "task.drop", ("DF", "INF")),
        ("task.rename={NV = 'nevus'}", "task.rename", {"NV": "nevus"}),
        ("task.groups.other=['*']", "task.groups", {"other": ("*",)}),
    ],
)
def test_set_takes_numbers_text_lists_and_nested_keys(override: str, key: str, value: object) -> None:
    got: object = load_recipe("demo", overrides=[override])
    for part in key.split("."):
        got = getattr(got, part)
    assert got == value


def test_the_last_set_of_a_key_holds() -> None:
    assert load_recipe("demo", overrides=["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("epochs", "--set expected KEY=VALUE, got 'epochs', for example"),
        ("=3", "--set expected KEY=VALUE, got '=3'"),
        ("train.epoch=3", "unknown key 'train.epoch'; known here: batch_size"),
        ("data.size.x=3", "--set data.size.x=3: size is a value, not a section"),
        ("train.epochs=ten", "train.epochs = 'ten': input should be a valid integer"),
        ("task.drop=DF", "task.drop = 'DF': input should be a valid tuple"),
        ("..=3", "unknown key"),
    ],
)
def test_a_bad_set_is_refused(override: str, match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        load_recipe("demo", overrides=[override])
