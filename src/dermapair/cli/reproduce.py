"""`dermapair reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dermapair.cli.common import Json, finish, progress, say

PAPERS = ("ge2017",)
QUICK_EPOCHS = 2


def reproduce(
    paper: Annotated[str, typer.Argument(help="ge2017.")],
    data: Annotated[Path, typer.Option(help="Case folder of pairs with a split.")],
    out: Annotated[Path, typer.Option(help="Folder for runs, reproduce.json and reproduce.html.")],
    recipe: Annotated[str, typer.Option(help="Recipe that every training changes.")] = "ge2017",
    backbone: Annotated[str, typer.Option(help="Of all but the comparators; empty: the recipe's.")] = "",
    comparator: Annotated[
        str, typer.Option(help="Backbone that stands for ResNet; empty: resnet50, or --backbone.")
    ] = "",
    cam_backbone: Annotated[
        str, typer.Option(help="Of the CAM network; empty: GoogLeNet, or --backbone.")
    ] = "",
    epochs: Annotated[int, typer.Option(min=0, help="Of each training; 0: the recipe's.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each network of Table 1.")] = 3,
    ablations: Annotated[
        str, typer.Option(help="all, none, or with commas the names of some (or how they begin).")
    ] = "all",
    quick: Annotated[
        bool, typer.Option("--quick", help=f"{QUICK_EPOCHS} epochs, one seed, no ablations: a first look.")
    ] = False,
    cancers: Annotated[str, typer.Option(help="Classes that count as cancer, with commas.")] = "",
    melanoma: Annotated[str, typer.Option(help="The class that is melanoma.")] = "",
    set_: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a key.")] = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Train and tabulate what a paper reports, beside its figures; what is done is not done again."""
    from dermapair.config import load_recipe
    from dermapair.data.cases import read_cases
    from dermapair.inference.allocator import keep_freed_memory
    from dermapair.reproduce.ge2017.page import reproduce as ge2017
    from dermapair.reproduce.ge2017.plan import Choices

    _check_paper(paper)
    keep_freed_memory()
    epochs = epochs or (QUICK_EPOCHS if quick else 0)
    changes = [f"train.epochs={epochs}"] if epochs else []
    changes += [f"network.backbone={backbone}", "network.tap=stage-2"] if backbone else []
    base = load_recipe(recipe, overrides=[*changes, *set_])
    with progress("train") as tick:
        content = ge2017(
            base,
            read_cases(data),
            out,
            choices=Choices(
                seeds=tuple(range(1 if quick else seeds)),
                comparator=comparator or backbone or "resnet50",
                cam_backbone=cam_backbone or backbone,
                ablations=_ablations(ablations, quick=quick),
            ),
            cancers=_names(cancers),
            melanoma=melanoma,
            say=say,
            report=lambda line: say(f"  epoch {line['epoch']}, {line['train_s'] + line['val_s']:.0f} s"),
            on_step=lambda epoch, done, steps: tick((epoch - 1) * steps + done, base.train.epochs * steps),
        )
    _say_table(content["table_1"])
    say(f"page: {out / 'reproduce.html'}")
    summary = {"out": str(out), "table_1": content["table_1"], "orderings": content["orderings"]}
    finish(summary, as_json=as_json)


def _ablations(text: str, *, quick: bool) -> tuple[str, ...]:
    """Return which ablations are trained."""
    from dermapair.errors import UsageError

    if quick and text not in ("all", "none"):
        raise UsageError(f"--quick trains no ablations, got --ablations {text}; leave one of them out")
    return () if quick or text == "none" else _names(text)


def _names(text: str) -> tuple[str, ...]:
    """Return what stands between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _check_paper(paper: str) -> None:
    """Refuse a paper that is not known."""
    from dermapair.errors import UsageError, unknown_choice

    if paper not in PAPERS:
        raise UsageError(unknown_choice("paper", paper, PAPERS))


def _say_table(rows: list[dict[str, Any]]) -> None:
    """Print the accuracies of Table 1."""
    for row in rows:
        value, low, high = (row["accuracy"][key] for key in ("value", "low", "high"))
        say(f"  {row['network']:<20} {row['readout']:<12} {value:.3f} ({low:.3f} to {high:.3f})")
