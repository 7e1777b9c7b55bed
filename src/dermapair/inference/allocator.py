"""How freed memory is kept: a setting of the C library that makes training on a CPU faster.

For memory as large as a feature map, glibc asks the kernel for fresh pages at every allocation and gives them
back at every release; the kernel clears each page again. Keeping them makes that stop. The price is that
memory which the process has used once stays with it.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_KEEP_BYTES = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make this process keep freed memory for itself; return whether the C library took the setting.

    A process-wide setting: commands call it, library functions do not. Where the C library is not glibc
    nothing changes, and False comes back.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    settings = ((_M_MMAP_THRESHOLD, 2**30), (_M_TRIM_THRESHOLD, _KEEP_BYTES), (_M_MMAP_MAX, 0))
    taken = [mallopt(option, value) == 1 for option, value in settings]
    return all(taken)
