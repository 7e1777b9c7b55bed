"""From predictions and truth to results with intervals; the same code in training and for any file."""

from dermapair.evaluation.evaluate import evaluate, evaluate_file, truth_of
from dermapair.evaluation.stages import evaluate_stages, paired_difference

__all__ = ["evaluate", "evaluate_file", "evaluate_stages", "paired_difference", "truth_of"]
