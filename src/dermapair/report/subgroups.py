"""The report's part on groups of lesions: what `templates/subgroups.html.j2` shows, and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from dermapair.evaluation.subgroups import LEAST_OF_CLASS, MEANS, UNTESTED
from dermapair.metrics import METRICS
from dermapair.report.figures import FAINT, INK, blank_axes, svg
from dermapair.report.read import RunFiles
from dermapair.report.wording import UNDEFINED, direction, in_words, interval, metric_name, number

DRAWN = ("accuracy", "balanced_accuracy", "macro_auc")
"""Metrics of the figures; the table has all."""
TITLES = {"skin_tone": "Skin tone", "sex": "Sex", "age": "Age", "site": "Site", "source": "Source"}
SAID = ("scale", "unknown", "disagreeing", "least", "compared_groups", "compared_classes")
Entry = Mapping[str, Any]
Row = dict[str, Any]


def subgroup_parts(files: RunFiles) -> dict[str, Any] | None:
    """Return what the template's `section` takes; None for a run whose groups were not measured."""
    found = files.results.get("subgroups")
    if not found:
        return None
    return {
        "attributes": [_attribute(name, entry) for name, entry in found.items()],
        "least_of_class": LEAST_OF_CLASS,
        "tests": sum(g["p_value"] is not None for entry in found.values() for g in entry["gaps"].values()),
        "untested": [metric_name(name) for name in UNTESTED],
    }


def _attribute(name: str, entry: Entry) -> dict[str, Any]:
    """Return what is shown of one attribute."""
    large = {group: of for group, of in entry["groups"].items() if not of["too_few"]}
    return {
        "title": TITLES.get(name, metric_name(name)),
        **{key: entry[key] for key in SAID},
        "groups": [
            {"name": group, "n": of["n"], "too_few": of["too_few"]} for group, of in entry["groups"].items()
        ],
        "large": list(large),
        "rows": _metric_rows(entry, large),
        "recalls": _recall_rows(large),
        "points": _point_rows(large),
        "widest": widest_point(entry),
        "figure": _figure(name, entry) if large else None,
    }


def _metric_rows(entry: Entry, large: Mapping[str, Entry]) -> list[Row]:
    """Return a row for each metric, and one more for means over the classes that are compared."""
    rows = []
    for metric in METRICS:
        gap, alike = entry["gaps"].get(metric), metric in MEANS
        if gap:
            gap = {**gap, "p": p_text(gap["p_value"]), "holm": p_text(gap["p_holm"])}
        rows.append(
            {
                "name": metric_name(metric),
                "note": direction(metric),
                "cells": [of["metrics"][metric] for of in large.values()],
                "gap": None if alike else gap,
            }
        )
        if alike and gap:
            cells = [of["compared"].get(metric) for of in large.values()]
            rows.append({"name": metric_name(metric), "note": "same classes", "cells": cells, "gap": gap})
    return rows if large else []


def _recall_rows(large: Mapping[str, Entry]) -> list[Row]:
    """Return a row for each class with its recall and number of lesions in each group."""
    classes = next(iter(large.values()))["per_class"] if large else {}
    return [{"name": name, "cells": [of["per_class"][name] for of in large.values()]} for name in classes]


def _point_rows(large: Mapping[str, Entry]) -> list[Row]:
    """Return two rows for each operating point: its sensitivity and its specificity in each group."""
    points = next(iter(large.values()))["points"] if large else {}
    return [
        {
            "name": in_words(point),
            "kind": kind,
            "cells": [
                {"n": of["points"][point][among], **of["points"][point][kind]} for of in large.values()
            ],
        }
        for point in points
        for kind, among in (("sensitivity", "cases"), ("specificity", "others"))
    ]


def widest_point(entry: Entry) -> str:
    """Return the widest difference of two groups at an operating point, as a part of a sentence; "" for none.

    Groups with at least `LEAST_OF_CLASS` lesions of the kind count. It is a description: no test was made.
    """
    large = {name: group["points"] for name, group in entry["groups"].items() if not group["too_few"]}
    found: list[tuple[float, str]] = []
    for point in next(iter(large.values()), {}):
        for kind, among in (("sensitivity", "cases"), ("specificity", "others")):
            of = {name: p[point][kind] for name, p in large.items() if p[point][among] >= LEAST_OF_CLASS}
            ends = sorted(of, key=lambda name: float(of[name]["value"]))
            if len(ends) > 1:
                said = " to ".join(_with_interval(name, of[name]) for name in (ends[0], ends[-1]))
                gap = of[ends[-1]]["value"] - of[ends[0]]["value"]
                found.append((gap, f"{kind} at {in_words(point)} {said}"))
    return max(found)[1] if found else ""


def _with_interval(name: str, figure: Entry) -> str:
    return f"{number(figure['value'])} {interval(figure['low'], figure['high'])} ({name})"


def p_text(p: float | None) -> str:
    """Return a p-value with three digits; None is "not tested"."""
    if p is None:
        return "not tested"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def gap_text(gap: Entry) -> str:
    """Return a gap with its interval and both p-values, as a part of a sentence."""
    text = f"{number(gap['value'])} ({gap['a']} to {gap['b']})"
    if gap["p_value"] is None:
        return f"{text}, not tested"
    how = f"p {p_text(gap['p_value'])}, Holm {p_text(gap['p_holm'])}"
    return f"{text} {interval(gap['low'], gap['high'])}, {how}"


def _figure(name: str, entry: Entry) -> Markup:
    """Return the figure of one attribute, with the numbers as its alternative text."""
    blocks = drawn_blocks(entry)
    said = [f"{title}: {_said(rows)}. {note}" for title, note, rows in blocks]
    return svg(forest_figure(blocks), f"Figures by {in_words(name)} with 95% intervals. {' '.join(said)}")


def _said(rows: Sequence[tuple[str, Entry | str]]) -> str:
    return ", ".join(f"{group} {f if isinstance(f, str) else number(f['value'])}" for group, f in rows)


Block = tuple[str, str, list[tuple[str, Entry | str]]]


def drawn_blocks(entry: Entry) -> list[Block]:
    """Return title, note on the largest gap, and each group's label with its figure or why it has none.

    Means over classes are those of the classes that are compared; without these they are left out.
    """
    blocks: list[Block] = []
    for metric in DRAWN:
        gap, alike = entry["gaps"].get(metric), metric in MEANS
        if alike and not gap:
            continue
        rows = [
            (f"{group} ({of['n']})", _drawn(of, "compared" if alike else "metrics", metric))
            for group, of in entry["groups"].items()
        ]
        title = f"{in_words(metric)} ({len(entry['compared_classes'])} classes)" if alike else metric
        blocks.append((title, f"Largest gap {gap_text(gap)}." if gap else "", rows))
    return blocks


def _drawn(of: Entry, kind: str, metric: str) -> Entry | str:
    """Return a group's figure, or why it has none."""
    if of["too_few"]:
        return "too few"
    figure: Entry | None = of[kind].get(metric)
    if figure is None:
        return "not compared"
    return figure if figure["value"] is not None else UNDEFINED


def forest_figure(blocks: Sequence[Block]) -> Figure:
    """Draw a figure of each group with its 95% interval, metric under metric.

    Args:
        blocks: as `drawn_blocks` gives them.
    """
    height = sum(len(rows) + 1.7 for _, _, rows in blocks)
    figure, axes = blank_axes(5.4, 0.7 + 0.27 * height)
    y, ticks = 0.0, []
    for title, note, rows in blocks:
        axes.text(0, y, title, color=INK, fontsize=9.5, weight="bold", va="center")
        axes.text(0, y + 0.75, note, color=INK, fontsize=8, va="center", parse_math=False)
        for k, (label, entry) in enumerate(rows):
            _draw(axes, y + 1.7 + k, entry)
            ticks.append((y + 1.7 + k, label))
        y += len(rows) + 1.9
    axes.set_yticks([at for at, _ in ticks], [label for _, label in ticks], parse_math=False)
    axes.set_ylim(y - 0.6, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="x", color=FAINT, alpha=0.35, linewidth=0.6)
    return figure


def _draw(axes: Any, y: float, entry: Entry | str) -> None:
    """Draw one figure with its interval, or say why there is none."""
    if isinstance(entry, str):
        axes.text(0, y, entry, va="center", color=INK, style="italic", fontsize=8.5)
        return
    if entry["low"] is not None:
        axes.plot([entry["low"], entry["high"]], [y, y], color=INK, linewidth=1.6, solid_capstyle="butt")
    axes.plot(entry["value"], y, "o", markersize=6, color=INK)
