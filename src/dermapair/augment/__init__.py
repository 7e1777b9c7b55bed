"""Augmentation: draw parameters from a generator, then apply fixed operations.

The drawn parameters travel with the sample, so that it can be replayed and a map brought back to the pixels
of the original.
"""

from dermapair.augment.operations import Augmentation, apply, centre, draw, five_corners, place

__all__ = ["Augmentation", "apply", "centre", "draw", "five_corners", "place"]
