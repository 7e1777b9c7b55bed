"""`dermapair reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermapair.cli.common import Json, Progress, finish, progress, say

if TYPE_CHECKING:
    from dermapair.config import Recipe

PAPERS = ("ge2017", "jia2017")
QUICK_EPOCHS = 2


def reproduce(
    paper: Annotated[str, typer.Argument(help="ge2017 or jia2017.")],
    data: Annotated[Path, typer.Option(help="Case folder: pairs with a split, or for jia2017 ISIC 2017.")],
    out: Annotated[Path, typer.Option(help="Folder for runs, reproduce.json and reproduce.html.")],
    recipe: Annotated[str, typer.Option(help="Recipe that every training changes; empty: the paper's.")] = "",
    backbone: Annotated[str, typer.Option(help="Of all but the comparators; empty: the recipe's.")] = "",
    masks: Annotated[
        Path | None, typer.Option(help="jia2017: case folder of isic2017-masks, to measure the parts.")
    ] = None,
    comparator: Annotated[
        str, typer.Option(help="ge2017: backbone that stands for ResNet; empty: resnet50, or --backbone.")
    ] = "",
    cam_backbone: Annotated[
        str, typer.Option(help="ge2017: of the CAM network; empty: GoogLeNet, or --backbone.")
    ] = "",
    epochs: Annotated[int, typer.Option(min=0, help="Of each training; 0: the recipe's.")] = 0,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="ge2017: trainings of each network of Table 1; 3 if not given.")
    ] = None,
    ablations: Annotated[
        str, typer.Option(help="all, none, or with commas the names of some (or how they begin).")
    ] = "all",
    quick: Annotated[
        bool, typer.Option("--quick", help=f"{QUICK_EPOCHS} epochs, one seed, no ablations: a first look.")
    ] = False,
    cancers: Annotated[str, typer.Option(help="ge2017: classes that count as cancer, with commas.")] = "",
    melanoma: Annotated[str, typer.Option(help="ge2017: the class that is melanoma.")] = "",
    set_: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a key.")] = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Train and tabulate what a paper reports, beside its figures; what is done is not done again."""
    from dermapair.data.cases import read_cases
    from dermapair.inference.allocator import keep_freed_memory

    _check_paper(paper, ge2017_only=(comparator, cam_backbone, cancers, melanoma, seeds), masks=masks)
    keep_freed_memory()
    base = _base(paper, recipe or paper, backbone, epochs or (QUICK_EPOCHS if quick else 0), set_)
    table, which = read_cases(data), _ablations(ablations, quick=quick)
    with progress("train") as tick:
        how = _reporting(tick, base.train.epochs)
        if paper == "jia2017":
            from dermapair.reproduce.jia2017.page import reproduce as jia2017

            beside = read_cases(masks) if masks else None
            content = jia2017(base, table, out, masks=beside, ablations=which, **how)
        else:
            from dermapair.reproduce.ge2017.page import reproduce as ge2017
            from dermapair.reproduce.ge2017.plan import Choices

            backbones = (comparator or backbone or "resnet50", cam_backbone or backbone)
            choices = Choices(tuple(range(1 if quick else seeds or 3)), *backbones, which)
            how |= {"cancers": _names(cancers), "melanoma": melanoma}
            content = ge2017(base, table, out, choices=choices, **how)
    _say_table(content["table_1"])
    say(f"page: {out / 'reproduce.html'}")
    found = {name: content[name] for name in ("table_1", "orderings", "gains") if name in content}
    finish({"out": str(out)} | found, as_json=as_json)


def _reporting(tick: Progress, epochs: int) -> dict[str, Any]:
    """Return what a reproduction calls while it trains."""
    return {
        "say": say,
        "report": lambda line: say(f"  epoch {line['epoch']}, {line['train_s'] + line['val_s']:.0f} s"),
        "on_step": lambda epoch, done, steps: tick((epoch - 1) * steps + done, epochs * steps),
    }


def _base(paper: str, recipe: str, backbone: str, epochs: int, changes: list[str]) -> Recipe:
    """Return the recipe that every training changes.

    Another backbone than VGG-16 has other stages to tap, and few end in two padded convolutions.
    """
    from dermapair.config import load_recipe

    first = [f"train.epochs={epochs}"] if epochs else []
    first += [f"network.backbone={backbone}"] if backbone else []
    first += ["network.tap=stage-2" if paper == "ge2017" else "network.unpadded=1"] if backbone else []
    return load_recipe(recipe, overrides=[*first, *changes])


def _ablations(text: str, *, quick: bool) -> tuple[str, ...]:
    """Return which ablations are trained."""
    from dermapair.errors import UsageError

    if quick and text not in ("all", "none"):
        raise UsageError(f"--quick trains no ablations, got --ablations {text}; leave one of them out")
    return () if quick or text == "none" else _names(text)


def _names(text: str) -> tuple[str, ...]:
    """Return what stands between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _check_paper(paper: str, *, ge2017_only: tuple[object, ...], masks: Path | None) -> None:
    """Refuse a paper that is not known, and options of the other one."""
    from dermapair.errors import UsageError, unknown_choice

    if paper not in PAPERS:
        raise UsageError(unknown_choice("paper", paper, PAPERS))
    if paper == "jia2017" and any(ge2017_only):
        raise UsageError(
            "--comparator, --cam-backbone, --seeds, --cancers and --melanoma go with ge2017; leave them out"
        )
    if paper == "ge2017" and masks:
        raise UsageError("--masks goes with jia2017; leave it out")


def _say_table(rows: list[dict[str, Any]]) -> None:
    """Print the accuracies or mean AUCs of Table 1."""
    for row in rows:
        figure = row["accuracy"] if "accuracy" in row else row["aucs"]["mean_auc"]
        value, low, high = (
            float("nan") if figure[k] is None else figure[k] for k in ("value", "low", "high")
        )
        first, second = (
            row[key] for key in (("network", "readout") if "network" in row else ("part", "stage"))
        )
        say(f"  {first:<20} {second:<12} {value:.3f} ({low:.3f} to {high:.3f})")
