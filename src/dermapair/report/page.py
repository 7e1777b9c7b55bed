"""The report of a run as one HTML page: gathers tables, sentences and figures, and fills the template.

The page loads nothing from outside, holds no pixels of any picture, and can be passed on as it is.
"""

from __future__ import annotations

import shlex
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from dermapair.config import to_toml
from dermapair.config.files import write_whole
from dermapair.report import figures, tables, trust, wording
from dermapair.report.card import model_card, write_card
from dermapair.report.limits import limits, unreadable
from dermapair.report.read import RunFiles, read_run
from dermapair.report.subgroups import subgroup_parts
from dermapair.report.template import plain_environment


def write_report(run: Path, *, manifest: dict[str, Any] | None = None) -> Path:
    """Write `report.html` and `model_card.md` into a run folder, each whole or not at all.

    Args:
        run: the folder.
        manifest: what `manifest.json` will say, while the run is being finished (it is written last); None
            reads the file.

    Returns:
        The path of the page.

    Raises:
        RunError: the run is unfinished, or a file is missing or damaged.
    """
    files = read_run(run, manifest=manifest)
    path = run / "report.html"
    write_whole(path, render(files))
    write_card(run, files)
    return path


def environment() -> Environment:
    """Return what fills the templates of this package."""
    made = plain_environment()
    made.filters |= {
        "number": wording.number,
        "title": wording.metric_name,
        "in_words": wording.in_words,
        "breakable": wording.breakable,
        "prose": wording.prose,
        "private": wording.without_folders,
    }
    made.globals |= {"interval": wording.interval, "thin": figures.THIN}
    return made


def render(files: RunFiles) -> str:
    """Return the page."""
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            run=files,
            sentence=wording.network_sentence(files.facts, files.manifest["network"]["parameters"]),
            headline=wording.headline(files),
            bayes=wording.bayes_rows(files),
            limits=limits(files),
            readouts={readout: wording.READOUTS[readout] for readout in files.readouts},
            key_styles=figures.key_styles(),
            tables=tables,
            unreadable=unreadable(files),
            recipe=_recipe(files),
            commands=_commands(files),
            trust=trust.trust_parts(files),
            decision_key=trust.legend(),
            subgroups=subgroup_parts(files),
            card=model_card(files),
            **_figures(files),
        )
    )


def _figures(files: RunFiles) -> dict[str, Any]:
    """Return the figures by the names that the template knows."""
    per_class = {r: files.results["readouts"][r]["per_class"] for r in files.readouts}
    sorted_by_n = {r: {name: values[name] for name in files.classes} for r, values in per_class.items()}
    rows, p = files.scored("both")
    named = np.array(files.results["classes"])[p.argmax(axis=1)]
    return {
        "recall_figure": figures.svg(
            figures.recall_figure(sorted_by_n),
            "Recall of each class with its 95% interval; numbers in the table.",
        ),
        "roc_figures": _roc_figures(files),
        "calibration_figure": figures.svg(
            figures.calibration_figure(p.max(axis=1), named == rows["truth"].to_numpy()),
            "Share of right answers of both over the probability of the named class.",
        ),
        "curves": _curves(files),
    }


def _roc_figures(files: RunFiles) -> list[dict[str, Any]]:
    """Return one figure for each class that has an AUC."""
    scored = {readout: files.scored(readout) for readout in files.readouts}
    result = []
    for name in files.classes:
        entry, k = files.shown["per_class"][name], files.results["classes"].index(name)
        if entry["auc"] is None:
            continue
        truth = {r: (rows["truth"] == name).to_numpy() for r, (rows, _) in scored.items()}
        figure = figures.roc_figure(truth, {r: p[:, k] for r, (_, p) in scored.items()})
        alt = f"ROC curves of {name} against the rest; AUC of both {wording.number(entry['auc'])}."
        result.append({"name": name, **entry, "svg": figures.svg(figure, alt)})
    return result


def _curves(files: RunFiles) -> list[tuple[str, Markup]]:
    """Return caption and figure of each learning curve."""
    if not files.journal:
        return []
    metric, best = files.recipe.train.metric, files.manifest["best_epoch"]
    series = {
        "training loss": {r: [e["loss"].get(r) for e in files.journal] for r in files.journal[0]["loss"]},
        f"{wording.in_words(metric)} on validation": {
            r: [e["val"][r].get(metric) for e in files.journal] for r in files.journal[0]["val"]
        },
        "learning rate": {"learning rate": [e["lr"] for e in files.journal]},
    }
    epochs = [e["epoch"] for e in files.journal]
    result = []
    for name, values in series.items():
        figure = figures.curves_figure(epochs, values, ylabel=name, best_epoch=best)
        title = name[0].upper() + name[1:]
        result.append((title, figures.svg(figure, f"{title} over the epochs; epoch {best} was kept.")))
    return result


def _recipe(files: RunFiles) -> str:
    """Return the recipe as TOML; paths are cut down to their last part."""
    paths = {"network": ("weights", "cam_source"), "crop": ("run",), "data": ("boxes",)}
    sections = {}
    for name, keys in paths.items():
        section = getattr(files.recipe, name)
        names = {key: wording.without_folders(getattr(section, key)) for key in keys}
        sections[name] = section.model_copy(update=names)
    return to_toml(files.recipe.model_copy(update=sections))


def _commands(files: RunFiles) -> list[str]:
    """Return the commands that make this run again."""
    data, settings = files.manifest["data"], files.recipe.data
    cases = shlex.quote(PurePath(data["cases"]).name)
    how = "" if settings.fit == "crop" else f" --fit {settings.fit}"
    how += "" if settings.hair == "none" else f" --hair {settings.hair}"
    boxes, first = PurePath(settings.boxes).name, PurePath(files.recipe.crop.run).name
    how += f" --boxes {shlex.quote(boxes)}" if boxes else ""
    return [
        f"dermapair data import {_source(data)} --out {cases}",
        *([f"dermapair data split {cases} {_split(data['split'])}"] if data.get("split") else []),
        *(
            [f"dermapair boxes {shlex.quote(first)} --data {cases} --out {shlex.quote(boxes)}"]
            if boxes
            else []
        ),
        f"dermapair data prepare {cases} --size {settings.size}{how}",
        f"dermapair train recipe.toml --data {cases} --out RUN",
    ]


def _source(data: dict[str, Any]) -> str:
    """Return adapter, root and options of the import; phantoms have no root."""
    drawn = data.get("phantom")
    if not drawn:
        return f"{data.get('adapter') or 'ADAPTER'} ROOT"
    return f"phantom - --lesions {drawn['lesions']} --seed {drawn['seed']} --size {drawn['size_px']}"


def _split(how: dict[str, Any]) -> str:
    """Return the options of a split; older runs do not say `force` and `duplicates`."""
    force = " --force" if how.get("force") else ""
    duplicates = "" if how.get("duplicates", True) else " --no-duplicates"
    test = f"--folds {how['folds']} --fold {how['fold']}" if "folds" in how else f"--test {how['test']}"
    return f"--val {how['val']} {test} --seed {how['seed']}{force}{duplicates}"
