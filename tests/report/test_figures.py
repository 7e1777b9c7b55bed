"""Figures made without a run folder: what is drawn, by the artists' own data."""

from __future__ import annotations

import io

import numpy as np
import pytest

from dermapair.report import figures

THIN = {"n": 6, "recall": 0.5, "recall_interval": [0.2, 0.8]}
MANY = {"n": 60, "recall": 0.9, "recall_interval": [0.8, 0.95]}
NONE = {"n": 0, "recall": None, "recall_interval": [None, None]}


def drawn(figure) -> list:
    return figure.axes[0].lines


def test_a_roc_curve_of_a_perfect_score_runs_through_the_corner():
    truth, score = np.array([False, False, True, True]), np.array([0.1, 0.2, 0.8, 0.9])
    curve = drawn(figures.roc_figure({"both": truth}, {"both": score}))[-1]
    assert (0.0, 1.0) in zip(curve.get_xdata(), curve.get_ydata(), strict=True)


def test_a_class_without_cases_has_no_curve_beside_the_diagonal():
    figure = figures.roc_figure({"both": np.zeros(3, bool)}, {"both": np.array([0.1, 0.2, 0.3])})
    assert len(drawn(figure)) == 1


def test_a_long_curve_is_thinned_and_keeps_its_ends(rng):
    truth, score = rng.random(5000) < 0.5, rng.random(5000)
    curve = drawn(figures.roc_figure({"both": truth}, {"both": score}))[-1]
    assert len(curve.get_xdata()) <= figures.MAX_POINTS
    assert (curve.get_xdata()[[0, -1]] == [0, 1]).all()


@pytest.mark.parametrize(("entry", "face"), [(THIN, figures.PAPER), (MANY, figures.INK)])
def test_thin_classes_are_hollow(entry, face):
    dots = [line for line in drawn(figures.recall_figure({"both": {"a": entry}})) if line.get_marker() == "o"]
    assert dots[0].get_markerfacecolor() == face


def test_an_interval_is_drawn_from_low_to_high():
    lines = drawn(figures.recall_figure({"both": {"a": MANY}}))
    assert [0.8, 0.95] in [list(line.get_xdata()) for line in lines]


def test_a_class_without_cases_is_named_so():
    figure = figures.recall_figure({"both": {"a": MANY, "b": NONE}, "clinical": {"a": THIN, "b": NONE}})
    assert "no cases" in [text.get_text() for text in figure.axes[0].texts]


def test_a_value_that_is_not_defined_leaves_a_gap():
    curve = drawn(figures.curves_figure([1, 2], {"both": [0.5, None]}, ylabel="x", best_epoch=None))[0]
    assert np.isnan(curve.get_ydata()[1])


def test_calibration_dots_stand_at_mean_confidence_and_share_right():
    confidence, right = np.array([0.82, 0.88, 0.31]), np.array([True, False, False])
    dots = figures.calibration_figure(confidence, right).axes[0].collections
    assert [tuple(d.get_offsets()[0]) for d in dots] == [(0.31, 0.0), (pytest.approx(0.85), 0.5)]


def test_svg_escapes_names_and_keeps_digits_of_labels():
    picture = figures.svg(figures.recall_figure({"both": {'<b>"$x$': MANY}}), 'of <b>"')
    assert '&lt;b&gt;"$x$' in picture
    assert 'aria-label="of &lt;b&gt;&#34;"' in picture
    assert "<b>" not in picture


def test_svg_takes_its_colours_from_the_page():
    picture = figures.svg(figures.recall_figure({"both": {"a": THIN}, "clinical": {"a": MANY}}), "x")
    assert "currentColor" in picture
    assert "var(--page)" in picture
    assert "var(--clinical)" in picture
    assert figures.INK not in picture


def test_a_figure_can_be_saved_as_a_picture_alone():
    buffer = io.BytesIO()
    figures.recall_figure({"both": {"a": THIN}}).savefig(buffer, format="png")
    assert buffer.getvalue().startswith(b"\x89PNG")


def test_a_forest_plot_draws_each_difference_around_no_difference():
    rows = [
        {"name": "a", "value": 0.1, "low": 0.05, "high": 0.2, "sure": True, "points": [0.08, None]},
        {"name": "b", "value": None, "low": None, "high": None, "sure": False, "points": []},
        {"name": "c", "value": 0.0, "low": -0.1, "high": 0.1, "sure": False, "points": []},
    ]
    figure = figures.forest_figure(rows, xlabel="difference")
    axes = figure.axes[0]
    zero, line, dot, small, _, hollow, _ = drawn(figure)
    assert (list(zero.get_xdata()), list(line.get_xdata())) == ([0, 0], [0.05, 0.2])
    assert (list(dot.get_xdata()), list(dot.get_ydata())) == ([0.1], [0])
    assert list(small.get_xdata()) == pytest.approx([0.08, np.nan], nan_ok=True)
    assert (dot.get_markerfacecolor(), hollow.get_markerfacecolor()) == (dot.get_color(), figures.PAPER)
    assert [text.get_text() for text in axes.texts] == ["not defined"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
