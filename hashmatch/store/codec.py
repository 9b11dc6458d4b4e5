"""Records to the JSON and integers that columns hold, and back."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pydantic

from hashmatch.model.records import (
    Bank,
    BankPolicy,
    Coverage,
    Entry,
    Evidence,
    KindCount,
    MediaInfo,
    Provenance,
    Reason,
)
from hashmatch.model.verdicts import Kind

__all__ = [
    "bank_json",
    "coverage_json",
    "entry_json",
    "evidence_json",
    "from_ms",
    "kinds_json",
    "media_json",
    "now_ms",
    "parse_bank",
    "parse_coverage",
    "parse_entry",
    "parse_evidence",
    "parse_kinds",
    "parse_media",
    "parse_policy",
    "parse_reasons",
    "parse_seed",
    "parse_thresholds",
    "parse_versions",
    "policy_json",
    "provenance_json",
    "parse_provenance",
    "reasons_json",
    "seed_bytes",
    "to_ms",
]

_SEED_BYTES: Final = 16

_BANK: pydantic.TypeAdapter[Bank] = pydantic.TypeAdapter(Bank)
_POLICY: pydantic.TypeAdapter[BankPolicy] = pydantic.TypeAdapter(BankPolicy)
_ENTRY: pydantic.TypeAdapter[Entry] = pydantic.TypeAdapter(Entry)
_EVIDENCE: pydantic.TypeAdapter[tuple[Evidence, ...]] = pydantic.TypeAdapter(tuple[Evidence, ...])
_PROVENANCE: pydantic.TypeAdapter[Provenance] = pydantic.TypeAdapter(Provenance)
_REASONS: pydantic.TypeAdapter[tuple[Reason, ...]] = pydantic.TypeAdapter(tuple[Reason, ...])
_MEDIA: pydantic.TypeAdapter[MediaInfo] = pydantic.TypeAdapter(MediaInfo)
_COVERAGE: pydantic.TypeAdapter[Coverage] = pydantic.TypeAdapter(Coverage)


def now_ms() -> int:
    """The present instant, milliseconds of Unix time."""
    return round(datetime.datetime.now(datetime.UTC).timestamp() * 1000)


def to_ms(instant: datetime.datetime) -> int:
    """An instant of a record as columns have it."""
    return round(instant.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime.datetime:
    """An instant as the records have it, in UTC."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def provenance_json(provenance: Provenance) -> Any:
    """As JSON."""
    return _PROVENANCE.dump_python(provenance, mode="json")


def parse_provenance(value: Any) -> Provenance:
    """From `provenance_json`."""
    return _PROVENANCE.validate_python(value)


def bank_json(bank: Bank) -> Any:
    """As JSON."""
    return _BANK.dump_python(bank, mode="json")


def parse_bank(value: Any) -> Bank:
    """From `bank_json`; also from one that was made before banks had a policy."""
    return _BANK.validate_python({"policy": {"block_score": 0}, **value})


def policy_json(policy: BankPolicy) -> Any:
    """As JSON."""
    return _POLICY.dump_python(policy, mode="json")


def parse_policy(value: Any) -> BankPolicy:
    """From `policy_json`."""
    return _POLICY.validate_python(value)


def entry_json(entry: Entry) -> Any:
    """As JSON."""
    return _ENTRY.dump_python(entry, mode="json")


def parse_entry(value: Any) -> Entry:
    """From `entry_json`."""
    return _ENTRY.validate_python(value)


def evidence_json(evidence: tuple[Evidence, ...]) -> Any:
    """As JSON."""
    return _EVIDENCE.dump_python(evidence, mode="json")


def parse_evidence(value: Any) -> tuple[Evidence, ...]:
    """From `evidence_json`."""
    return _EVIDENCE.validate_python(value)


def reasons_json(reasons: tuple[Reason, ...]) -> Any:
    """As JSON."""
    return _REASONS.dump_python(reasons, mode="json")


def parse_reasons(value: Any) -> tuple[Reason, ...]:
    """From `reasons_json`."""
    return _REASONS.validate_python(value)


def media_json(media: MediaInfo) -> Any:
    """As JSON, without the SHA-256, which has a column of its own."""
    return _MEDIA.dump_python(media, mode="json", exclude={"sha256"})


def parse_media(value: Any, sha256: bytes) -> MediaInfo:
    """From `media_json`."""
    return _MEDIA.validate_python({**value, "sha256": sha256})


def coverage_json(coverage: Coverage) -> Any:
    """As JSON."""
    return _COVERAGE.dump_python(coverage, mode="json")


def parse_coverage(value: Any) -> Coverage:
    """From `coverage_json`."""
    return _COVERAGE.validate_python(value)


def seed_bytes(seed: int | None) -> bytes | None:
    """A `decoding.channel.Job.seed` as a column has it, highest byte first."""
    return None if seed is None else seed.to_bytes(_SEED_BYTES)


def parse_seed(value: bytes | None) -> int | None:
    """From `seed_bytes`."""
    return None if value is None else int.from_bytes(value)


def kinds_json(kinds: Iterable[KindCount]) -> Any:
    """As JSON."""
    return [[int(each.kind), each.count, each.usable] for each in kinds]


def parse_kinds(value: Any) -> tuple[KindCount, ...]:
    """From `kinds_json`."""
    return tuple(KindCount(Kind(kind), count, usable) for kind, count, usable in value)


def parse_thresholds(value: Mapping[str, int]) -> dict[Kind, int]:
    """From the JSON object {kind: threshold}, whose keys JSON makes texts."""
    return {Kind(int(kind)): threshold for kind, threshold in value.items()}


def parse_versions(value: Mapping[str, str]) -> dict[Kind, str]:
    """From the JSON object {kind: version}."""
    return {Kind(int(kind)): version for kind, version in value.items()}
