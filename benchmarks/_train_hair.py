"""Trains the network of the learned hair removal and writes its weights.

    python benchmarks/_train_hair.py FOLDER OUT.safetensors [--steps 2500] [--seed 0] [--precision bf16]

FOLDER holds NAME.jpg and NAME_hair.png; the first, third, fifth by name are learned from and the others left
for `hair_removal.py`. Half of the pictures get some more hairs, drawn. Eight minutes on two cores with
bf16 where that pays (`dermapair doctor`).
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch.nn import functional as F

from dermapair.imaging.hair.network import HairNet, normalise, working_size
from dermapair.imaging.read import read_image
from dermapair.inference.forward import autocast

SIDE = 256
BATCH = 8
RATE = 4e-3
BORDER = 0.02
"""Share of each side that is left out: the given masks mark borders of images."""

Picture = NDArray[np.float32]
Examples = list[tuple[Picture, Picture]]


def read_examples(folder: Path) -> Examples:
    """Return images of working size, (H, W, 3) in [0, 255], and the share of hair in each pixel, (H, W)."""
    examples = []
    for file in sorted(folder.glob("*_hair.png"))[::2]:
        image = read_image(str(file).replace("_hair.png", ".jpg"))
        size = working_size((image.shape[1], image.shape[0]))
        hair = (read_image(file)[..., 0] > 127).astype(np.float32)
        pair = [cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in (image.astype(np.float32), hair)]
        y, x = (int(np.ceil(BORDER * side)) for side in (size[1], size[0]))
        examples.append(tuple(part[y:-y, x:-x] for part in pair))
    return examples


def turned(image: Picture, hair: Picture, rng: np.random.Generator) -> tuple[Picture, Picture]:
    """Return a square of both, mirrored, turned by any angle, 0.74 to 1.35 times as large."""
    if rng.random() < 0.5:
        image, hair = image[:, ::-1], hair[:, ::-1]
    height, width = hair.shape
    scale = np.exp(rng.uniform(-0.3, 0.3))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(0, 360), scale)
    reach = np.maximum(np.array([width, height]) * scale / 2 - 0.43 * SIDE, 0)
    matrix[:, 2] += SIDE / 2 - np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * reach
    return tuple(
        cv2.warpAffine(np.ascontiguousarray(x), matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
        for x in (image, hair)
    )


def with_more_hair(image: Picture, hair: Picture, rng: np.random.Generator) -> tuple[Picture, Picture]:
    """Return both with one to five dark curves that thin out to the tip."""
    for _ in range(rng.integers(1, 6)):
        a, b, c = rng.uniform(-40, SIDE + 40, (3, 2))
        t = np.linspace(0, 1, 40)[: rng.integers(10, 41), None]
        points = np.rint(4 * ((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c)).astype(int).tolist()
        fine, thickness = np.zeros((4 * SIDE, 4 * SIDE), np.uint8), rng.uniform(3.2, 14)
        for k, (start, end) in enumerate(pairwise(points)):
            cv2.line(fine, start, end, 255, max(1, round(thickness * (1 - 0.6 * k / len(points)))))
        cover = cv2.resize(fine, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        opacity = rng.uniform(0.35, 1) * cover[..., None]
        image = (1 - opacity) * image + opacity * (rng.uniform(10, 70) + rng.uniform(-10, 10, 3))
        hair = np.maximum(hair, cover > 0.15)
    return image.astype(np.float32), hair


def example(examples: Examples, rng: np.random.Generator) -> tuple[Picture, Picture]:
    """Return one normalised square, (SIDE, SIDE, 3), and its hair, (SIDE, SIDE)."""
    image, hair = turned(*examples[rng.integers(len(examples))], rng)
    if rng.random() < 0.5:
        image, hair = with_more_hair(image, hair, rng)
    image = image * rng.uniform(0.75, 1.3) * rng.uniform(0.9, 1.1, 3)
    image = image + rng.normal(0, rng.uniform(0, 3), image.shape)
    return normalise(np.clip(image, 0, 255)), hair


def loss_of(logits: torch.Tensor, hair: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy and half of what is missing to Dice 1."""
    probability = logits.sigmoid()
    dice = (2 * (probability * hair).sum() + 1) / (probability.sum() + hair.sum() + 1)
    return F.binary_cross_entropy_with_logits(logits, hair) + 0.5 * (1 - dice)


def train(examples: Examples, steps: int, seed: int, *, precision: str = "fp32") -> HairNet:
    """Return the trained network; bf16 pays only where `dermapair doctor` says so."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = HairNet().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    began = time.perf_counter()
    for step in range(1, steps + 1):
        images, hairs = zip(*(example(examples, rng) for _ in range(BATCH)), strict=True)
        x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        with autocast(torch.device("cpu"), precision):
            logits = network(x)
        loss = loss_of(logits.float(), torch.from_numpy(np.stack(hairs))[:, None].float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(
                f"{step} of {steps}: loss {loss.item():.3f}, {time.perf_counter() - began:.0f} s", flush=True
            )
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the network of the learned hair removal.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    options = parser.parse_args()
    network = train(read_examples(options.folder), options.steps, options.seed, precision=options.precision)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, options.out)


if __name__ == "__main__":
    main()
