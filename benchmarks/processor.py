"""Which processor a run was made on: a figure holds for one model of processor alone."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Processor", "of_this_machine", "parsed"]

# Instructions that a hash, a search, a decoder or a yardstick of these benchmarks has code of its
# own for. A cloud's machine may hide some of them, so that two machines of one model differ.
_FEATURES: Final = (
    "avx2",
    "avx512f",
    "avx512bw",
    "avx512_vpopcntdq",
    "sha_ni",
    "asimd",
    "sve",
    "sve2",
    "sha2",
)

# What tells models of processors apart, by the names that Linux has for it on x86 and on ARM.
# "model name" does not: of a cloud's machines it may be "AMD EPYC" alone.
_IDENTITY: Final = (
    ("vendor_id", "CPU implementer"),
    ("cpu family", "CPU architecture"),
    ("model", "CPU part"),
    ("stepping", "CPU variant"),
)


@dataclass(frozen=True, slots=True)
class Processor:
    """A model of processor. ``key`` is the same on machines whose figures can be compared."""

    name: str
    vendor: str
    family: str
    model: str
    stepping: str
    features: tuple[str, ...]
    cores: int

    @property
    def key(self) -> str:
        """All that matters, in a form that is fit for a file's name."""
        parts = (self.vendor, self.family, self.model, self.stepping, *self.features)
        return re.sub(r"[^a-z0-9]+", "-", f"{'-'.join(parts)}-{self.cores} cores".lower())

    @property
    def described(self) -> str:
        """The same for people."""
        features = ", ".join(self.features) or "no special instructions"
        return (
            f"{self.name} ({self.vendor} family {self.family} model {self.model} stepping "
            f"{self.stepping}; {features})"
        )


def of_this_machine() -> Processor:
    """The processor that this process runs on."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    return parsed(text, os.cpu_count() or 1)


def parsed(cpuinfo: str, cores: int) -> Processor:
    """The processor that the text of ``/proc/cpuinfo`` describes; what it does not say is ``?``."""

    def value(*names: str) -> str:
        for name in names:
            if found := re.search(rf"^{name}\s*:\s*(.+)$", cpuinfo, re.MULTILINE):
                return found.group(1).strip()
        return "?"

    flags = set(value("flags", "Features").split())
    vendor, family, model, stepping = (value(*names) for names in _IDENTITY)
    name = value("model name")
    return Processor(
        name=platform.machine() if name == "?" else name,
        vendor=vendor,
        family=family,
        model=model,
        stepping=stepping,
        features=tuple(each for each in _FEATURES if each in flags),
        cores=cores,
    )
