"""From predictions and truth to results with intervals; the same code in training and for any file."""

from dermapair.evaluation.evaluate import evaluate, truth_of
from dermapair.evaluation.file import evaluate_file
from dermapair.evaluation.judge import judge
from dermapair.evaluation.stages import evaluate_stages, paired_difference

__all__ = ["evaluate", "evaluate_file", "evaluate_stages", "judge", "paired_difference", "truth_of"]
