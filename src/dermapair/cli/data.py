"""`dermapair data`: import, split and prepare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from dermapair.cli.check import check
from dermapair.cli.common import NAMED, Json, finish, progress, say

if TYPE_CHECKING:
    import polars as pl

    from dermapair.config import DataSettings

app = typer.Typer(
    no_args_is_help=True, help="Case folders: import a data set, check it, split it, prepare its pixels."
)
app.command()(check)

_ADAPTERS = (
    "milk10k, isic2016, isic2017, isic2017-masks, isic2018, isic2019, isic2020, isic2024, ham10000, derm7pt, "
    "pad-ufes-20, ph2, folder, csv or phantom."
)
"""Written out, as importing the table of adapters would slow `--help` down; a test compares the two."""

Cases = Annotated[Path, typer.Argument(metavar="CASES", help="Case folder.")]
Size = Annotated[int, typer.Option(min=1, help="Side of the prepared square, pixels.")]


@app.command("import")
def import_(
    adapter: Annotated[str, typer.Argument(help=_ADAPTERS)],
    root: Annotated[str, typer.Argument(help="Folder of the data set; csv: the file; phantom: -")],
    out: Annotated[Path, typer.Option(help="Case folder to write.")],
    view: Annotated[
        str, typer.Option(help="folder: clinical or dermoscopic, where neither folders nor names tell.")
    ] = "",
    lesions: Annotated[int, typer.Option(min=1, help="phantom: how many lesions to draw.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="phantom: seed.")] = 0,
    size: Annotated[int, typer.Option(min=64, help="phantom: short side of the pictures, pixels.")] = 256,
    as_json: Json = False,
) -> None:
    """Read a data set in its official layout into a case folder."""
    from dermapair.data.adapters import import_cases
    from dermapair.data.cases import write_cases
    from dermapair.data.vocabulary import without_common_term

    had_split = _had_split(out)
    if adapter == "phantom":
        from dermapair.data.adapters.phantom import draw

        table = draw(out, lesions=lesions, seed=seed, size_px=size)
    else:
        table = import_cases(adapter, Path(root), view=view)
    table = write_cases(table, out)
    nameless = without_common_term(table.frame)
    images, lesions = len(table.frame), table.frame["lesion_id"].n_unique()
    diagnoses, without = _diagnoses(table.frame), table.frame["diagnosis"].null_count()
    say(f"{out}: {images} images of {lesions} lesions, {len(diagnoses)} diagnoses")
    if diagnoses:
        say(f"lesions by diagnosis: {_counted(diagnoses)}")
    if without:
        say(f"{without} images have no diagnosis")
    notes = list(table.manifest.get("notes", ()))
    for note in notes:
        say(note)
    _say_nameless(nameless)
    if had_split:
        say(f"the split that was drawn in {out} is gone; run `dermapair data split {out}` again")
    counted = {"cases": str(out), "images": images, "lesions": lesions}
    counted |= {"diagnoses": diagnoses, "without_diagnosis": without, "split_gone": had_split}
    finish(counted | {"notes": notes, "without_common_term": nameless}, as_json=as_json)


def _had_split(folder: Path) -> bool:
    """Return whether there is a case folder with a drawn split; one without a sound manifest has none."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    return isinstance(manifest, dict) and "split" in manifest


def _diagnoses(frame: pl.DataFrame) -> dict[str, int]:
    """Return how many lesions have each diagnosis that occurs, the most frequent first."""
    known = frame.select("diagnosis", "lesion_id").drop_nulls("diagnosis").unique()
    return dict(known.group_by("diagnosis").len().sort("len", "diagnosis", descending=[True, False]).rows())


def _counted(counts: Mapping[str, int]) -> str:
    named = ", ".join(f"{value!r} ({n})" for value, n in islice(counts.items(), NAMED))
    return named + (f" and {len(counts) - NAMED} more" if len(counts) > NAMED else "")


def _say_nameless(nameless: Mapping[str, Mapping[str, int]]) -> None:
    """Say which values of which columns have no common term, and how many rows hold each."""
    for column, counts in nameless.items():
        say(f"{column}: no common term for {_counted(counts)}")


@app.command()
def merge(
    cases: Annotated[list[Path], typer.Argument(metavar="CASES...", help="Two or more case folders.")],
    out: Annotated[Path, typer.Option(help="Case folder to write.")],
    diagnosis: Annotated[
        str, typer.Option(help="own: the sets' codes, if they are the same; common: their common terms.")
    ] = "own",
    prefix: Annotated[
        bool, typer.Option("--prefix", help="Put the folder's name before all ids, where some are equal.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Merge case folders into one that says where each row comes from."""
    from dermapair.data.merge import merge_cases, merge_summary

    summary = merge_summary(merge_cases(cases, out, diagnosis=diagnosis, prefix=prefix))
    for part in summary["parts"]:
        terms = ", ".join(part["licenses"]) or "no licence named"
        say(f"{part['name']}: {part['images']} images of {part['lesions']} lesions ({terms})")
    say(f"{out}: {summary['images']} images of {summary['lesions']} lesions")
    _say_nameless(summary["without_common_term"])
    if summary["without_diagnosis"]:
        say(f"{summary['without_diagnosis']} images have no diagnosis, as their code has no common term")
    for one, other in summary["overlapping"]:
        say(f"{one} and {other} may be the same: put both into one group of the recipe's task, or drop one")
    if summary["without_split"]:
        without = ", ".join(summary["without_split"])
        say(f"no split in {without}, but in others: `dermapair data split {out}` gives all of them one")
    say(f"a training picture of one may lie in another's test part: look with `dermapair data check {out}`")
    finish(summary, as_json=as_json)


@app.command()
def split(
    cases: Cases,
    val: Annotated[float, typer.Option(help="Share for validation.")] = 0.15,
    test: Annotated[float | None, typer.Option(help="Share for the test; 0.15 if not given.")] = None,
    folds: Annotated[
        int, typer.Option(min=0, help="Cross-validation: the test part is one of so many folds.")
    ] = 0,
    fold: Annotated[int, typer.Option(min=0, help="Which fold, from 0.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the shuffle.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an official split.")] = False,
    duplicates: Annotated[
        bool, typer.Option(help="Keep near duplicates together (decodes every image once).")
    ] = True,
    as_json: Json = False,
) -> None:
    """Split by patient, else lesion, near duplicates kept together, stratified by diagnosis."""
    from dermapair.data.cases import read_cases, write_cases
    from dermapair.data.duplicates import near_duplicates
    from dermapair.data.split import Fold, largest_group, missing_diagnoses, split_cases, split_counts
    from dermapair.errors import UsageError

    if (fold and not folds) or (folds and test is not None):
        raise UsageError("--folds takes the place of --test, and --fold says which; give one or the other")
    table = read_cases(cases)
    pairs, unreadable = near_duplicates(table) if duplicates else (None, [])
    table = write_cases(
        split_cases(
            table,
            val=val,
            test=0.15 if test is None else test,
            seed=seed,
            force=force,
            duplicates=pairs,
            fold=Fold(fold, folds) if folds else None,
        ),
        cases,
    )
    counts = split_counts(table)
    for row in counts:
        share = row["lesions"] / table.frame["lesion_id"].n_unique()
        say(f"{row['split'] or 'no split'}: {row['lesions']} lesions ({share:.0%}), {row['images']} images")
    for name, lacks in missing_diagnoses(table).items():
        say(f"no lesion in {name} of {', '.join(lacks)}")
    n_pairs = len(pairs or ())
    found = f"{n_pairs} pairs of near duplicates kept together"
    say(found if duplicates else "near duplicates were not looked for")
    largest = largest_group(pairs or (), len(table.frame))
    if largest > 2:
        say(f"the largest group of linked images has {largest}; `dermapair data check` shows them")
    if unreadable:
        say(f"{len(unreadable)} images cannot be read, so compared with none; see `dermapair data check`")
    summary = {"cases": str(cases), "splits": counts, "near_duplicates": n_pairs}
    finish(summary | {"unreadable": len(unreadable)}, as_json=as_json)


@app.command()
def prepare(
    cases: Cases,
    size: Size = 256,
    fit: Annotated[str, typer.Option(help="crop (aspect kept, centre) or squash.")] = "crop",
    hair: Annotated[
        str, typer.Option(help="Remove hair first: none, dullrazor, oriented, learned or blackhat.")
    ] = "none",
    boxes: Annotated[
        str, typer.Option(help="Cut these parts from the originals: a file of `dermapair boxes`.")
    ] = "",
    recipe: Annotated[str, typer.Option(help="Take size, fit and hair from this recipe instead.")] = "",
    workers: Annotated[int, typer.Option(min=0, help="Threads; 0 takes one for each core.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if an image cannot be read.")] = False,
    as_json: Json = False,
) -> None:
    """Decode every image once into a memory-mapped array; resumable."""
    from dermapair.config import load_recipe
    from dermapair.data.cases import read_cases
    from dermapair.data.store import prepare as prepare_pixels
    from dermapair.data.store import unreadable, with_refused_hair
    from dermapair.errors import DermapairError

    settings = load_recipe(recipe).data if recipe else _settings(size, fit, hair)
    settings = settings.model_copy(update={"boxes": boxes}) if boxes else settings
    with progress("prepare") as tick:
        store = prepare_pixels(read_cases(cases), settings, workers=workers or None, progress=tick)
    bad = list(unreadable(store))
    for image_id, reason in bad:
        say(f"cannot read {image_id}: {reason}")
    refused = with_refused_hair(store)
    for image_id in refused:
        say(f"{image_id}: hair left as it is, as too much of the image was taken for hair")
    say(f"{store.folder}: {len(store.index) - len(bad)} images prepared, {len(bad)} cannot be read")
    summary = {"images": len(store.index), "unreadable": dict(bad), "hair_refused": refused}
    finish({"store": str(store.folder)} | summary, as_json=as_json)
    if bad and strict:
        raise DermapairError(f"{len(bad)} images cannot be read; they are listed above")


def _settings(size: int, fit: str, hair: str) -> DataSettings:
    """Return the settings of a store from the flags."""
    from dermapair.config import DataSettings
    from dermapair.errors import UsageError

    for flag, value in (("fit", fit), ("hair", hair)):
        choices = get_args(DataSettings.model_fields[flag].annotation)
        if value not in choices:
            raise UsageError(f"--{flag}: expected {' or '.join(choices)}, got {value!r}")
    return DataSettings.model_validate({"size": size, "input": size, "fit": fit, "hair": hair})
