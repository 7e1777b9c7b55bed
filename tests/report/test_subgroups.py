"""What the page says of groups of lesions: measured, too few, unknown, compared or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dermapair.report.page import environment
from dermapair.report.read import RunFiles, read_run
from dermapair.report.subgroups import (
    drawn_blocks,
    forest_figure,
    gap_text,
    p_text,
    subgroup_parts,
    widest_point,
)
from report.grouped import SUBGROUPS, figure
from report.run_folder import make_run
from report.test_page import Elements, text_of


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    return read_run(make_run(tmp_path_factory.mktemp("runs") / "run"), manifest=None)


def page(files: RunFiles, **subgroups: Any) -> str:
    """Return the part of the page, of a run with these groups."""
    files = replace(files, results=files.results | subgroups)
    template = '<main>{% import "subgroups.html.j2" as part %}{{ part.section(parts) }}</main>'
    return environment().from_string(template).render(parts=subgroup_parts(files))


@pytest.fixture(scope="module")
def shown(files: RunFiles) -> str:
    return page(files, subgroups=SUBGROUPS)


def test_a_run_without_groups_says_how_to_measure_them(files: RunFiles) -> None:
    assert subgroup_parts(files) is None
    assert "Not measured; run dermapair calibrate RUN --data CASES" in text_of(page(files))


def test_every_group_stands_there_with_count_figure_and_interval(shown: str) -> None:
    text = text_of(shown)
    assert "female n = 40" in text and "male n = 50" in text
    assert (
        "Accuracy 0.600 [0.500, 0.700] 0.800 [0.700, 0.900] 0.200 [0.050, 0.350] female to male 0.004" in text
    )


def test_means_over_classes_are_compared_in_a_row_of_their_own(shown: str) -> None:
    text = text_of(shown)
    assert "Macro AUC 0.900 [0.800, 0.950] 0.700 [0.600, 0.800] – – –" in text
    assert "Macro AUC same classes 0.750 [0.650, 0.850] 0.760 [0.660, 0.860] 0.010 [-0.100, 0.120]" in text


def test_too_few_unknown_and_differing_are_said_as_such(shown: str) -> None:
    text = text_of(shown)
    assert "other: too few (3 lesions; 20 patients, else lesions, are needed)." in text
    assert "7 unknown, 2 of them because rows of the case table differ." in text
    assert "Unknown for all 100 lesions." in text
    assert "No two groups are large enough to be compared." in text


def test_an_untested_gap_has_no_p_value(shown: str) -> None:
    assert (
        "Expected calibration error lower is better 0.100 [0.050, 0.150] 0.200 [0.150, 0.250] 0.100 "
        in text_of(shown)
    )
    assert "female to male not tested not tested" in text_of(shown)


def test_operating_points_and_recalls_stand_there_with_their_counts(shown: str) -> None:
    text = text_of(shown)
    assert "mel youden sensitivity 0.500 [0.300, 0.700] of 10 not defined of 0" in text
    assert "absent no case no case" in text


def test_values_are_escaped_and_tags_are_closed(shown: str) -> None:
    assert "<b>x</b>" not in shown
    elements = Elements()
    elements.feed(shown)
    assert elements.open == []
    scopes = [attributes.get("scope") for tag, attributes in elements.tags if tag == "th"]
    assert scopes and set(scopes) <= {"col", "row"}


def test_figures_say_their_numbers_to_those_who_do_not_see_them(shown: str) -> None:
    elements = Elements()
    elements.feed(shown)
    alts = [a["aria-label"] or "" for tag, a in elements.tags if tag == "svg"]
    assert len(alts) == 2
    assert "accuracy: female (40) 0.600, male (50) 0.800, other (3) too few." in alts[0]
    assert "Largest gap 0.200 (female to male) [0.050, 0.350], p 0.004, Holm 0.036." in alts[0]


def test_the_figure_draws_each_measured_group_and_names_the_others() -> None:
    blocks = drawn_blocks(SUBGROUPS["sex"])
    assert [title for title, _, _ in blocks] == [
        "accuracy",
        "balanced accuracy (2 classes)",
        "macro AUC (2 classes)",
    ]
    axes = forest_figure(blocks).axes[0]
    values = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o"]
    assert values[:2] == [0.6, 0.8]
    assert sum(text.get_text() == "too few" for text in axes.texts) == 3


@pytest.mark.parametrize(("p", "text"), [(None, "not tested"), (0.0005, "< 0.001"), (0.05, "0.050")])
def test_p_values_have_three_digits(p: float | None, text: str) -> None:
    assert p_text(p) == text


def test_a_gap_in_words_says_when_it_was_not_tested() -> None:
    gap = {"a": "x", "b": "y", "value": 0.1, "low": None, "high": None, "p_value": None, "p_holm": None}
    assert gap_text(gap) == "0.100 (x to y), not tested"


def test_the_widest_difference_at_an_operating_point_leaves_out_groups_of_few_lesions() -> None:
    def group(n: int, sensitivity: float, specificity: float) -> dict[str, Any]:
        figures = {"sensitivity": figure(sensitivity), "specificity": figure(specificity)}
        return {"too_few": False, "points": {"mel_youden": {"cases": n, "others": 50, **figures}}}

    entry = {"groups": {"dark": group(3, 0.0, 0.3), "light": group(40, 0.9, 0.8), "few": {"too_few": True}}}
    assert widest_point(entry).startswith("specificity at mel youden 0.300 [0.200, 0.400] (dark) to 0.800")
    assert widest_point({"groups": {"few": {"too_few": True}}}) == ""
