"""The files of a comparison: a page, tables as Markdown, CSV and LaTeX, and everything as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from dermapair import __version__
from dermapair.config.files import write_whole
from dermapair.report import comparison_tables as made
from dermapair.report import figures
from dermapair.report.comparison_limits import limits
from dermapair.report.comparison_tables import ALPHA, Content
from dermapair.report.page import environment
from dermapair.report.wording import direction, in_words, metric_name

FILES = ("comparison.json", "table.md", "table.csv", "table.tex", "differences.csv", "compare.html")


def write_comparison(content: Content, out: Path) -> list[Path]:
    """Write the files of a comparison into a folder, each whole or not at all.

    Args:
        content: by `evaluation.compare.compare`.
        out: the folder; made where it is missing.

    Returns:
        The paths of `comparison.json`, `table.md`, `table.csv` and `table.tex` (the runs), `differences.csv`
        (every test, a row for each) and `compare.html`.

    Raises:
        OSError: a file cannot be written.
    """
    tables = made.tables(content)
    said = limits(content)
    texts = [
        json.dumps(content, indent=2, allow_nan=False) + "\n",
        _markdown(content, tables, said),
        _runs(content).write_csv(),
        "% \\usepackage{booktabs}\n" + "\n\n".join(made.latex(table) for table in tables) + "\n",
        pl.DataFrame(list(_tests(content)), infer_schema_length=None).write_csv(),
        _page(content, tables, said),
    ]
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / name for name in FILES]
    for path, text in zip(paths, texts, strict=True):
        write_whole(path, text)
    return paths


def _markdown(content: Content, tables: list[made.Table], said: list[str]) -> str:
    parts = [f"# Comparison with {made.escaped(content['reference'])}", made.escaped(made.headline(content))]
    for table in tables:
        parts += [f"## {made.escaped(table.title)}", made.escaped(table.note), made.markdown(table)]
    parts += ["## What these numbers cannot show", "\n".join(f"- {made.escaped(text)}" for text in said)]
    return "\n\n".join(parts) + "\n"


def _runs(content: Content) -> pl.DataFrame:
    """Return one row per run: its figures, each with two columns for its interval."""
    rows = []
    for run in content["runs"]:
        row: dict[str, Any] = {key: run[key] for key in ("run", "recipe", "seed")}
        row |= {"readout": content["readout"], "split": content["split"], "n": content["n_lesions"]}
        for metric, figure in run["figures"].items():
            row |= {metric: figure["value"], f"{metric}_low": figure["low"], f"{metric}_high": figure["high"]}
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def _tests(content: Content) -> Iterator[dict[str, Any]]:
    """Yield every test of every table: what was compared, how, and what came out."""
    first = content["reference"]
    for row in content["differences"]:
        for metric, figure in row["figures"].items():
            yield _test("bootstrap", row["run"], first, metric, figure)
    for row in content["mcnemar"]:
        gap = (row["only_run"] - row["only_reference"]) / content["n_lesions"]
        yield _test("mcnemar", row["run"], first, "accuracy", row | {"value": gap, "low": None, "high": None})
    for row in content["aucs"]:
        for run in row["runs"]:
            if "difference" in run:
                yield _test("delong", run["run"], first, f"auc {row['name']}", run["difference"])
    for row in content["family_differences"]:
        for metric, figure in row["figures"].items():
            yield _test("bootstrap of means over seeds", row["family"], row["reference"], metric, figure)


def _test(test: str, one: str, other: str, figure: str, found: dict[str, Any]) -> dict[str, Any]:
    values = {key: found[key] for key in ("value", "low", "high", "p_value", "p_holm")}
    return {"test": test, "run": one, "minus": other, "figure": figure, **values}


def _page(content: Content, tables: list[made.Table], said: list[str]) -> str:
    """Return the page."""
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            comparison=content,
            headline=made.headline(content),
            limits=said,
            tables=tables,
            forests=_forests(content, "differences", "run"),
            forests_of_means=_forests(content, "family_differences", "family"),
            version=__version__,
        )
    )


def _forests(content: Content, key: str, name: str) -> list[dict[str, Any]]:
    """Return by metric the figure of all differences to the reference."""
    rows = content[key]
    found = []
    for metric in rows[0]["figures"] if rows else ():
        entries = [
            {
                "name": row[name],
                **row["figures"][metric],
                "sure": (row["figures"][metric]["p_holm"] or 1.0) < ALPHA,
                "points": list(row["figures"][metric].get("by_seed", {}).values()),
            }
            for row in rows
        ]
        reference = rows[0].get("reference", content["reference"])
        svg = figures.svg(
            figures.forest_figure(entries, xlabel=f"difference in {in_words(metric)}"),
            f"{metric_name(metric)}, difference to {reference}: {_in_words(entries)}.",
        )
        found.append(
            {"title": metric_name(metric), "better": direction(metric) or "higher is better", "svg": svg}
        )
    return found


def _in_words(entries: list[dict[str, Any]]) -> str:
    """Return what a forest plot shows, for those who do not see it."""
    return "; ".join(
        f"{e['name']} not defined"
        if e["value"] is None
        else f"{e['name']} {e['value']:+.3f}, 95% interval {e['low']:+.3f} to {e['high']:+.3f}"
        for e in entries
    )
