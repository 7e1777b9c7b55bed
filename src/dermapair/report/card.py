"""The model card of a run, after Mitchell et al. 2019 (arXiv 1810.03993), from the run's files alone.

What the files do not say is said to be unknown. The card is written as Markdown; the report shows the same
sections.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dermapair.config.files import write_whole
from dermapair.report import tables
from dermapair.report.limits import limits
from dermapair.report.markdown import Section, Table, to_markdown
from dermapair.report.read import RunFiles
from dermapair.report.subgroups import TITLES, gap_text, widest_point
from dermapair.report.wording import (
    headline,
    in_words,
    interval,
    network_sentence,
    number,
)

CARD = "model_card.md"
NOT_MEASURED = "Not measured; run `dermapair calibrate RUN --data CASES`."
NOT_RECORDED = "not recorded in this run"
GE = (
    "Ge, Z., et al. (2017). Skin disease recognition using deep saliency features and multimodal learning of "
    "dermoscopy and clinical images. MICCAI 2017. doi:10.1007/978-3-319-66179-7_29"
)
JIA = "Jia, X. and Shen, L. (2017). Skin lesion classification using class activation map. arXiv:1703.01053"
MITCHELL = "Mitchell, M., et al. (2019). Model cards for model reporting. FAT* 2019. arXiv:1810.03993"


def write_card(run: Path, files: RunFiles) -> Path:
    """Write `model_card.md` into a run folder, whole or not at all, and return its path."""
    write_whole(run / CARD, to_markdown(f"Model card: {files.facts.recipe}", model_card(files)))
    return run / CARD


def model_card(files: RunFiles) -> list[Section]:
    """Return the sections of the card."""
    return [
        Section("Model details", tuple(_details(files))),
        Section("Intended use", tuple(_use(files))),
        Section("Factors", tuple(_factors(files))),
        Section("Data", tuple(_data(files))),
        Section("Performance", tuple(_performance(files))),
        Section("Calibration", tuple(_calibration(files))),
        Section("Operating points", tuple(_points(files))),
        Section("Subgroups", tuple(_subgroups(files))),
        Section("Unfamiliar images", tuple(_outside(files))),
        Section("Caveats and recommendations", (limits(files),)),
        Section("How to cite", (_citations(files),)),
    ]


def _figure(entry: Mapping[str, Any]) -> str:
    return f"{number(entry['value'])} {interval(entry['low'], entry['high'])}".strip()


def _details(files: RunFiles) -> Iterable[Any]:
    yield network_sentence(files.facts, files.manifest["network"]["parameters"])
    names = files.facts.classes
    yield f"Task `{files.facts.task}`, {len(names)} classes: {', '.join(names)}."
    targets = [f"{name}: {', '.join(classes)}" for name, classes in files.facts.targets.items()]
    yield f"Classes with a decision to take: {'; '.join(targets) or 'none'}."
    known = [("Recipe", files.facts.recipe), ("Seed", str(files.manifest["seed"])), *tables.facts(files)]
    unknown = [("Date", NOT_RECORDED), ("Licence of the weights", NOT_RECORDED)]
    yield Table(("what", "value"), tuple(known + unknown))


def _use(files: RunFiles) -> Iterable[Any]:
    views = files.facts.network.view if files.facts.network.kind == "single" else "clinical and dermoscopic"
    yield (
        f"For research on classifiers of skin lesions: to measure, explain and compare them, on {views} "
        "images of single lesions like those below, by researchers and engineers."
    )
    yield "Out of scope:"
    yield [
        "Diagnosis, triage or treatment of anybody, also as a second opinion: it is no medical device.",
        f"Lesions of other kinds: each is given one of {len(files.facts.classes)} classes, whatever it is.",
        "Other cameras, clinics and patients than those of the data below, until it is measured on them.",
    ]


def _factors(files: RunFiles) -> Iterable[Any]:
    found = files.results.get("subgroups")
    if not found:
        yield NOT_MEASURED
        return
    yield f"What is known of the {files.shown['n_lesions']} lesions of the part “{files.results['split']}”:"
    rows = [
        (
            TITLES.get(name, name),
            entry["scale"] or "–",
            ", ".join(
                f"{group}: {of['n']}{' (too few)' if of['too_few'] else ''}"
                for group, of in entry["groups"].items()
            )
            or "none",
            str(entry["unknown"]),
        )
        for name, entry in found.items()
    ]
    yield Table(("attribute", "scale", "lesions by value", "unknown"), tuple(rows))
    yield "Anything else that may matter, as camera, lens, light or clinic, was not looked at."


def _data(files: RunFiles) -> Iterable[Any]:
    data = files.manifest["data"]
    split = ", ".join(f"{key} {value}" for key, value in (data.get("split") or {}).items())
    yield Table(
        ("what", "value"),
        (
            ("Read by adapter", data.get("adapter") or NOT_RECORDED),
            (
                "Images, lesions",
                f"{data.get('images') or NOT_RECORDED}, {data.get('lesions') or NOT_RECORDED}",
            ),
            ("Patients", str(data.get("patients") or "unknown")),
            ("Sources (images)", _counted(data.get("sources"))),
            ("Licences (images)", _counted(data.get("licenses"))),
            ("Split", split or "the set's own, or not recorded"),
            ("What the people in the images agreed to", NOT_RECORDED),
        ),
    )
    yield f"Lesions by class and part; the figures below are of the part “{files.results['split']}”:"
    rows = [
        (row["name"], *("–" if row[part] is None else str(row[part]) for part in ("train", "val", "test")))
        for row in tables.count_rows(files)
    ]
    yield Table(("class", "train", "val", "test"), tuple(rows))


def _counted(counts: Mapping[str, int] | None) -> str:
    return ", ".join(f"{name} ({n})" for name, n in counts.items()) if counts else NOT_RECORDED


def _performance(files: RunFiles) -> Iterable[Any]:
    how = files.results["interval"]
    yield headline(files)
    yield (
        f"Readout `both`, with {round(100 * how['level'])}% intervals ({how['method']}, {how['n']} samples). "
        "Means over classes leave out those without a case."
    )
    shown = [(row["name"], _figure(row["cells"][0])) for row in tables.metric_rows(files)]
    yield Table(("metric", "value"), tuple(shown))
    rows = []
    for row in tables.class_rows(files):
        recall, auc = (
            f"{number(row[key])} {interval(*row[f'{key}_interval'])}".strip() for key in ("recall", "auc")
        )
        rows.append((row["name"], str(row["n"]), recall, auc))
    yield Table(("class", "lesions", "recall", "AUC against the rest"), tuple(rows))


def _calibration(files: RunFiles) -> Iterable[Any]:
    if "calibration" not in files.results:
        yield NOT_MEASURED
        return
    found = files.results["calibration"]
    if found is None:
        yield "The probabilities are the network's own: none was calibrated."
    elif "both" in found["readouts"]:
        entry = found["readouts"]["both"]
        yield f"Method {found['method']}, fitted on “{found['fitted_on']}”; readout `both`."
        rows = [
            (in_words(name), *(_figure(entry[when][name]) for when in ("before", "after", "difference")))
            for name in entry["difference"]
        ]
        yield Table(("figure", "before", "after", "after - before"), tuple(rows))
    sets = files.results.get("conformal")
    if sets:
        yield (
            f"Sets of classes meant to hold the truth of {sets['wanted']:.0%} of lesions, on average and not "
            f"in each class: they hold it in {_figure(sets['coverage'])}, with {sets['mean_size']:.2f} "
            "classes each."
        )


def _points(files: RunFiles) -> Iterable[Any]:
    points = files.results.get("operating_points")
    if points is None:
        yield NOT_MEASURED
    elif not points:
        yield "No points: the task has no classes with a decision to take."
    else:
        yield (
            "Thresholds were chosen on validation; what they reach is of the part "
            f"“{files.results['split']}”. PPV holds at the prevalence of this part only."
        )
        rows = [
            (
                in_words(name),
                f"> {number(of['threshold'])}",
                f"{of['cases']} of {of['cases'] + of['others']}",
                *(_figure(of[key]) for key in ("sensitivity", "specificity", "ppv")),
            )
            for name, of in points.items()
        ]
        yield Table(("point", "probability", "cases", "sensitivity", "specificity", "PPV"), tuple(rows))


def _subgroups(files: RunFiles) -> Iterable[Any]:
    found = files.results.get("subgroups")
    if not found:
        yield NOT_MEASURED
        return
    rows = [
        (TITLES.get(name, name), group, str(of["n"]), *_two(of))
        for name, entry in found.items()
        for group, of in entry["groups"].items()
    ]
    yield Table(("attribute", "group", "lesions", "accuracy", "macro AUC, same classes"), tuple(rows))
    yield (
        "Largest gap between two groups, with an interval and a p-value that allow for its having been "
        "chosen, and Holm's p-value over all attributes and metrics. Means over classes are compared over "
        "the same classes. A gap that is not significant is no proof of equality."
    )
    yield [f"{TITLES.get(name, name)}: {_gaps(entry['gaps'])}" for name, entry in found.items()]
    widest = {TITLES.get(name, name): widest_point(entry) for name, entry in found.items()}
    if any(widest.values()):
        yield "Widest differences at an operating point, which are not tested:"
        yield [f"{title}: {text}" for title, text in widest.items() if text]


def _outside(files: RunFiles) -> Iterable[Any]:
    if "outside" not in files.results:
        yield NOT_MEASURED
    elif not files.results["outside"]:
        yield "Images unlike those of training are not told apart: every answer is given as if it were known."
    else:
        found = files.results["outside"]
        yield (
            f"Images unlike those of training are flagged ({found['method']}); what is not flagged may "
            f"still be unknown. On the part “{files.results['split']}”:"
        )
        yield [
            f"{view}: {_figure(of['flagged'])} of {of['n']} lesions, {of['allowed']:.3f} allowed"
            for view, of in found["views"].items()
        ]


def _two(of: Mapping[str, Any]) -> tuple[str, str]:
    """Return two figures of a group."""
    if of["too_few"]:
        return ("too few", "too few")
    alike = of["compared"].get("macro_auc")
    return (_figure(of["metrics"]["accuracy"]), _figure(alike) if alike else "not compared")


def _gaps(gaps: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the gaps in accuracy and macro AUC, and those that are significant after Holm's correction."""
    told = {
        name: gap
        for name, gap in gaps.items()
        if name in ("accuracy", "macro_auc") or (gap["p_holm"] is not None and gap["p_holm"] < 0.05)
    }
    return "; ".join(f"{in_words(name)} {gap_text(gap)}" for name, gap in told.items()) or (
        "fewer than two groups are large enough to be compared."
    )


def _citations(files: RunFiles) -> list[str]:
    """Return what to cite: the software, the methods that this run uses, and the data."""
    network = files.facts.network
    methods = [GE] if network.kind != "single" or network.pooling == "cam_bp" else []
    methods += [JIA] if files.facts.stage_one else []
    adapter = files.manifest["data"].get("adapter") or "the data set"
    return [
        f"Dermapair {files.manifest['versions']['dermapair']} (CITATION.cff), recipe `{files.facts.recipe}`, "
        f"seed {files.manifest['seed']}",
        *methods,
        f"The data ({adapter}): as its publishers ask; this run does not record it.",
        f"The form of this card: {MITCHELL}",
    ]
