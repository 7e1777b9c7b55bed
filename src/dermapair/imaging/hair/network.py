"""The small network that tells hair from skin, and the picture that it looks at.

It works on an image whose longer side is BASE, so that a hair has one width for it at every resolution.
Trained by `benchmarks/_train_hair.py`; the weights lie beside this file.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dermapair.types import RGBImage

BASE = 512
CELL = 2
"""Side of a cell of the network's finer size, pixels."""
WEIGHTS = Path(__file__).with_name("network.safetensors")
SPREAD = 48.0
"""Divides the difference from the median colour, of 255."""
SPARSE = 4
"""Every so many pixels count for the median."""
FRAME = 2
"""Pixels at each border that are not looked at: many images have a dark line there."""
AROUND = 8
"""Pixels of mirror image put round the picture, a multiple of the network's step of 4."""


class HairNet(nn.Module):
    """A U-net of two sizes: (B, 3, H, W) to (B, 1, H, W) logits of hair; H and W multiples of 4.

    Four pixels are one cell from the start, each with channels of its own, which is twice as fast as working
    on pixels; docs/experiments.md has both.
    """

    def __init__(self, fine: int = 16, coarse: int = 24) -> None:
        super().__init__()
        self.fine = nn.Sequential(_block(3 * CELL**2, fine), _block(fine, fine))
        dilated = [_block(coarse, coarse, dilation=k) for k in (2, 4, 2)]
        self.coarse = nn.Sequential(_block(fine, coarse, stride=2), *dilated)
        self.back, self.join = nn.Conv2d(coarse, fine, 1), _block(fine, fine)
        self.last = nn.Conv2d(fine, CELL**2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        fine = self.fine(F.pixel_unshuffle(x, CELL))
        coarse = F.interpolate(self.back(self.coarse(fine)), scale_factor=2, mode="bilinear")
        return F.pixel_shuffle(self.last(self.join(coarse + fine)), CELL)


def _block(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Return a 3 x 3 convolution, batch norm and ReLU."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def working_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) with the longer side BASE."""
    scale = BASE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def normalise(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image with its median colour at 0, (H, W, 3)."""
    median = np.median(image[::SPARSE, ::SPARSE].reshape(-1, 3), axis=0).astype(np.float32)
    return np.asarray((image - median) / np.float32(SPREAD), dtype=np.float32)


def hair_probability(small: RGBImage) -> NDArray[np.float32]:
    """Return (H, W) probabilities of hair for an image of working size, (H, W, 3) uint8 RGB.

    A dark line at the border is no hair: what is within FRAME pixels is replaced by its mirror image first.
    """
    height, width = small.shape[:2]
    frame = min(FRAME, (min(height, width) - 1) // 2)
    inner = small[frame : height - frame, frame : width - frame]
    below, right = -height % 4 + AROUND, -width % 4 + AROUND
    wide = cv2.copyMakeBorder(
        inner, AROUND + frame, below + frame, AROUND + frame, right + frame, cv2.BORDER_REFLECT
    )
    x = torch.from_numpy(normalise(wide)).permute(2, 0, 1)[None]
    with torch.inference_mode(), _threads_of_a_pool():
        probability = _network()(x).sigmoid()[0, 0].numpy()
    found: NDArray[np.float32] = probability[AROUND : AROUND + height, AROUND : AROUND + width]
    return found


@cache
def _network() -> nn.Module:
    """Return the trained network, its batch norm folded into the convolutions."""
    with torch.device("meta"):  # no weights are drawn: this may run in a thread in the middle of a training
        network = HairNet()
    network.load_state_dict(load_file(WEIGHTS), assign=True)
    network.eval()
    for block in network.modules():
        if isinstance(block, nn.Sequential) and isinstance(block[-1], nn.ReLU):
            convolution, norm = block[0], block[1]
            assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            block[0], block[1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return network.to(memory_format=torch.channels_last)


@contextmanager
def _threads_of_a_pool() -> Iterator[None]:
    """Compute with one thread where this is not the main one: those beside it have the other cores."""
    before = torch.get_num_threads()
    if threading.current_thread() is threading.main_thread() or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
