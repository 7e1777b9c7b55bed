"""Damaged picture files, thousands of them, through the one reader: each must be read or refused.

    python benchmarks/fuzz_images.py [--tries 20000] [--first 0]
    python benchmarks/fuzz_images.py --replay SEED [--save FILE]

Try i is the file of seed i (`_mutants.py`). Two processes of at most 2 GiB of addresses read them; one that
crashes, or takes over 5 s of a core for a file, is started anew, and that is put down to the file. Every
second try has warnings as errors. The last line is a JSON object; the exit code is 1 where anything was
found: a crash, a hang, memory, an exception that is no ImageError, or pixels that are not what the reader
promises.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import subprocess
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from _mutants import Mutant, mutant, pictures

from dermapair.errors import ImageError
from dermapair.imaging.read import image_size, read_image

MEMORY, SECONDS, WORKERS = 2 * 2**30, 5.0, 2
PATIENCE = 12.0
"""How many times `SECONDS` by the clock a busy machine may take for them."""
START_SECONDS = 60.0
OK = ("read", "refused")


def outcome(made: Mutant, *, strict: bool) -> tuple[str, str]:
    """Read a file and return what came of it, and the reason where it was refused or worse.

    `read` and `refused` are as they should be; `memory`, `exception` and `wrong` are not.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error" if strict else "ignore")
        try:
            pixels = read_image(made.data)
        except ImageError as error:
            result = ("memory" if "fits in memory" in error.reason else "refused"), error.reason
        except MemoryError as error:
            result = "memory", repr(error)
        except Exception as error:  # noqa: BLE001 - what is looked for
            result = "exception", repr(error)
        else:
            result = _judge(pixels)
        try:
            size = image_size(made.data)
        except ImageError as error:
            return ("wrong", f"read, but no size: {error}") if result[0] == "read" else result
        except Exception as error:  # noqa: BLE001 - what is looked for
            return "exception", f"image_size: {error!r}"
    if result[0] == "read" and size != (pixels.shape[1], pixels.shape[0]):
        return "wrong", f"size {size} of pixels {pixels.shape}"
    return result


def _judge(pixels: np.ndarray) -> tuple[str, str]:
    sound = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0
    sound = sound and pixels.flags.c_contiguous and pixels.flags.writeable
    return ("read", "") if sound else ("wrong", f"{pixels.shape} {pixels.dtype} {pixels.flags}")


def work() -> None:
    """Read seeds from the input and write what came of each, until the input ends."""
    pictures()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    print("ready", flush=True)
    for line in sys.stdin:
        seed = int(line)
        made = mutant(seed)
        result, reason = outcome(made, strict=seed % 2 == 1)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"result": result, "reason": reason, "peak_kib": peak}), flush=True)


class Worker:
    """A process that reads files by their seeds, started anew when it is lost."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libtiff writes there
            bufsize=0,
            env=os.environ | one,
        )
        if self._line(START_SECONDS) != b"ready\n":
            raise SystemExit("a worker did not start")

    def _line(self, seconds: float) -> bytes | None:
        """Return the next line of the process, b"" where it has ended, None where it takes too long."""
        line, end = b"", time.monotonic() + seconds
        while not line.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            assert self.process.stdout is not None
            piece = self.process.stdout.read(4096)
            if not piece:
                return b""
            line += piece
        return line

    def _cpu_seconds(self) -> float:
        """Return what the process has used, or infinity where that cannot be known."""
        try:
            fields = (
                Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
            )
        except OSError:
            return float("inf")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def read(self, seed: int) -> dict[str, Any]:
        """Return what came of the file of a seed."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which is seen next
            self.process.stdin.write(f"{seed}\n".encode())
        began, clock = self._cpu_seconds(), time.monotonic()
        line = self._line(SECONDS)
        while line is None and self._cpu_seconds() - began < SECONDS > (time.monotonic() - clock) / PATIENCE:
            line = self._line(SECONDS / 5)
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        result = "hang" if line is None else "crash"
        self.stop()
        reason = f"over {SECONDS} s" if line is None else f"exit code {self.process.returncode}"
        self._start()
        return {"result": result, "reason": reason, "peak_kib": 0}

    def stop(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def share(seeds: range) -> list[dict[str, Any]]:
    """Read the files of these seeds in a process of their own."""
    worker = Worker()
    try:
        return [{"seed": seed, **worker.read(seed)} for seed in seeds]
    finally:
        worker.stop()


def fuzz(tries: int, first: int = 0) -> dict[str, Any]:
    """Read `tries` files from seed `first` on and return the report."""
    began = time.monotonic()
    shares = [range(first + i, first + tries, WORKERS) for i in range(min(WORKERS, tries))]
    with ThreadPoolExecutor(WORKERS) as pool:
        found = [line for part in pool.map(share, shares) for line in part]
    by_type: dict[str, Counter[str]] = {}
    bad = []
    for line in sorted(found, key=lambda line: line["seed"]):
        made = mutant(line["seed"])
        by_type.setdefault(made.kind.split()[0], Counter())[line["result"]] += 1
        if line["result"] not in OK:
            keys = {key: line[key] for key in ("seed", "result", "reason")}
            bad.append(keys | {"kind": made.kind, "mutation": made.mutation})
    total = sum(by_type.values(), Counter())
    assert sum(total.values()) == tries
    return {
        "tries": tries,
        "first": first,
        **{name: total[name] for name in (*OK, "crash", "hang", "memory", "exception", "wrong")},
        "by_type": {name: dict(counts) for name, counts in sorted(by_type.items())},
        "peak_mib": round(max(line["peak_kib"] for line in found) / 1024),
        "seconds": round(time.monotonic() - began, 1),
        "found": bad,
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=20000)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--replay", type=int, help="read the file of one seed in this process")
    parser.add_argument("--save", type=Path, help="with --replay: write that file")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work()
    elif given.replay is not None:
        made = mutant(given.replay)
        print(f"{made.kind}, {made.mutation}, {len(made.data)} bytes")
        if given.save:
            given.save.write_bytes(made.data)
        print(*outcome(made, strict=given.replay % 2 == 1), sep=": ")
    else:
        if given.tries < 1:
            parser.error("--tries from 1")
        report = fuzz(given.tries, given.first)
        print(json.dumps(report))
        if report["found"]:
            sys.exit(1)


if __name__ == "__main__":
    main()
