"""Seconds and peak memory of `dermapair data import isic2024` on as many rows as that set has.

The table is made up, with the official columns. Its pictures are empty files in one folder, or single bytes
in one HDF5 file: the import looks at names only. The command runs in a process of its own.

    python benchmarks/import_rows.py [--rows 400000] [--images files hdf5] [--rounds 1]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import polars as pl

MEASURES = (
    "clin_size_long_diam_mm",
    "tbp_lv_A",
    "tbp_lv_Aext",
    "tbp_lv_B",
    "tbp_lv_Bext",
    "tbp_lv_C",
    "tbp_lv_Cext",
    "tbp_lv_H",
    "tbp_lv_Hext",
    "tbp_lv_L",
    "tbp_lv_Lext",
    "tbp_lv_areaMM2",
    "tbp_lv_area_perim_ratio",
    "tbp_lv_color_std_mean",
    "tbp_lv_deltaA",
    "tbp_lv_deltaB",
    "tbp_lv_deltaL",
    "tbp_lv_deltaLB",
    "tbp_lv_deltaLBnorm",
    "tbp_lv_eccentricity",
    "tbp_lv_minorAxisMM",
    "tbp_lv_nevi_confidence",
    "tbp_lv_norm_border",
    "tbp_lv_norm_color",
    "tbp_lv_perimeterMM",
    "tbp_lv_radial_color_std_max",
    "tbp_lv_stdL",
    "tbp_lv_stdLExt",
    "tbp_lv_symm_2axis",
    "tbp_lv_symm_2axis_angle",
    "tbp_lv_x",
    "tbp_lv_y",
    "tbp_lv_z",
    "mel_thick_mm",
    "tbp_lv_dnn_lesion_confidence",
)
EMPTY = ("iddx_2", "iddx_3", "iddx_4", "iddx_5", "mel_mitotic_index")
COMMAND = """
import sys
from pathlib import Path
from dermapair.cli.main import main
try:
    main()
finally:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    print(next(line for line in lines if line.startswith("VmHWM")), file=sys.stderr)
"""
"""The command, which says at its end how much memory it has had (Linux)."""


def official_table(rows: int) -> pl.DataFrame:
    """Return a made-up `train-metadata.csv`."""
    rng = np.random.default_rng(0)
    number = pl.int_range(rows, eager=True)
    text = {
        "isic_id": pl.select(pl.format("ISIC_{}", number.cast(pl.String).str.zfill(7))).to_series(),
        "target": (number % 1000 == 0).cast(pl.Int64),
        "patient_id": pl.select(pl.format("IP_{}", number // 400)).to_series(),
        "age_approx": (number % 16 * 5).cast(pl.Float64),
        "lesion_id": pl.select(pl.when(number % 18 == 0).then(pl.format("IL_{}", number))).to_series(),
    }
    words = {
        "sex": "male",
        "anatom_site_general": "posterior torso",
        "image_type": "TBP tile: close-up",
        "tbp_tile_type": "3D: XP",
        "tbp_lv_location": "Torso Back Top Third",
        "tbp_lv_location_simple": "Torso Back",
        "attribution": "Memorial Sloan Kettering Cancer Center",
        "copyright_license": "CC-BY",
        "iddx_full": "Benign",
        "iddx_1": "Benign",
    }
    measures = {name: rng.normal(size=rows) for name in MEASURES}
    none = {name: pl.lit(None, dtype=pl.String) for name in EMPTY}
    return pl.DataFrame(text | measures).with_columns(**{n: pl.lit(v) for n, v in words.items()}, **none)


def write_set(root: Path, rows: int, images: str) -> None:
    """Write table and pictures; `images` is `files` or `hdf5`."""
    root.mkdir()
    table = official_table(rows)
    table.write_csv(root / "train-metadata.csv")
    if images == "hdf5":
        with h5py.File(root / "train-image.hdf5", "w") as file:
            for name in table["isic_id"]:
                file[name] = np.void(b"\xff")
        return
    folder = root / "train-image" / "image"
    folder.mkdir(parents=True)
    for name in table["isic_id"]:
        os.close(os.open(folder / f"{name}.jpg", os.O_CREAT | os.O_WRONLY))


def measure(root: Path, out: Path) -> tuple[float, float]:
    """Return seconds and peak resident memory in MiB of one import."""
    began = time.perf_counter()
    command = [sys.executable, "-c", COMMAND, "data", "import", "isic2024", str(root), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stderr)
    return round(seconds, 2), round(int(done.stderr.split()[-2]) / 1024, 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--images", nargs="+", choices=("files", "hdf5"), default=["files", "hdf5"])
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    peak: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for images in arguments.images:
            write_set(Path(folder) / images, arguments.rows, images)
        for _ in range(arguments.rounds):
            for images in arguments.images:
                took, memory = measure(Path(folder) / images, Path(folder) / f"{images}-cases")
                seconds.setdefault(images, []).append(took)
                peak.setdefault(images, []).append(memory)
                print(f"{images:<6} {took:.1f} s, at most {memory:.0f} MiB", flush=True)
    print(json.dumps({"seconds": seconds, "peak_mib": peak, "rows": arguments.rows}))


if __name__ == "__main__":
    main()
