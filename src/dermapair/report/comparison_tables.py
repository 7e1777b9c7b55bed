"""Tables and sentences of a comparison, the same for the page, Markdown, LaTeX and the terminal.

A table is plain text: a cell is a figure with what stands below it, as its interval.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from dermapair.report.figures import THIN
from dermapair.report.wording import UNDEFINED, count, direction, in_words, interval, metric_name, number

ALPHA = 0.05
TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
TEX |= {mark: f"\\{mark}" for mark in "&%$#_{}"}
TEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "†": r"\dag{}", "–": "--"}
Content = dict[str, Any]


class Cell(NamedTuple):
    """A figure, and what stands below or behind it."""

    main: str
    below: str = ""

    def __str__(self) -> str:
        return f"{self.main} {self.below}".strip()


@dataclass(frozen=True)
class Table:
    """A table with a heading.

    Attributes:
        key: names it in addresses.
        title: its heading.
        note: what stands before it.
        head: names of the columns; the first one is that of the rows.
        rows: of cells.
    """

    key: str
    title: str
    note: str
    head: list[str]
    rows: list[list[Cell]]

    def is_text(self, column: int) -> bool:
        """Tell whether a column holds words, which stand on the left."""
        return not any(_is_number(row[column].main) for row in self.rows)


def tables(content: Content) -> list[Table]:
    """Return the tables of `comparison.json` that are not empty, the main one first."""
    made = [_figures(content), _differences(content)]
    if content["families"]:
        made += [_families(content), _family_differences(content)]
    made += [_mcnemar(content), _aucs(content), _settings(content)]
    return [table for table in made if table.rows]


def markdown(table: Table) -> str:
    """Return a table as GitHub Markdown."""
    rows = [[escaped(str(cell)) for cell in row] for row in table.rows]
    head = [escaped(name) for name in table.head]
    lines = [head, ["---" if table.is_text(i) or not i else "---:" for i in range(len(head))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def latex(table: Table) -> str:
    """Return a table as a LaTeX environment; it takes the package booktabs."""
    lines = [" & ".join(_tex_cell(cell) for cell in row) + r" \\" for row in table.rows]
    align = "".join("l" if table.is_text(i) or not i else "r" for i in range(len(table.head)))
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_tex(table.title)}. {_tex(table.note.replace('`', ''))}}}",
            rf"\label{{tab:{table.key}}}",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            " & ".join(_tex(name) for name in table.head) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def escaped(text: str) -> str:
    """Return text for Markdown; `code` stays code, and numbers with their interval stay as they are."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p[:1] == "`" else re.sub(r"([\\|*_]|<(?=[A-Za-z/!?]))", r"\\\1", p) for p in parts)


def _tex_cell(cell: Cell) -> str:
    return " ".join(_tex(part) for part in cell if part)


def _tex(text: str) -> str:
    """Return text for LaTeX; numbers in math, for their minus."""
    return f"${text}$" if _is_number(text) else "".join(TEX.get(mark, mark) for mark in text)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[<+\-.,\d\s\[\]]*\d[.,\d\s\[\]+\-]*", text))


def _cell(figure: Content | None, *, signed: bool = False) -> Cell:
    """Return a value with its interval."""
    if figure is None or figure["value"] is None:
        return Cell(UNDEFINED)
    return Cell(_signed(figure["value"]) if signed else number(figure["value"]), _interval(figure))


def _interval(figure: Content) -> str:
    return interval(figure["low"], figure["high"])


def _signed(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:+.3f}"


def _p(value: float | None) -> Cell:
    return Cell(UNDEFINED if value is None else "<0.001" if value < 0.001 else f"{value:.3f}")


def _title(metric: str) -> str:
    low = direction(metric)
    return f"{metric_name(metric)} ({low})" if low else metric_name(metric)


def _figures(content: Content) -> Table:
    seeded = any(run["seed"] is not None for run in content["runs"])
    metrics = list(content["runs"][0]["figures"])
    rows = [
        [
            Cell(run["run"]),
            *([Cell("–" if run["seed"] is None else str(run["seed"]))] if seeded else []),
            Cell(str(content["n_lesions"])),
            *(_cell(run["figures"][metric]) for metric in metrics),
        ]
        for run in content["runs"]
    ]
    return Table(
        "figures",
        "The runs",
        f"Readout `{content['readout']}` on the part “{content['split']}”, on the same "
        f"{count(content['n_lesions'], 'lesion')} for all; in brackets the 95% interval "
        f"({content['interval']['method']}, {content['interval']['n']} samples).",
        ["run", *(["seed"] if seeded else []), "n", *map(_title, metrics)],
        rows,
    )


def _differences(content: Content) -> Table:
    rows = [
        [
            Cell(row["run"] + (" (other seed)" if row["other_seed"] else "")),
            Cell(in_words(metric)),
            _cell(figure, signed=True),
            _p(figure["p_value"]),
            _p(figure["p_holm"]),
        ]
        for row in content["differences"]
        for metric, figure in row["figures"].items()
    ]
    return Table(
        "differences",
        f"Differences to {content['reference']}",
        f"Each run minus {content['reference']}, paired on the same lesions; in brackets the 95% interval of "
        f"the difference (bootstrap). The last column is corrected for all {count(len(rows), 'test')} of "
        f"this table (Holm).",
        ["run", "metric", "difference", "p", "p (Holm)"],
        rows,
    )


def _families(content: Content) -> Table:
    rows = [
        [
            Cell(family["family"]),
            Cell(in_words(metric)),
            Cell(str(figure["spread"]["n"])),
            _cell(figure),
            Cell("–" if figure["spread"]["sd"] is None else number(figure["spread"]["sd"])),
            Cell(f"{number(figure['spread']['min'])} to {number(figure['spread']['max'])}"),
        ]
        for family in content["families"]
        for metric, figure in family["figures"].items()
    ]
    return Table(
        "seeds",
        "Over seeds",
        "Runs that differ only in their seed are one recipe. The interval of the mean is over lesions, for "
        "these trainings; SD and range are over trainings. They are two kinds of error, and neither holds "
        "the other.",
        ["recipe", "metric", "trainings", "mean [over lesions]", "SD over seeds", "range over seeds"],
        rows,
    )


def _family_differences(content: Content) -> Table:
    rows = [
        [
            Cell(row["family"]),
            Cell(in_words(metric)),
            _cell(figure, signed=True),
            _p(figure["p_value"]),
            _p(figure["p_holm"]),
            Cell(", ".join(f"{s}: {_signed(gap)}" for s, gap in figure["by_seed"].items()) or "none"),
            Cell(
                "–"
                if not figure["spread"] or figure["spread"]["sd"] is None
                else number(figure["spread"]["sd"])
            ),
        ]
        for row in content["family_differences"]
        for metric, figure in row["figures"].items()
    ]
    first = content["family_differences"][0]["reference"] if rows else ""
    return Table(
        "recipes",
        f"Differences to {first} over seeds",
        f"Mean over all trainings of a recipe minus that of {first}, on the same lesions; interval and p are "
        f"over lesions, for these trainings, and hold nothing of the spread over seeds. Beside it the "
        f"difference of each pair of runs with one seed, and the SD of these. Holm's correction is for the "
        f"{count(len(rows), 'test')} of this table.",
        ["recipe", "metric", "mean difference", "p", "p (Holm)", "by seed", "SD over pairs"],
        rows,
    )


def _mcnemar(content: Content) -> Table:
    keys = ("both", "only_reference", "only_run", "neither")
    rows = [
        [Cell(row["run"]), *(Cell(str(row[key])) for key in keys), _p(row["p_value"]), _p(row["p_holm"])]
        for row in content["mcnemar"]
    ]
    reference = content["reference"]
    return Table(
        "mcnemar",
        "Which lesions are named rightly",
        f"How many lesions both {reference} and the run name rightly, one of them alone, or neither; exact "
        f"McNemar test of “both are right equally often”. It takes lesions for independent.",
        ["run", "both", f"only {reference}", "only the run", "neither", "p", "p (Holm)"],
        rows,
    )


def _aucs(content: Content) -> Table:
    rows = []
    for row in content["aucs"]:
        name = row["name"] if len(row["members"]) == 1 else f"{row['name']} ({', '.join(row['members'])})"
        for run in row["runs"]:
            gap = run.get("difference")
            tested = (
                [_cell(gap, signed=True), _p(gap["p_value"]), _p(gap["p_holm"])] if gap else [Cell("–")] * 3
            )
            few = " †" if row["n"] < THIN else ""
            rows.append(
                [Cell(f"{name}{few}"), Cell(str(row["n"])), Cell(run["run"]), _cell(run["auc"]), *tested]
            )
    tests = sum(len(row["runs"]) - 1 for row in content["aucs"])
    return Table(
        "aucs",
        "AUC of each class against the rest",
        f"Intervals and tests after DeLong, which takes lesions for independent; Holm's correction is for "
        f"the {count(tests, 'test')} of this table. † marks fewer than {THIN} lesions, for which neither "
        f"can be trusted.",
        ["class", "n", "run", "AUC", f"minus {content['reference']}", "p", "p (Holm)"],
        rows,
    )


def _settings(content: Content) -> Table:
    names = [run["run"] for run in content["runs"] if run["recipe"] is not None]
    rows = [
        [Cell(row["key"]), *(Cell(_setting(row["values"][name])) for name in names)]
        for row in content["settings"]
    ]
    return Table(
        "settings",
        "What differs between the recipes",
        "A difference between two runs is that of everything in this table together.",
        ["key", *names],
        rows,
    )


def _setting(value: object) -> str:
    """Return a value as a recipe has it."""
    return str(value).lower() if isinstance(value, bool) else str(value) or "–"


def headline(content: Content) -> str:
    """Return what the differences say, in a sentence or two."""
    n, reference = content["n_lesions"], content["reference"]
    tested = [(row["run"], m, f) for row in content["differences"] for m, f in row["figures"].items()]
    sure = [(run, m, f) for run, m, f in tested if f["p_holm"] is not None and f["p_holm"] < ALPHA]
    start = f"{count(len(content['runs']), 'run')} on the same {count(n, 'lesion')}. "
    if not sure:
        return (
            f"{start}None of the {count(len(tested), 'difference')} to {reference} is beyond chance once all "
            f"are counted (Holm, 5%); that does not show that the runs are equal."
        )
    by_run: dict[str, list[str]] = {}
    for run, metric, figure in sure:
        by_run.setdefault(run, []).append(f"{in_words(metric)} {_signed(figure['value'])}")
    named = "; ".join(f"{run}: {', '.join(gaps)}" for run, gaps in by_run.items())
    return (
        f"{start}Of {count(len(tested), 'difference')} to {reference}, {len(sure)} have a p-value below 5% "
        f"once all are counted (Holm): {named}."
    )


def plain_text(table: Table) -> list[str]:
    """Return a table as lines of plain text with aligned columns."""
    lines = [table.head, *([str(cell) for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip() for line in lines]
