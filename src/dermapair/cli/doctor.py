"""`dermapair doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from dermapair.cli.common import Json, finish, say


def doctor(
    backbone: Annotated[str, typer.Option(help="Backbone to time.")] = "squeezenet1_1",
    side: Annotated[int, typer.Option(min=32, help="Side of the input, pixels.")] = 224,
    as_json: Json = False,
) -> None:
    """Show versions and devices, and measure which precision pays on this machine."""
    import os
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import torch

    from dermapair.config import NetworkSettings
    from dermapair.inference.allocator import keep_freed_memory
    from dermapair.inference.precision import choose_precision, measure_precision
    from dermapair.models import build_network
    from dermapair.models.weights import WEIGHTS_FOLDER

    versions = {}
    for name in ("dermapair", "torch", "torchvision", "timm", "lightning", "numpy", "opencv-python-headless"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "missing"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    say(f"python {platform.python_version()} on {platform.platform()}")
    say(", ".join(f"{name} {v}" for name, v in versions.items()))
    say(f"device {device}, {os.cpu_count()} cores, {torch.get_num_threads()} threads")
    say(f"freed memory is kept for speed: {'yes' if keep_freed_memory() else 'no, only glibc on Linux can'}")
    say(f"weights folder {WEIGHTS_FOLDER}: {os.environ.get(WEIGHTS_FOLDER) or 'not set'}")
    network = build_network(NetworkSettings(kind="share", backbone=backbone, weights="none"), 10).to(device)
    network = network.to(memory_format=torch.channels_last)
    rates = {}
    for what, train in (("training", True), ("prediction", False)):
        rates[what] = measure_precision(network, side=side, batch_size=8, train=train)
        shown = ", ".join(f"{name} {rate:.1f} images/s" for name, rate in rates[what].items())
        say(f"{what} of {backbone} at {side} px: {shown}; `auto` takes {choose_precision(rates[what])}")
    finish({"versions": versions, "device": str(device), "images_per_s": rates}, as_json=as_json)
