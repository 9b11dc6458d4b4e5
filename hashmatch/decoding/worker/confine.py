"""What a worker gives up before it sees its first media.

From then on it can read what it was handed, compute, and answer: no files, no network, no other
processes, no executable memory. Files are refused, as libraries look for some that they can do
without (FFmpeg for tables of character sets); whatever else it asks of the kernel ends it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import sys
import warnings
from pathlib import Path
from typing import Any, Final

__all__ = ["CannotConfine", "confine"]

# Open at once: the channel, the two parts of a spool, standard streams, and what a library holds.
_MAX_DESCRIPTORS: Final = 32

# What Python, numpy, numba, FFmpeg and Pillow ask for while they decode and hash.
_ALLOWED: Final = (
    # The channel and the spool.
    "read", "readv", "pread64", "write", "writev", "sendto", "sendmsg", "recvfrom", "recvmsg",
    "select", "pselect6", "poll", "ppoll", "close", "fstat", "lseek",
    # Memory; see below for what makes it executable.
    "munmap", "mremap", "madvise", "brk",
    # Threads of this process; see below for how they begin.
    "futex", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "membarrier", "getcpu",
    "gettid", "getpid", "exit", "exit_group", "restart_syscall",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
    # Time and chance.
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    "getrandom", "getrusage", "times", "sysinfo", "uname",
)  # fmt: skip

_FILES: Final = (
    "open", "openat", "openat2", "stat", "lstat", "statx", "statfs", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getcwd",
)  # fmt: skip

# What has an answer that libraries are ready for. ENOSYS: the older call is used instead.
_REFUSED: Final = {
    **dict.fromkeys(_FILES, errno.EACCES),
    "clone3": errno.ENOSYS,
    "ioctl": errno.ENOTTY,
}

# Source: Linux, include/uapi/linux/sched.h, linux/prctl.h, asm-generic/mman-common.h.
_CLONE_THREAD: Final = 0x00010000
_PR_SET_NAME: Final = 15
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_DUMPABLE: Final = 4
_PROT_EXEC: Final = 4
# Source: Linux, include/uapi/linux/fcntl.h: what asks of a descriptor that is open; F_SETFL is the
# highest of those that duplicate it or read and set its flags.
_AT_EMPTY_PATH: Final = 0x1000
_F_SETFL: Final = 4


class CannotConfine(Exception):
    """The platform lacks what it takes."""


def confine(memory_bytes: int) -> None:
    """For good. ``memory_bytes`` is what decoding may take beyond what the process has by now.

    Raises `CannotConfine`; then the process has given up less than it should, and must end.
    """
    _silence()
    os.environ.clear()
    os.chdir("/")
    try:
        _set_limits(memory_bytes)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        # No other process of the same user can look into it.
        _prctl(_PR_SET_DUMPABLE, 0)
        _filter_system_calls()
    except (OSError, ValueError) as error:
        raise CannotConfine(f"the kernel refuses ({error})") from error


def _silence() -> None:
    """Nobody reads what a decoder would print, and the server's log is not a decoder's to write."""
    # To show a warning or an error, Python would read source files.
    warnings.simplefilter("ignore")
    sys.unraisablehook = sys.excepthook = _ignore
    for stream in (sys.stdout, sys.stderr):
        # Whether the server's own streams can be written is no worker's business.
        with contextlib.suppress(OSError):
            stream.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    if nowhere > 2:
        os.close(nowhere)


def _ignore(*_: object) -> None:
    """Nobody would read it."""


def _set_limits(memory_bytes: int) -> None:
    # The processor's time is limited by the parent, for each media.
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _MAX_DESCRIPTORS),
        (resource.RLIMIT_DATA, _private_bytes() + memory_bytes),
    ):
        hard = resource.getrlimit(kind)[1]
        at_most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (at_most, at_most))


def _private_bytes() -> int:
    """Memory of its own that the process may write to by now, touched or not."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no VmData in /proc/self/status")


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _filter_system_calls() -> None:
    try:
        import pyseccomp as seccomp
    except (ImportError, RuntimeError, OSError) as error:  # Raised where libseccomp is not found.
        raise CannotConfine(f"libseccomp cannot be used ({error})") from error
    rules = seccomp.SyscallFilter(seccomp.KILL_PROCESS)
    rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)  # And by other tables of calls.
    rules.set_attr(seccomp.Attr.CTL_TSYNC, 1)  # All threads.

    def allow(name: str, *arguments: Any) -> None:
        rules.add_rule(seccomp.ALLOW, name, *arguments)

    masked, equal = seccomp.MASKED_EQ, seccomp.EQ
    for name in _ALLOWED:
        allow(name)
    for name, number in _REFUSED.items():
        rules.add_rule(seccomp.ERRNO(number), name)
    for name in ("mmap", "mprotect"):
        allow(name, seccomp.Arg(2, masked, _PROT_EXEC, 0))
    allow("clone", seccomp.Arg(0, masked, _CLONE_THREAD, _CLONE_THREAD))
    allow("prctl", seccomp.Arg(0, equal, _PR_SET_NAME))
    # A failed assertion in a library ends the process by a signal to itself.
    allow("tgkill", seccomp.Arg(0, equal, os.getpid()))
    # To ask for a limit, not to change one.
    allow("prlimit64", seccomp.Arg(2, equal, 0))
    of_open_file = seccomp.Arg(3, masked, _AT_EMPTY_PATH, _AT_EMPTY_PATH)
    of_name = seccomp.Arg(3, masked, _AT_EMPTY_PATH, 0)
    allow("newfstatat", of_open_file)
    rules.add_rule(seccomp.ERRNO(errno.EACCES), "newfstatat", of_name)
    allow("fcntl", seccomp.Arg(1, seccomp.LE, _F_SETFL))
    rules.load()
