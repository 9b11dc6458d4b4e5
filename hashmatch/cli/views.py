"""How each record is shown: as JSON, as a row of a table, and by names and values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from hashmatch.cli.output import Part, View, message_json
from hashmatch.model.callers import Caller, KnownCaller, Role
from hashmatch.model.cases import Case, CaseType
from hashmatch.model.imports import Import
from hashmatch.model.records import (
    NOT_KNOWN_MS,
    AuditRow,
    Bank,
    Coverage,
    Entry,
    Evidence,
    Screening,
    Segment,
)
from hashmatch.model.verdicts import Activation, BankMode, Effect, Kind, Turn, Verdict
from hashmatch.wire import records as wire

__all__ = [
    "AUDIT_ROW", "BANK", "CALLER", "CASE", "ENTRY", "IMPORT", "SCREENING", "SELF", "described",
    "kinds", "promised", "screening_lines", "verdict",
]  # fmt: skip

T = TypeVar("T")

_VERDICT_STYLES: Final = {
    Verdict.NO_MATCH: "green",
    Verdict.REVIEW: "yellow",
    Verdict.INCONCLUSIVE: "magenta",
    Verdict.BLOCK: "bold red",
}

_ABOUT: Final = {
    CaseType.REVIEW: "held for review",
    CaseType.REOPENED: "A matching entry was withdrawn",
    CaseType.FLOOD: "blocks far more than others",
}


def _wire(to_wire: Callable[[T], Any]) -> Callable[[T], dict[str, Any]]:
    return lambda record: message_json(to_wire(record))


def _utc(instant: datetime | None, otherwise: str = "") -> str:
    """An instant to the second, or ``otherwise`` if there is none."""
    return otherwise if instant is None else f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def verdict(value: Verdict, name: str = "") -> Part:
    """A verdict in its colour, by its name unless another is given."""
    return name or value.name, _VERDICT_STYLES[value]


def _name(value: Any) -> str:
    return str(value.name.lower().replace("_", "-"))


# Banks


def _bank_state(bank: Bank) -> str:
    persons = "" if bank.activation is Activation.ONE_PERSON else ", two-person"
    if bank.policy.mode is BankMode.SHADOW:
        return f"{_name(bank.state)}{persons}, shadow"
    part = bank.policy.traffic_percent
    return f"{_name(bank.state)}{persons}" + ("" if part == 100 else f", {part} %")


def kinds(thresholds: Mapping[Kind, int]) -> str:
    """Kinds of hashes with the most bits that may differ, as options name them."""
    return " ".join(
        kind.name.lower() + ("" if kind.exact else f":{bits}") for kind, bits in thresholds.items()
    )


def _bank_details(bank: Bank) -> Mapping[str, str]:
    policy = bank.policy
    return {
        "bank": bank.name,
        "id": bank.bank_id,
        "label": bank.label,
        "action": _name(bank.action),
        "kinds": kinds(bank.thresholds),
        "entries": f"{bank.active_entries} active",
        "state": _name(bank.state),
        "activation": _name(bank.activation),
        "mode": _name(policy.mode),
        "traffic": f"{policy.traffic_percent} %",
        "block score": f"{policy.block_score}",
        "review score": f"{policy.review_score}",
        "flood limit": f"{policy.flood_limit}" if policy.flood_limit else "none",
        "created": _utc(bank.create_time),
        "updated": _utc(bank.update_time),
        "etag": bank.etag,
    }


# Without its id: a bank's name will do wherever its id does, and leaves room for the rest.
BANK: Final = View[Bank](
    "bank",
    _wire(wire.bank_to_wire),
    {
        "NAME": lambda bank: bank.name,
        "ACTION": lambda bank: _name(bank.action),
        "KINDS": lambda bank: kinds(bank.thresholds),
        "ENTRIES": lambda bank: f"{bank.active_entries}",
        "STATE": _bank_state,
        "LABEL": lambda bank: bank.label,
    },
    ("ACTION",),
    _bank_details,
)

# Entries


def _entry_hashes(entry: Entry) -> str:
    return " ".join(f"{each.kind.name.lower()}:{each.usable}" for each in entry.kinds)


def _entry_details(entry: Entry) -> Mapping[str, str]:
    why = entry.provenance
    return {
        "entry": entry.ref.entry_id,
        "reference": entry.ref.reference,
        "label": entry.ref.label,
        "bank": entry.ref.bank_name,
        "state": _name(entry.state),
        "hashes": _entry_hashes(entry),
        "created": f"{_utc(entry.create_time)} by {entry.proposed_by or 'an unknown caller'}",
        "approved by": entry.approved_by,
        "quarantined": f"since {_utc(entry.quarantine_time)}" if entry.quarantine_time else "",
        "expires": _utc(entry.expire_time, "never"),
        "source": why.source,
        "legal basis": why.legal_basis,
        "category": _name(why.category) if why.category else "",
        "severity": f"{why.severity} of 4" if why.severity else "",
        "note": " / ".join(why.note.splitlines()),
        "language": why.language,
        "confirmed": "by a person" if why.confirmed else "",
    }


def _entry_notes(entry: Entry) -> Iterator[tuple[Part, ...]]:
    for reason in entry.reasons:
        yield (
            ("partial: ", "bold yellow"),
            f"{entry.ref.reference}: only a part of it is listed, {reason.detail} "
            f"({reason.code.name})",
        )


ENTRY: Final = View[Entry](
    "entry",
    _wire(wire.entry_to_wire),
    {
        "ENTRY": lambda entry: entry.ref.entry_id,
        "REFERENCE": lambda entry: entry.ref.reference,
        "BANK": lambda entry: entry.ref.bank_name,
        "STATE": lambda entry: _name(entry.state),
        "HASHES": _entry_hashes,
    },
    ("ENTRY",),
    _entry_details,
    _entry_notes,
)

# Imports

IMPORT: Final = View[Import](
    "import",
    _wire(wire.import_to_wire),
    {
        "IMPORT": lambda made: made.import_id or "dry run",
        "BANK": lambda made: made.bank_name,
        "STATE": lambda made: _name(made.state) if made.import_id else "",
        "ADDED": lambda made: f"{made.created}",
        "DUPLICATE": lambda made: f"{made.known}",
        "WITHDRAWN": lambda made: f"{made.withdrawn_before}",
        "INVALID": lambda made: f"{made.broken}",
    },
    ("IMPORT", "STATE"),
)

# Cases


def _decision(case: Case) -> str:
    return "open" if case.decision is None else _name(case.decision)


CASE: Final = View[Case](
    "case",
    _wire(wire.case_to_wire),
    {
        "CASE": lambda case: case.case_id,
        "STATE": _decision,
        "ABOUT": lambda case: _ABOUT[case.type],
        "OPENED (UTC)": lambda case: f"{case.open_time:%m-%d %H:%M}",
    },
    ("CASE", "STATE", "OPENED (UTC)"),
    lambda case: {
        "case": case.case_id,
        "about": case.screening_id or case.entry_id,
        "why": _ABOUT[case.type],
        "state": _decision(case),
        "opened": _utc(case.open_time),
        "decided": _utc(case.decide_time),
        "by": case.decided_by,
        "reason": case.why,
        "etag": case.etag,
    },
)

# Callers and what they did


def _roles(held: Iterable[Role]) -> str:
    """Roles by name."""
    return " ".join(_name(role) for role in sorted(held))


def _caller_roles(caller: KnownCaller) -> str:
    return _roles(caller.roles) + ("" if caller.banks is None else f" ({len(caller.banks)} banks)")


CALLER: Final = View[KnownCaller](
    "caller",
    _wire(wire.known_caller_to_wire),
    {
        "NAME": lambda caller: caller.name,
        "ROLES": _caller_roles,
        "BY": lambda caller: caller.certificate or "token",
        "STATE": lambda caller: _name(caller.state),
        "EXPIRES": lambda caller: (
            "never" if caller.expire_time is None else f"{caller.expire_time:%Y-%m-%d}"
        ),
    },
    ("STATE", "EXPIRES"),
)

SELF: Final = View[Caller](
    "caller",
    _wire(wire.self_to_wire),
    {},
    details=lambda caller: {
        "name": caller.name or "none, as authentication is off",
        "id": caller.caller_id,
        "roles": _roles(caller.roles),
    },
)


def _audit_json(row: AuditRow) -> dict[str, Any]:
    """With the details as the values that they are; as a text where they are no JSON."""
    shown = message_json(wire.audit_row_to_wire(row))
    try:
        return {**shown, "details": json.loads(row.details or "{}")}
    except ValueError:
        return shown


AUDIT_ROW: Final = View[AuditRow](
    "row",
    _audit_json,
    {
        "WHEN (UTC)": lambda row: f"{row.time:%m-%d %H:%M:%S}",
        "WHO": lambda row: row.actor_name,
        "WHAT": lambda row: row.action.replace("_", " "),
        "OF": lambda row: row.subject,
    },
    ("WHEN (UTC)",),
)

# Screenings


def screening_lines(name: str, screening: Screening) -> Iterator[tuple[Part, ...]]:
    """The lines that show what a screening of ``name`` came to: the verdict, why, and which seconds
    show which.
    """
    took = "" if screening.evidence_withheld else f"  {screening.elapsed_ms / 1000:.2f} s"
    yield (
        (f"{name}  ", "bold"),
        verdict(screening.verdict),
        (f"{took}  {screening.screening_id}", "dim"),
    )
    for reason in screening.reasons:
        yield (f"  {reason.code.name}: {reason.detail}",)
    for evidence in (*screening.evidence, *screening.unacted):
        if evidence.effect is Effect.ACTS:
            yield (f"  - {described(evidence)}",)
        else:
            effect = evidence.effect.name.lower()
            yield ((f"  - without effect ({effect}): {described(evidence)}", "dim"),)


def _screening_details(screening: Screening) -> Mapping[str, str]:
    if screening.evidence_withheld:
        return {}
    coverage, media = screening.coverage, screening.media
    decision = "open" if screening.decision is None else _name(screening.decision)
    return {
        "case": f"{screening.case_id}, {decision}" if screening.case_id else "",
        "screened": _utc(screening.create_time),
        "judged": f"{_utc(screening.judge_time)}, judgement {screening.judgement}",
        "revision": f"{screening.blocklist_revision} of the blocklist",
        "media": f"{media.size_bytes} bytes, {media.width} x {media.height} pixels",
        "coverage": "complete" if coverage.complete else "not complete",
        "frames": f"{coverage.frames_decoded} decoded, {coverage.frames_hashed} hashed, "
        f"{coverage.frames_flat} too flat, {coverage.frames_failed} failed",
        "largest gap": f"{coverage.largest_gap_ms / 1000:.2f} s",
        **promised(coverage),
        "looked": screening.look_version or "not known by what",
    }


SCREENING: Final = View[Screening](
    "screening",
    _wire(wire.screening_to_wire),
    {
        "SCREENING": lambda screening: screening.screening_id,
        "VERDICT": lambda screening: screening.verdict.name,
        "WHY": lambda screening: screening.reasons[0].code.name,
        "WHEN (UTC)": lambda screening: f"{screening.create_time:%m-%d %H:%M:%S}",
    },
    ("SCREENING", "VERDICT", "WHEN (UTC)"),
    _screening_details,
)


def promised(coverage: Coverage) -> dict[str, str]:
    """What coverage promises, in words by a name for each."""
    unseen_ms, miss = coverage.longest_unseen_ms, coverage.miss_per_million
    if not coverage.complete or unseen_ms == NOT_KNOWN_MS:
        return {"promised": "nothing is known of what lies between the frames"}
    return {
        "seen": f"{coverage.seen_permille / 10:.1f} % of the running time",
        "unseen": f"at most {unseen_ms / 1000:.2f} s in one piece",
        "missed": f"a tenth of the running time: at most {miss} times in a million",
    }


def described(evidence: Evidence) -> str:
    """Evidence in words."""
    where = f"{evidence.entry.reference or evidence.entry.entry_id} ({evidence.entry.bank_name})"
    if evidence.kind.exact:
        return f"the very file of {where}, by {evidence.kind.name}"
    turned = (
        "" if evidence.turn is Turn.NONE else f", {evidence.turn.name.lower().replace('_', ' ')}"
    )
    stretches = "; ".join(_stretch(each) for each in evidence.segments)
    score = "" if evidence.score is None else f", score {evidence.score}"
    return (
        f"{stretches} of {where}, by {evidence.kind.name} at "
        f"{evidence.distance} of {evidence.threshold} bits{score}{turned}"
    )


def _stretch(segment: Segment) -> str:
    media = _range(segment.media_start_ms, segment.media_end_ms)
    return f"{media} shows {_range(segment.entry_start_ms, segment.entry_end_ms)}"


def _range(start_ms: int, end_ms: int) -> str:
    start = f"{start_ms / 1000:.1f}"
    return f"{start} s" if start_ms == end_ms else f"{start}-{end_ms / 1000:.1f} s"
