"""What the report says of probabilities, decisions and unfamiliar images: rows and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from dermapair.report.figures import FAINT, INK, STYLE, blank_axes, svg
from dermapair.report.read import RunFiles
from dermapair.report.wording import in_words, number

Row = dict[str, Any]
BLUE = STYLE["dermoscopic"]["color"]
ORANGE = STYLE["clinical"]["color"]
MEASURED = ("calibration", "operating_points", "targets", "conformal", "outside")
SHARES = ("sensitivity", "specificity", "ppv", "npv", "flagged")
TARGET_FIGURES = (
    "auc", "average_precision", "partial_auc_80", "brier", "specificity_at_sensitivity_90",
    "specificity_at_sensitivity_95",
)  # fmt: skip


def trust_parts(files: RunFiles) -> dict[str, Any] | None:
    """Return what the templates show; None for a run made before any of it was measured."""
    if not any(key in files.results for key in MEASURED):
        return None
    return {
        "calibration": _calibration(files.results.get("calibration")),
        "points": _points(files.results.get("operating_points") or {}),
        "targets": _targets(files.results.get("targets") or {}),
        "conformal": _conformal(files),
        "outside": _outside(files.results.get("outside")),
    }


def _calibration(found: Mapping[str, Any] | None) -> Row | None:
    """Return method, one row per readout, and the reliability diagrams of `both`."""
    if not found or not found["readouts"]:
        return None
    rows = [
        {
            "readout": name,
            "temperature": entry["temperature"],
            "n": entry["n_lesions"],
            "cells": _changes(entry),
        }
        for name, entry in sorted(found["readouts"].items(), key=lambda item: item[0] != "both")
    ]
    shown = found["readouts"].get("both")
    diagrams = [] if shown is None else [_diagram(when, shown) for when in ("before", "after")]
    return {"method": found["method"], "rows": rows, "diagrams": diagrams, "both": shown}


def _changes(entry: Mapping[str, Any]) -> list[Row]:
    """Return before, after and difference of each figure, in the order of the table's columns."""
    return [
        {
            "before": entry["before"][name],
            "after": entry["after"][name],
            "difference": entry["difference"][name],
        }
        for name in entry["difference"]
    ]


def _diagram(when: str, entry: Mapping[str, Any]) -> Row:
    bins = entry["reliability"][when]
    error = entry[when]["expected_calibration_error"]
    most = max(bins, key=lambda b: abs(b["confidence"] - b["accuracy"]))
    alt = (
        f"Reliability diagram {when} calibration, {len(bins)} bins; calibration error "
        f"{number(error['value'])}. Widest gap: mean probability {number(most['confidence'])}, right in "
        f"{number(most['accuracy'])} ({most['n']} lesions)."
    )
    return {"title": f"{when} calibration", "svg": svg(reliability_figure(bins), alt), "error": error}


def reliability_figure(bins: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw how often answers of a given probability are right, with Wilson's intervals; areas show how many.

    Args:
        bins: `n`, `confidence`, `accuracy`, `low` and `high` of each bin that holds lesions.
    """
    figure, axes = blank_axes(3.0, 3.0)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8)
    total = sum(b["n"] for b in bins)
    for b in bins:
        axes.plot([b["confidence"]] * 2, [b["low"], b["high"]], color=BLUE, linewidth=1.2)
        axes.scatter(b["confidence"], b["accuracy"], s=14 + 220 * b["n"] / total, color=BLUE, alpha=0.85)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.03, 1.03), aspect="equal")
    axes.set_xlabel("mean probability of the named class")
    axes.set_ylabel("share that is right")
    axes.grid(color=FAINT, alpha=0.35, linewidth=0.6)
    return figure


def _points(found: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return one row per operating point: what validation promised beside what was reached."""
    return [
        {
            "name": in_words(name),
            "threshold": entry["threshold"],
            "validation": entry["validation"],
            "cases": entry["cases"],
            "others": entry["others"],
            "cells": [entry[key] for key in SHARES],
        }
        for name, entry in found.items()
    ]


def _targets(found: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return one row per target with its figures and decision curve."""
    return [
        {
            "name": name,
            "classes": entry["classes"],
            "cases": entry["cases"],
            "others": entry["others"],
            "cells": [entry[key] for key in TARGET_FIGURES],
            "curve": svg(decision_figure(entry["decision_curve"]), _curve_in_words(name, entry)),
        }
        for name, entry in found.items()
    ]


def decision_figure(curve: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the net benefit of a model over threshold probabilities, beside treating everyone and nobody.

    Args:
        curve: `threshold`, `model`, `low`, `high` and `all`, each of one length.
    """
    figure, axes = blank_axes(4.0, 2.8)
    x, top = curve["threshold"], max(*curve["high"], 0.02)
    axes.fill_between(x, curve["low"], curve["high"], color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(x, curve["model"], color=BLUE, linewidth=1.8)
    axes.plot(x, curve["all"], color=ORANGE, linestyle="--", linewidth=1.2)
    axes.axhline(0, color=INK, linewidth=1, linestyle=":")
    axes.set(xlim=(0, x[-1]), ylim=(-0.15 * top, 1.1 * top))
    axes.set_xlabel("threshold probability")
    axes.set_ylabel("net benefit")
    axes.grid(color=FAINT, alpha=0.35, linewidth=0.6)
    return figure


def _curve_in_words(name: str, entry: Mapping[str, Any]) -> str:
    curve = entry["decision_curve"]
    model, everyone = np.array(curve["model"]), np.array(curve["all"])
    better = np.array(curve["threshold"])[model > np.maximum(everyone, 0)]
    where = (
        f"above both of them from {better[0]:.2f} to {better[-1]:.2f}"
        if len(better)
        else "nowhere above both of them"
    )
    return f"Decision curve of {name}, with treating all and treating none: the model is {where}."


def _conformal(files: RunFiles) -> Row | None:
    found = files.results.get("conformal")
    if not found:
        return None
    classes = [{"name": name, **found["per_class"][name]} for name in files.classes]
    return {**found, "rows": [row for row in classes if row["n"]]}


def _outside(found: Mapping[str, Any] | None) -> Row | None:
    return dict(found) if found else None


def legend() -> Markup:
    """Return the key of the decision curves."""
    lines = [
        ("the model, with its 95% band", f"stroke: {BLUE}"),
        ("treat all", f"stroke: {ORANGE}; stroke-dasharray: 8 4"),
        ("treat none", "stroke: currentColor; stroke-dasharray: 2 3"),
    ]
    mark = '<li><svg viewBox="0 0 34 10" aria-hidden="true"><line x1="0" y1="5" x2="34" y2="5" '
    return Markup("").join(
        Markup(mark) + Markup(f'stroke-width="2.4" style="{style}"/></svg>') + Markup(f"{name}</li>")
        for name, style in lines
    )
