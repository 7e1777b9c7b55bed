"""Metrics: pure functions of arrays, with intervals and the challenges' own rules; knows no torch.

The function `bootstrap` is not named here, where it would hide its module: import it from there.
"""

from __future__ import annotations

from dermapair.metrics.bootstrap import Difference, Interval
from dermapair.metrics.classification import HIGHER_IS_BETTER, METRICS

__all__ = ["HIGHER_IS_BETTER", "METRICS", "Difference", "Interval"]
