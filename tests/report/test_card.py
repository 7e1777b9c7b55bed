"""The model card says what a run's files say, and what they do not say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermapair.report import write_report
from dermapair.report.card import CARD, model_card, write_card
from dermapair.report.markdown import Section, Table, to_markdown
from dermapair.report.page import environment
from dermapair.report.read import RunFiles, read_run
from report.grouped import SUBGROUPS, figure
from report.run_folder import make_run, manifest

TITLES = [
    "Model details", "Intended use", "Factors", "Data", "Performance", "Calibration", "Operating points",
    "Subgroups", "Unfamiliar images", "Caveats and recommendations", "How to cite",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def files(run: Path) -> RunFiles:
    return read_run(run, manifest=None)


def card(files: RunFiles, **results: Any) -> str:
    """Return the card of a run with these further results."""
    return to_markdown("Card", model_card(replace(files, results=files.results | results)))


def test_the_card_lies_in_the_run_folder_with_every_section(run: Path) -> None:
    text = write_card(run, read_run(run, manifest=None)).read_text(encoding="utf-8")
    assert (run / CARD).is_file()
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == TITLES
    assert text.startswith("# Model card: tiny\n")


def test_an_old_run_says_what_was_not_measured(files: RunFiles) -> None:
    assert card(files).count("Not measured; run `dermapair calibrate RUN --data CASES`.") == 5


def test_what_the_files_do_not_say_is_said_to_be_unknown(files: RunFiles) -> None:
    text = card(files)
    assert "| Patients | unknown |" in text
    assert "| Licences (images) | not recorded in this run |" in text
    assert "| Date | not recorded in this run |" in text


def test_licences_and_sources_are_those_of_the_case_table(files: RunFiles) -> None:
    data = manifest()["data"] | {
        "licenses": {"CC0-1.0": 140, "unknown": 4},
        "sources": {"a | b": 144},
        "patients": 30,
    }
    text = card(replace(files, manifest=files.manifest | {"data": data}))
    assert "| Licences (images) | CC0-1.0 (140), unknown (4) |" in text
    assert "| Sources (images) | a \\| b (144) |" in text
    assert "| Patients | 30 |" in text


def test_every_metric_stands_there_with_its_interval(files: RunFiles) -> None:
    text = card(files)
    for entry in (e for e in files.shown.values() if isinstance(e, dict) and "value" in e):
        assert f"| {entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}] |" in text
    assert "| absent | 0 | not defined | not defined |" in text


def test_operating_points_say_what_they_reach_and_where(files: RunFiles) -> None:
    of = {"target": "mel", "rule": "youden", "threshold": 0.25, "cases": 6, "others": 30}
    of |= {key: figure(0.5) for key in ("sensitivity", "specificity", "ppv", "npv", "flagged")}
    text = card(files, operating_points={"mel_youden": of})
    assert "| mel youden | &gt; 0.250 | 6 of 36 | 0.500 [0.400, 0.600] |" in text
    assert "No points: the task has no classes" in card(files, operating_points={})


def test_calibration_says_before_after_and_difference(files: RunFiles) -> None:
    each = {"log_loss": figure(0.9)}
    readout = {"before": each, "after": {"log_loss": figure(0.7)}, "difference": {"log_loss": figure(-0.2)}}
    found = {"method": "temperature", "fitted_on": "val", "readouts": {"both": readout}}
    sets = {"wanted": 0.9, "coverage": figure(0.88, 0.02), "mean_size": 2.5}
    text = card(files, calibration=found, conformal=sets)
    assert "| log loss | 0.900 [0.800, 1.000] | 0.700 [0.600, 0.800] | -0.200 [-0.300, -0.100] |" in text
    assert "truth of 90% of lesions" in text and "0.880 [0.860, 0.900], with 2.50 classes each" in text
    assert "none was calibrated" in card(files, calibration=None)


def test_groups_gaps_and_unknowns_are_those_of_the_results(files: RunFiles) -> None:
    text = card(files, subgroups=SUBGROUPS)
    assert "| Sex | – | female: 40, male: 50, other: 3 (too few) | 7 |" in text
    assert "| Age | – | none | 100 |" in text
    assert "| Sex | other | 3 | too few | too few |" in text
    assert (
        "- Sex: accuracy 0.200 (female to male) [0.050, 0.350], p 0.004, Holm 0.036; macro AUC 0.010" in text
    )
    assert "- Age: fewer than two groups are large enough to be compared." in text


def test_targets_of_the_model_are_named(files: RunFiles) -> None:
    facts = files.facts.model_copy(update={"targets": {"cancer": ("nevus",)}})
    assert "Classes with a decision to take: cancer: nevus." in card(replace(files, facts=facts))
    assert "Classes with a decision to take: none." in card(files)


def test_names_are_escaped_and_folders_left_out(files: RunFiles) -> None:
    text = card(files, subgroups=SUBGROUPS)
    assert "<b>" not in text and "&lt;b&gt;x&lt;/b&gt;" in text
    assert "/home/me" not in text


def test_markdown_has_paragraphs_lists_and_tables() -> None:
    section = Section("Part", ("One\nline.", ["a", "b"], Table(("x", "y"), (("1", "p|q"),))))
    assert to_markdown("T", [section]) == (
        "# T\n\n## Part\n\nOne line.\n\n- a\n- b\n\n| x | y |\n| --- | --- |\n| 1 | p\\|q |\n"
    )


def test_the_card_is_written_with_the_report(run: Path) -> None:
    (run / CARD).unlink(missing_ok=True)
    page = write_report(run).read_text(encoding="utf-8")
    assert (run / CARD).is_file()
    assert 'id="card"' in page and 'id="subgroups"' in page


def test_the_report_shows_the_same_sections(files: RunFiles) -> None:
    template = '{% import "card.html.j2" as part %}{{ part.section(card) }}'
    page = environment().from_string(template).render(card=model_card(files))
    assert [page.count(f"<summary>{title}</summary>") for title in TITLES] == [1] * len(TITLES)
    assert "<b>x</b>" not in page and "/home/me" not in page
    assert "<code>dermapair calibrate RUN --data CASES</code>" in page
