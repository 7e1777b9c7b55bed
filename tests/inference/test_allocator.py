"""Keeping freed memory is taken by glibc, and says so where it cannot be."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dermapair.inference import allocator

COUNT_FAULTS = """
import resource, sys
import numpy as np
from dermapair.inference.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(20):
    np.ones(4_000_000, dtype=np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's setting; this is not Linux")
def test_kept_memory_is_not_asked_for_again() -> None:
    faults = {
        how: int(
            subprocess.run([sys.executable, "-c", COUNT_FAULTS, how], capture_output=True, check=True).stdout
        )
        for how in ("keep", "default")
    }
    assert faults["keep"] < faults["default"]


def test_another_system_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert allocator.keep_freed_memory() is False
