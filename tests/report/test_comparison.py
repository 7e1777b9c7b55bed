"""The files of a comparison: what a person, a paper and a script find in them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from dermapair.config import Recipe
from dermapair.evaluation.compare import compare
from dermapair.evaluation.compared import read_compared
from dermapair.report.comparison import FILES, write_comparison
from dermapair.report.comparison_limits import limits
from dermapair.report.comparison_tables import Cell, Table, escaped, headline, latex, markdown, tables
from evaluation.compared_runs import IDS, TRUTH, draw, make

HOSTILE = "<b>&|$%_#{}~^\\</b>"
FEW = ("accuracy", "log_loss")


def compared(runs: list[Path], **how: object) -> dict:
    return compare(read_compared(runs), metrics=FEW, n_samples=how.pop("n_samples", 500))


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Two recipes, one of two seeds, on hostile class names."""
    folder = tmp_path_factory.mktemp("runs")
    classes = ("nevus", HOSTILE, "other")
    truth = [name.replace("melanoma", HOSTILE) for name in TRUTH]
    runs = [
        make(folder / f"run_{k}", draw(k, skill=skill), classes=classes, truth=truth, recipe=recipe)
        for k, (skill, recipe) in enumerate(
            [(0, Recipe(name="x", seed=0)), (0, Recipe(name="x", seed=1)), (3, Recipe(name="y", seed=0))]
        )
    ]
    return compared(runs)


@pytest.fixture(scope="module")
def out(content: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "new"
    write_comparison(content, folder)
    return folder


@pytest.fixture(scope="module")
def page(out: Path) -> str:
    return (out / "compare.html").read_text(encoding="utf-8")


def test_all_files_are_there_and_the_json_holds_everything(content: dict, out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert json.loads((out / "comparison.json").read_text(encoding="utf-8")) == content


def test_the_csv_has_a_row_for_each_run(content: dict, out: Path) -> None:
    frame = pl.read_csv(out / "table.csv")
    assert frame["run"].to_list() == ["run_0", "run_1", "run_2"]
    assert frame["n"].to_list() == [24] * 3
    for k, run in enumerate(content["runs"]):
        for metric in FEW:
            names = [metric, f"{metric}_low", f"{metric}_high"]
            want = [run["figures"][metric][key] for key in ("value", "low", "high")]
            assert list(frame.select(names).row(k)) == pytest.approx(want)


def test_every_test_is_a_row_of_differences_csv(content: dict, out: Path) -> None:
    frame = pl.read_csv(out / "differences.csv")
    counts = dict(frame.group_by("test").len().iter_rows())
    assert counts == {"bootstrap": 4, "mcnemar": 2, "delong": 6, "bootstrap of means over seeds": 2}
    row = frame.filter(pl.col("test") == "mcnemar", pl.col("run") == "run_2").row(0, named=True)
    gap = content["differences"][1]["figures"]["accuracy"]["value"]
    assert row["value"] == pytest.approx(gap)
    assert set(frame.filter(pl.col("test") == "bootstrap")["minus"]) == {"run_0"}


# --- Markdown and LaTeX ---


def test_markdown_tables_have_equal_columns_and_hold_every_figure(content: dict, out: Path) -> None:
    text = (out / "table.md").read_text(encoding="utf-8")
    for run in content["runs"]:
        for m in run["figures"].values():
            assert f"{m['value']:.3f} [{m['low']:.3f}, {m['high']:.3f}]" in text
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert "<b>" not in text.replace("\\<b>", "")


def test_markdown_escapes_what_would_be_markup_but_not_code() -> None:
    assert escaped("a_b | <b> * `c_d` <0.001") == r"a\_b \| \<b> \* `c_d` <0.001"


def test_latex_escapes_every_special_character() -> None:
    table = Table(
        "k", HOSTILE, "a `code` note, 95%", ["x_y", "v"], [[Cell(HOSTILE), Cell("-0.010", "[-0.020, 0.000]")]]
    )
    text = latex(table)
    name = (
        r"\textless{}b\textgreater{}\&\textbar{}\$\%\_\#\{\}\textasciitilde{}\textasciicircum{}"
        r"\textbackslash{}\textless{}/b\textgreater{}"
    )
    assert rf"{name} & $-0.010$ $[-0.020, 0.000]$ \\" in text
    assert rf"\caption{{{name}. a code note, 95\%}}" in text
    assert r"x\_y & v \\" in text
    assert r"\begin{tabular}{lr}" in text


def test_columns_of_words_stand_on_the_left() -> None:
    table = Table("k", "t", "", ["run", "metric", "p"], [[Cell("a"), Cell("log loss"), Cell("<0.001")]])
    assert markdown(table).splitlines()[1] == "| --- | --- | ---: |"
    assert r"{llr}" in latex(table)


def test_latex_of_all_tables_is_balanced(content: dict, out: Path) -> None:
    text = (out / "table.tex").read_text(encoding="utf-8")
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == len(tables(content))
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0


# --- sentences ---


def test_the_headline_names_what_stays_after_correction(content: dict) -> None:
    figure = content["differences"][1]["figures"]["log_loss"]
    assert figure["p_holm"] < 0.05
    assert f"run_2: accuracy {content['differences'][1]['figures']['accuracy']['value']:+.3f}" in headline(
        content
    )
    assert f"log loss {figure['value']:+.3f}" in headline(content)


def test_the_headline_does_not_take_no_difference_for_equality(tmp_path: Path) -> None:
    found = compared([make(tmp_path / n, draw(k)) for k, n in enumerate("ab")])
    assert "None of the 3 differences to a is beyond chance" in headline(found)
    assert "does not show that the runs are equal" in headline(found)


def test_the_limits_say_what_the_intervals_are_over(content: dict, tmp_path: Path) -> None:
    assert any("The intervals are over lesions, not over trainings" in text for text in limits(content))
    assert any("beside them; from 1 training" in text for text in limits(content))
    alone = compared([make(tmp_path / n, draw(k), recipe=Recipe(name=n)) for k, n in enumerate("ab")])
    assert any("Each recipe was trained once" in text for text in limits(alone))


def test_the_limits_name_what_is_few_left_out_or_unlike(tmp_path: Path) -> None:
    a = make(tmp_path / "a", draw(0)[:20], ids=IDS[:20], truth=TRUTH[:20])
    b = make(tmp_path / "b", draw(1), trained=("T0",))
    said = " ".join(limits(compared([a, b])))
    assert "Fewer than 20 lesions: nevus (12), melanoma (8)." in said
    assert "No lesion at all: other." in said
    assert "left out: 4 of b." in said
    assert "have not learned from the same lesions" in said


def test_patients_are_said(tmp_path: Path) -> None:
    named = {lesion: f"P{k // 2}" for k, lesion in enumerate(IDS)}
    runs = [make(tmp_path / n, draw(k), patients=named) for k, n in enumerate("ab")]
    assert "The bootstrap draws whole patients (12)." in " ".join(limits(compared(runs)))


def test_too_few_samples_for_any_small_p_are_said(tmp_path: Path) -> None:
    runs = [make(tmp_path / n, draw(k)) for k, n in enumerate("ab")]
    assert "no corrected p of the bootstrap can be below 0.118" in " ".join(
        limits(compared(runs, n_samples=50))
    )
    assert "raise `--samples`" not in " ".join(limits(compared(runs, n_samples=500)))


def test_a_seed_alone_that_is_beyond_chance_is_said(tmp_path: Path) -> None:
    runs = [make(tmp_path / f"s{k}", draw(k, skill=6 * k), recipe=Recipe(name="x", seed=k)) for k in range(2)]
    assert "Another seed alone gives a p below 5% here (s1)" in " ".join(limits(compared(runs)))


def test_validation_flatters(tmp_path: Path) -> None:
    runs = [make(tmp_path / n, draw(k), split="val") for k, n in enumerate("ab")]
    found = compare(read_compared(runs, split="val"), metrics=FEW, n_samples=50)
    assert any("on these very lesions" in text for text in limits(found))


# --- the page ---


class Page(HTMLParser):
    """Collects tags and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_holds_every_figure_difference_and_limit(content: dict, page: str) -> None:
    text = re.sub(r"\s+", " ", Page(page).text)
    for run in content["runs"]:
        for m in run["figures"].values():
            assert f"{m['value']:.3f} [{m['low']:.3f}, {m['high']:.3f}]" in text
    for row in content["differences"]:
        for m in row["figures"].values():
            assert f"{m['value']:+.3f} [{m['low']:.3f}, {m['high']:.3f}]" in text
    for sentence in limits(content):
        assert sentence.replace("`", "") in text


def test_the_page_loads_nothing_escapes_names_and_shows_no_nan(page: str) -> None:
    assert not re.search(r'(src|href)="(?!#)', page)
    assert "<b>&" not in page
    assert "&lt;b&gt;&amp;" in page
    assert not re.search(r"\b(nan|None|NaN)\b", page)


def test_every_figure_is_told_in_words_and_every_table_has_headers(content: dict, page: str) -> None:
    tags = Page(page).tags
    drawings = [attrs for tag, attrs in tags if tag == "svg"]
    assert len(drawings) == 2 * len(FEW)
    gap = content["differences"][1]["figures"]["accuracy"]
    told = f"run_2 {gap['value']:+.3f}, 95% interval {gap['low']:+.3f} to {gap['high']:+.3f}"
    assert told in drawings[0]["aria-label"]
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in tags if tag == "th")
    assert ("html", {"lang": "en"}) in tags
    assert any(attrs.get("name") == "viewport" for tag, attrs in tags if tag == "meta")


def test_a_difference_beyond_chance_is_drawn_filled_and_another_one_hollow(content: dict, page: str) -> None:
    first = re.search(r"<svg.*?</svg>", page, re.DOTALL)[0]
    sure = [row["figures"]["accuracy"]["p_holm"] < 0.05 for row in content["differences"]]
    assert sure == [False, True]
    assert first.count("fill: var(--page)") == 1


def test_links_lead_to_sections(page: str) -> None:
    tags = Page(page).tags
    ids = {attrs["id"] for _, attrs in tags if "id" in attrs}
    links = [attrs["href"].lstrip("#") for tag, attrs in tags if tag == "a"]
    assert len(links) == 7
    assert set(links) <= ids


def test_no_folder_of_the_user_is_in_any_file(out: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = str(tmp_path_factory.getbasetemp())
    assert not [path.name for path in out.iterdir() if root in path.read_text(encoding="utf-8")]
