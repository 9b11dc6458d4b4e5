"""No process of the tests may run ahead of all others of the machine."""

from __future__ import annotations

import ctypes
from typing import Final

__all__ = ["give_up_priority"]

# Source: Linux, include/uapi/linux/capability.h and prctl.h.
_CAP_SYS_NICE: Final = 23
_VERSION_3: Final = 0x20080522
_PR_CAPBSET_DROP: Final = 24


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def give_up_priority() -> None:
    """Takes from this thread, and from all threads and processes that it starts from now on, the
    right to a higher priority. Who has no such right keeps having none.

    SVT-AV1 makes the thread that encodes, and its own, real-time ones of the highest priority if it
    may, as root may. The tests' process would stay so, with every server, viewer and database that
    it starts, and one that is busy would stop the machine.
    """
    libc = ctypes.CDLL(None)
    # Else a program that root starts would have the right again.
    libc.prctl(_PR_CAPBSET_DROP, _CAP_SYS_NICE, 0, 0, 0)
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    if libc.capget(ctypes.byref(header), data) == 0:
        for name in ("effective", "permitted", "inheritable"):
            setattr(data[0], name, getattr(data[0], name) & ~(1 << _CAP_SYS_NICE))
        libc.capset(ctypes.byref(header), data)
