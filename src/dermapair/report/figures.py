"""Figures of runs: functions from plain numbers to a matplotlib `Figure`, usable alone.

`figure.savefig("recall.png")` makes a picture for a page of documentation; `svg` makes inline SVG that
takes its colours from the page (`ON_PAGE`), so that one figure serves light and dark. Which numbers are
drawn is decided in `page`.

Colours are Okabe and Ito's (2008), told apart with every kind of colour vision; line styles and markers
differ too.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from dermapair.metrics.binary import auc, roc_curve
from dermapair.metrics.classification import confidence_bins

Floats = NDArray[np.float64]

INK, PAPER = "#010203", "#fdfeff"
FAINT = "#8a8f98"
STYLE: dict[str, dict[str, Any]] = {
    "both": {"color": INK, "linestyle": "-", "marker": "o"},
    "clinical": {"color": "#D55E00", "linestyle": "--", "marker": "^"},
    "dermoscopic": {"color": "#0072B2", "linestyle": "-.", "marker": "s"},
    "cross": {"color": "#009E73", "linestyle": ":", "marker": "D"},
}
ON_PAGE = {INK: "currentColor", PAPER: "var(--page)"} | {
    style["color"].lower(): f"var(--{readout})" for readout, style in STYLE.items() if readout != "both"
}
THIN = 20  # classes with fewer cases are marked
MAX_POINTS = 200  # of one drawn ROC curve
CALIBRATION_BINS = 10


def recall_figure(per_class: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    """Draw the recall of each class, from top to bottom, with its 95% interval.

    Args:
        per_class: by readout, by class: `n`, `recall` and `recall_interval` as in `results.json`. The first
            readout is drawn large and with intervals; hollow where the class has fewer than `THIN` cases.
    """
    main, *others = per_class
    classes = list(per_class[main])
    figure, axes = blank_axes(5.4, 0.9 + 0.4 * len(classes))
    for row, name in enumerate(classes):
        _interval(axes, row, per_class[main][name], STYLE[main]["color"])
        for below, readout in enumerate(others):
            value = per_class[readout][name]["recall"]
            style = {**STYLE[readout], "linestyle": "", "markersize": 4.5}
            axes.plot(_nan(value), row + 0.24 + 0.13 * below, **style, zorder=2)
    labels = [f"{_short(name)}  ({per_class[main][name]['n']})" for name in classes]
    axes.set_yticks(range(len(classes)), labels, parse_math=False)
    axes.set_ylim(len(classes) - 0.35, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("recall: share of the class's lesions that are named rightly")
    axes.grid(axis="x", color=FAINT, alpha=0.35, linewidth=0.6)
    _legend(figure, per_class, linestyle="")
    return figure


def _interval(axes: Axes, row: int, entry: Mapping[str, Any], color: str) -> None:
    """Draw one recall with its interval, or say that the class has no cases."""
    if entry["recall"] is None:
        axes.text(0.0, row, "no cases", va="center", color=INK, style="italic")
        return
    low, high = entry["recall_interval"]
    axes.plot([low, high], [row, row], color=color, linewidth=1.6, solid_capstyle="butt", zorder=3)
    fill = PAPER if entry["n"] < THIN else color
    axes.plot(entry["recall"], row, "o", markersize=7, color=color, markerfacecolor=fill, zorder=4)


def forest_figure(rows: Sequence[Mapping[str, Any]], *, xlabel: str) -> Figure:
    """Draw differences with their 95% intervals, from top to bottom, around the line of no difference.

    Args:
        rows: `name`, `value`, `low` and `high` (None: not defined), `sure` (filled, else hollow) and
            `points`, further values that are drawn small below.
        xlabel: what the differences are of.
    """
    figure, axes = blank_axes(3.6, 0.9 + 0.42 * len(rows))
    axes.axvline(0, color=FAINT, linewidth=1.2)
    color = STYLE["dermoscopic"]["color"]
    for row, entry in enumerate(rows):
        if entry["value"] is None:
            axes.text(0, row, "not defined", va="center", color=INK, style="italic")
            continue
        axes.plot([entry["low"], entry["high"]], [row, row], color=color, linewidth=1.6)
        fill = color if entry["sure"] else PAPER
        axes.plot(entry["value"], row, "o", markersize=7, color=color, markerfacecolor=fill, zorder=4)
        axes.plot([_nan(v) for v in entry["points"]], [row + 0.26] * len(entry["points"]), "|", color=INK)
    axes.set_yticks(range(len(rows)), [_short(entry["name"]) for entry in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_xlabel(xlabel, parse_math=False)
    axes.grid(axis="x", color=FAINT, alpha=0.35, linewidth=0.6)
    return figure


def roc_figure(truth: Mapping[str, NDArray[np.bool_]], scores: Mapping[str, Floats]) -> Figure:
    """Draw the ROC curves of one class against the rest.

    Args:
        truth: by readout, (n,) whether the lesion is of the class.
        scores: by readout, (n,) its probability.
    """
    figure, axes = blank_axes(2.5, 2.5)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8)
    for readout in sorted(scores, key=lambda r: r == "both"):
        if math.isnan(auc(truth[readout], scores[readout])):
            continue
        x, y, _ = roc_curve(truth[readout], scores[readout])
        kept = (
            np.unique(np.linspace(0, len(x) - 1, MAX_POINTS).astype(int))
            if len(x) > MAX_POINTS
            else slice(None)
        )
        style = {**STYLE[readout], "marker": ""}
        axes.plot(x[kept], y[kept], **style, linewidth=1.8 if readout == "both" else 1.1)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("sensitivity")
    return figure


def curves_figure(
    epochs: Sequence[int],
    values: Mapping[str, Sequence[float | None]],
    *,
    ylabel: str,
    best_epoch: int | None,
    styles: Mapping[str, str] | None = None,
) -> Figure:
    """Draw values over epochs.

    Args:
        epochs: numbers of the epochs.
        values: by readout (any other name is drawn in the text colour), one value per epoch; None where not
            defined.
        ylabel: what is drawn.
        best_epoch: marked by a vertical line; None for no mark.
        styles: name -> the readout whose line it is drawn with, for names that are no readouts.
    """
    figure, axes = blank_axes(3.6, 2.5)
    for name, series in values.items():
        like = (styles or {}).get(name, name)
        style = {**STYLE.get(like, STYLE["both"]), "markersize": 3.5 if len(epochs) <= 40 else 0}
        axes.plot(epochs, [_nan(value) for value in series], **style, linewidth=1.3)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=FAINT, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        axes.annotate(
            f"epoch {best_epoch}", (best_epoch, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
            textcoords="offset points", ha="center", color=INK, fontsize=8.5,
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel, parse_math=False)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4))
    axes.yaxis.get_offset_text().set(color=INK, fontsize=8.5)
    axes.grid(color=FAINT, alpha=0.35, linewidth=0.6)
    return figure


def calibration_figure(confidence: Floats, right: NDArray[np.bool_]) -> Figure:
    """Draw how often predictions of a given confidence are right; areas show how many there are.

    Args:
        confidence: (n,) largest probability of each lesion, in [0, 1].
        right: (n,) whether the named class is the true one.
    """
    figure, axes = blank_axes(3.2, 3.0)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8)
    bins = confidence_bins(confidence, n_bins=CALIBRATION_BINS)
    for index in np.unique(bins):
        inside = bins == index
        area = 16 + 240 * inside.mean()
        axes.scatter(confidence[inside].mean(), right[inside].mean(), s=area, color="#0072B2", alpha=0.85)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.05, 1.05))
    axes.set_xlabel("mean probability of the named class")
    axes.set_ylabel("share that is right")
    axes.grid(color=FAINT, alpha=0.35, linewidth=0.6)
    return figure


def svg(figure: Figure, alt: str) -> Markup:
    """Return a figure as an inline SVG element without outside references.

    Args:
        figure: drawn by one of the functions above.
        alt: what it shows, for those who do not see it.
    """
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": alt}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    width, height, body = re.search(  # type: ignore[union-attr]
        r'<svg[^>]* width="([\d.]+)pt" height="([\d.]+)pt"[^>]*>(.*)</svg>', _flat(text), re.DOTALL
    ).groups()
    body = re.sub(r' id="[a-zA-Z0-9]+_\d+"', "", body)
    body = re.sub(r"#[0-9a-f]{6}\b", lambda color: ON_PAGE.get(color[0], color[0]), body)
    body = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), body)
    head = f'viewBox="0 0 {width} {height}" style="width: {float(width) * 1.3:.0f}px" role="img"'
    return Markup(f'<svg {head} aria-label="{escape(alt)}">{body}</svg>')


def key_styles() -> dict[str, str]:
    """Return by readout the CSS of its line, for a key that the page draws itself."""
    dashes = {"-": "none", "--": "8 4", "-.": "9 3 2 3", ":": "2 3"}
    return {
        readout: f"stroke: {ON_PAGE[style['color'].lower()]}; stroke-dasharray: {dashes[style['linestyle']]}"
        for readout, style in STYLE.items()
    }


def _flat(text: str) -> str:
    """Return SVG on one line, where its root is found by one expression."""
    return re.sub(r"\n\s*", " ", text)


def blank_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty figure of width x height inches with light axes."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white", dpi=150)
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.tick_params(colors=INK, labelsize=9, length=3)
    axes.xaxis.label.set(color=INK, fontsize=9)
    axes.yaxis.label.set(color=INK, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    return figure, axes


def _legend(figure: Figure, readouts: Sequence[str] | Mapping[str, Any], *, linestyle: str) -> None:
    """Put the names of the readouts above the axes."""
    handles = [
        Line2D([], [], **{**STYLE[r], "linestyle": linestyle, "markersize": 5}, label=r) for r in readouts
    ]
    figure.legend(
        handles=handles, loc="outside upper right", ncols=len(handles), frameon=False, fontsize=9,
        labelcolor=INK, handletextpad=0.2, columnspacing=1.2, borderaxespad=0,
    )  # fmt: skip


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"
