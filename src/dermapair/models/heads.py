"""Classifiers: how the last map of a trunk becomes logits.

Letters: B images, D feature channels, h w map cells, K classes.
"""

from __future__ import annotations

from torch import Tensor, nn

from dermapair.models.joint import he_init
from dermapair.models.poolings import Pooling


class Head(nn.Module):
    """Pooling, dropout and a linear classifier: (B, D, h, w) -> (B, K)."""

    def __init__(self, pooling: Pooling, n_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(pooling.width, n_classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    @property
    def weighted(self) -> bool:
        """Whether the pooling needs saliency."""
        return self.pooling.weighted

    def forward(self, features: Tensor, saliency: Tensor | None = None) -> Tensor:
        """(B, D, h, w) -> (B, K) logits."""
        logits: Tensor = self.classifier(self.dropout(self.pooling(features, saliency)))
        return logits


class FullyConnectedHead(nn.Module):
    """VGG-16's own head: maximum pooling, 7 x 7 cells, two hidden layers of 4096 units, freshly drawn."""

    weighted = False

    def __init__(self, channels: int, n_classes: int, *, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.MaxPool2d(2, ceil_mode=True),
            nn.AdaptiveAvgPool2d(7),
            nn.Flatten(),
            nn.Linear(49 * channels, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.layers.apply(he_init)
        self.classifier = nn.Linear(4096, n_classes)

    def forward(self, features: Tensor, saliency: Tensor | None = None) -> Tensor:
        """(B, D, h, w) -> (B, K) logits."""
        logits: Tensor = self.classifier(self.layers(features))
        return logits
