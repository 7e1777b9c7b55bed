"""Dermapair: classifiers of skin lesions from a clinical photograph and a dermoscopic image."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dermapair.inference.predictor import Predictor, load

__all__ = ["Predictor", "__version__", "load"]
__version__ = version("dermapair")


def __getattr__(name: str) -> Any:
    """Import the predictor, and torch with it, when it is first asked for."""
    if name in ("Predictor", "load"):
        from dermapair.inference import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module 'dermapair' has no attribute {name!r}")
