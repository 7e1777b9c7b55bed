"""What the numbers of a run cannot show: one sentence for each limit that this run has."""

from __future__ import annotations

from typing import Any

from dermapair.report.figures import THIN
from dermapair.report.read import RunFiles
from dermapair.report.wording import in_words, interval, number

MOST_NAMED = 6  # rare classes; of more, only the rarest is named


def limits(files: RunFiles) -> list[str]:
    """Return the sentences, those that matter most first."""
    return [
        "This is research, not a medical device. Nobody's care may depend on it.",
        *_source(files),
        *_few_cases(files),
        _one_training(files),
        _chosen(files),
        *_decisions(files),
        *_small_groups(files),
        *_unfamiliar(files),
        _groups(files),
        *_left_out(files),
    ]


def _source(files: RunFiles) -> list[str]:
    if files.manifest["data"].get("adapter") == "phantom":
        return [
            "The lesions are drawn by a program. The numbers say whether training works, nothing about skin."
        ]
    name = files.manifest["data"].get("adapter") or "the case table"
    text = f"All lesions come from one source ({name}). Other cameras and clinics are untested"
    compared = [in_words(key) for key, entry in _subgroups(files).items() if entry["compared_groups"]]
    broken_down = (
        f"; within it the results are broken down by {', '.join(compared)}."
        if compared
        else ", and the results are not broken down by skin tone, age or sex."
    )
    return [text + broken_down]


def _subgroups(files: RunFiles) -> dict[str, Any]:
    return files.results.get("subgroups") or {}


def _decisions(files: RunFiles) -> list[str]:
    """Return what holds for thresholds, temperatures and sets that were chosen on validation."""
    if not any(files.results.get(key) for key in ("calibration", "operating_points", "conformal")):
        return []
    if files.results["split"] == "val":
        return [
            "Temperatures, thresholds and sets were fitted on the very lesions that they are shown on: what "
            "they reach flatters. Nothing here says what they reach on new lesions."
        ]
    return [
        "Temperatures, thresholds and sets were chosen on validation lesions of this source: elsewhere "
        "neither the probabilities nor what a threshold reaches need hold. PPV and NPV hold at this part's "
        "share of cases only."
    ]


def _small_groups(files: RunFiles) -> list[str]:
    found = _subgroups(files)
    small = [
        f"{in_words(key)} {name} ({group['n']})"
        for key, entry in found.items()
        for name, group in entry["groups"].items()
        if group["too_few"]
    ]
    unknown = [in_words(key) for key, entry in found.items() if not entry["groups"]]
    listed = ", ".join(small) if len(small) <= MOST_NAMED else f"{len(small)} groups"
    return [
        *([f"Too few lesions to be measured as a group: {listed}."] if small else []),
        *([f"Not recorded, and so not compared: {', '.join(unknown)}."] if unknown else []),
    ]


def _unfamiliar(files: RunFiles) -> list[str]:
    if files.results.get("outside"):
        return []
    return ["How the network answers to images unlike those it was trained on is unknown: it always answers."]


def _few_cases(files: RunFiles) -> list[str]:
    per_class = files.shown["per_class"]
    thin = [name for name in files.classes if 0 < per_class[name]["n"] < THIN]
    sentences = []
    if thin:
        listed = ", ".join(f"{name} ({per_class[name]['n']})" for name in thin)
        if len(thin) > MOST_NAMED:
            rarest = f"{thin[-1]} ({per_class[thin[-1]]['n']})"
            listed = f"{len(thin)} of {len(files.classes)} classes, the rarest being {rarest}"
        last = per_class[thin[-1]]
        sentences.append(
            f"Too few cases for a verdict, fewer than {THIN}: {listed}. The recall of {thin[-1]}, for "
            f"example, is known only within {interval(*last['recall_interval'])}; macro figures count it as "
            "much as any other class. With a handful of cases the bootstrap interval of an AUC is "
            "too narrow as well."
        )
        known = [per_class[name]["auc"] for name in files.classes if per_class[name]["n"] >= THIN]
        if len(known) > 1 and None not in known:
            sentences.append(
                f"Over the {len(known)} classes of at least {THIN} lesions the macro AUC is "
                f"{sum(known) / len(known):.3f}, over all {number(files.shown['macro_auc']['value'])}: rare "
                "classes make the difference."
            )
    if files.shown["classes_without_cases"]:
        absent = ", ".join(files.shown["classes_without_cases"])
        sentences.append(
            f"No case at all: {absent}. Their figures are not defined and no mean includes them."
        )
    return sentences


def _one_training(files: RunFiles) -> str:
    return (
        f"One training, with seed {files.manifest['seed']}. The intervals say how the figures could vary "
        "with other lesions of the same kind, not with another training; rerun with other seeds before "
        "comparing runs. Readouts are measured on the same lesions, so overlapping intervals are no "
        "test of a difference."
    )


def _chosen(files: RunFiles) -> str:
    chosen = files.manifest["validation"]
    if files.recipe.train.keep == "last":
        scored = "validation lesions" if files.results["split"] == "val" else "lesions"
        return (
            f"The last epoch was kept: no epoch was chosen by the {scored} that the figures come from. "
            "Whether anything else in the recipe was, the files cannot say."
        )
    text = (
        f"Epoch {files.manifest['best_epoch']} of {len(files.journal)} was chosen by the "
        f"{in_words(chosen['metric'])} of `{chosen['readout']}` on validation"
    )
    if files.results["split"] == "val":
        return f"{text}, the very lesions that the figures here come from: they flatter the network."
    return f"{text}; the figures come from other lesions, scored once."


def _groups(files: RunFiles) -> str:
    if files.manifest["data"].get("patients"):
        return (
            "The bootstrap draws whole patients, and Wilson's intervals of shares count patients, not "
            "lesions; those of the reliability diagrams take lesions for independent."
        )
    return (
        "The bootstrap draws patients only where the case table names them, and otherwise lesions: if "
        "unnamed patients have several lesions here, the intervals are too narrow, and one patient may lie "
        "in two splits."
    )


def _left_out(files: RunFiles) -> list[str]:
    """Return a sentence for each kind of lesion that was not scored like the others."""
    results = files.results
    unscored, failed = results["not_predicted"], unreadable(files)
    missing = [f"{n} without a {view} image" for view, n in results["missing_view"].items() if n]
    parts = [
        (f"Only the readouts of the view that they have: {', '.join(missing)}.", missing),
        (f"{results['without_truth']} lesions have no diagnosis: not scored.", results["without_truth"]),
        (f"{len(unscored)} lesions with a diagnosis got no prediction and do not count.", unscored),
        (f"{len(failed)} images could not be read; they are listed below.", failed),
    ]
    return [sentence for sentence, there in parts if there]


def unreadable(files: RunFiles) -> dict[str, str]:
    """Return the reason for each image or lesion that could not be read at any stage."""
    found = dict(files.manifest["data"].get("unreadable_images") or {})
    for line in files.journal:
        found |= line.get("unreadable") or {}
    return found | dict(files.results.get("errors") or [])
