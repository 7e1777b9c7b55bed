"""How many lesions are flagged, counted by hand."""

from __future__ import annotations

import numpy as np

from dermapair.evaluation.outside import evaluate_outside
from dermapair.inference.decisions import OutsideRule, OutsideView
from dermapair.inference.scores import Scores
from dermapair.metrics.bootstrap import wilson_interval

IDS = ("a", "b", "c", "d", "e")
RULE = OutsideRule(
    method="mahalanobis",
    allowed=0.1,
    views={"clinical": OutsideView(threshold=2.0, n_lesions=9, other=True)},
)


def scores() -> Scores:
    outside = {"clinical": np.array([2.0, 2.5, np.nan, 0.1, 7.0])}
    return Scores(IDS, ("x", "y"), {}, {}, outside=outside)  # type: ignore[arg-type]


def test_lesions_above_the_threshold_are_counted_among_those_with_the_view() -> None:
    found = evaluate_outside(scores(), dict(zip(IDS, range(5), strict=True)), RULE)
    wilson = wilson_interval(2, 4)
    flagged = {"value": 0.5, "low": wilson.low, "high": wilson.high}
    view = {"n": 4, "flagged": flagged, "threshold": 2.0, "allowed": 0.1}
    assert found == {"method": "mahalanobis", "views": {"clinical": view}}


def test_the_interval_counts_patients() -> None:
    found = evaluate_outside(scores(), dict.fromkeys(IDS, 0), RULE)
    assert found
    wilson = wilson_interval(0.5, 1)
    assert found["views"]["clinical"]["flagged"]["high"] == wilson.high
    assert found["views"]["clinical"]["n"] == 4


def test_a_run_without_it_says_nothing() -> None:
    assert evaluate_outside(scores(), dict.fromkeys(IDS, 0), None) is None
    assert evaluate_outside(Scores(IDS, ("x", "y"), {}, {}), dict.fromkeys(IDS, 0), RULE) is None
