"""Names that programs, scripts and service files of others rely on.

A line is added here when a name becomes public; a name that was released never changes or goes.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
import typer

from hashmatch import cli, client, errors
from hashmatch.client import AsyncClient
from hashmatch.config import Settings
from hashmatch.model import records, signals, verdicts

CLIENT = {
    "__init__": "server *timeout_seconds *credentials *token *max_beginning",
    "add_entry": "bank media *reference *label *provenance *expire_time *pending *request_id "
    "*timeout_seconds *progress",
    "add_entry_from_signals": "bank signals *reference *label *provenance *expire_time *pending "
    "*request_id",
    "import_entries": "bank source *format *kind *dry_run *pending *reference *label *provenance "
    "*request_id *timeout_seconds *progress",
    "export_entries": "bank *state *kinds *since *resume_token",
    "preview_entry": "entry_id *screenings *benign *timeout_seconds",
    "preview_import": "import_id *screenings *benign *timeout_seconds",
    "get_import": "import_id",
    "list_imports": "*since *cursor",
    "approve_import": "import_id *why *request_id",
    "withdraw_import": "import_id *why *request_id",
    "approve_entry": "entry_id *why *request_id",
    "archive_bank": "bank *etag *request_id",
    "close": "",
    "confirm": "screening_id *request_id *timeout_seconds",
    "create_caller": "name *roles *token *certificate *banks *expire_time *request_id",
    "decide_case": "case_id decision *why *etag *request_id",
    "get_case": "case_id",
    "list_cases": "*state *case_type *since *cursor",
    "release_entry": "entry_id *why *request_id",
    "get_self": "",
    "list_audit_rows": "*actor *subject *since *cursor",
    "list_callers": "*since *cursor",
    "revoke_caller": "caller *request_id",
    "create_bank": "name *action *label *thresholds *activation *policy *request_id",
    "get_bank": "bank",
    "get_entry": "entry_id",
    "get_screening": "screening_id",
    "is_ready": "",
    "list_banks": "*state *since *cursor",
    "list_entries": "*bank *state *since *cursor",
    "list_screenings": "*verdict *since *cursor",
    "screen": "media *request_id *timeout_seconds *progress",
    "screen_signals": "signals *duration_ms *request_id *timeout_seconds",
    "update_bank": "bank *name *label *action *thresholds *activation *policy *etag *request_id",
    "watch_changes": "after_revision *resume_token",
    "withdraw_entry": "entry_id *why *request_id",
}

ERRORS = {
    "AccessDenied": "",
    "CallerExists": "CALLER_EXISTS",
    "CallerNotFound": "CALLER_NOT_FOUND",
    "PermissionDenied": "PERMISSION_DENIED",
    "Unauthenticated": "UNAUTHENTICATED",
    "BankArchived": "BANK_ARCHIVED",
    "BankExists": "BANK_EXISTS",
    "BankNotFound": "BANK_NOT_FOUND",
    "ChangesCompacted": "CHANGES_COMPACTED",
    "ConfigInvalid": "CONFIG_INVALID",
    "Conflict": "",
    "DeadlineExceeded": "DEADLINE",
    "EntryNotFound": "ENTRY_NOT_FOUND",
    "ImportNotFound": "IMPORT_NOT_FOUND",
    "ListReversed": "LIST_REVERSED",
    "CaseDecided": "CASE_DECIDED",
    "CaseNotFound": "CASE_NOT_FOUND",
    "EntryNotPending": "ENTRY_NOT_PENDING",
    "EntryNotQuarantined": "ENTRY_NOT_QUARANTINED",
    "SecondPersonNeeded": "SECOND_PERSON_NEEDED",
    "EtagMismatch": "ETAG_MISMATCH",
    "HashmatchError": "",
    "Internal": "INTERNAL",
    "InvalidField": "INVALID_FIELD",
    "MediaError": "",
    "SnapshotUnusable": "",
    "MediaUnusable": "MEDIA_UNUSABLE",
    "NotFound": "",
    "NotInstalled": "NOT_INSTALLED",
    "NotReady": "NOT_READY",
    "Overloaded": "OVERLOADED",
    "RequestError": "",
    "RequestIdReused": "REQUEST_ID_REUSED",
    "RevisionUnknown": "REVISION_UNKNOWN",
    "ScreeningNotFound": "SCREENING_NOT_FOUND",
    "SpoolFull": "SPOOL_FULL",
    "StoreUnavailable": "STORE_UNAVAILABLE",
    "StreamOrder": "STREAM_ORDER",
    "Unavailable": "",
    "Unreachable": "UNREACHABLE",
    "UploadMismatch": "UPLOAD_MISMATCH",
    "UploadTooSlow": "UPLOAD_TOO_SLOW",
}

RECORDS = {
    "AuditFinding": "row problem",
    "AuditReport": "rows head findings",
    "AuditRow": "row time actor actor_name action subject revision details",
    "Bank": "bank_id name label action thresholds state revision create_time update_time "
    "active_entries activation policy",
    "BankPolicy": "mode traffic_percent block_score review_score flood_limit",
    "BlocklistChange": "revision type time bank entry resume_token",
    "Checkpoint": "revision time resume_token",
    "Coverage": "complete duration_content_ms frames_decoded frames_hashed frames_flat "
    "frames_failed largest_gap_ms streams by_caller longest_unseen_ms seen_permille "
    "miss_per_million",
    "DecodeLimits": "max_duration_ms max_frame_pixels max_frames max_streams",
    "Entry": "ref state kinds duration_ms revision create_time update_time coverage reasons "
    "provenance proposed_by approved_by expire_time quarantine_time",
    "EntryRef": "entry_id reference label bank_id bank_name",
    "Evidence": "entry action kind part turn distance threshold frames segments score effect "
    "quarantined",
    "KindCount": "kind count usable",
    "MediaInfo": "size_bytes sha256 format width height duration_header_ms",
    "Provenance": "source legal_basis category severity note language confirmed",
    "Page": "items next_token revision",
    "Reason": "code detail",
    "Screening": "screening_id verdict reasons evidence media coverage blocklist_revision "
    "hash_versions create_time judge_time judgement elapsed_ms evidence_withheld unacted "
    "case_id decision look_version",
    "Segment": "media_start_ms media_end_ms entry_start_ms entry_end_ms frames",
}

ENUMERATIONS = {
    "Action": "REVIEW BLOCK OVERRULE",
    "Activation": "ONE_PERSON TWO_PERSON",
    "Category": "CSAM_A1 CSAM_A2 CSAM_B1 CSAM_B2 CSAM INTIMATE_IMAGE TERRORIST_CONTENT "
    "TERRORIST_CREDIBLE_THREAT TERRORIST_VIOLENCE TERRORIST_GLORIFICATION TERRORIST_RECRUITMENT "
    "PERPETRATOR_CONTENT OTHER",
    "BankMode": "LIVE SHADOW",
    "BankState": "ACTIVE ARCHIVED",
    "Effect": "ACTS SHADOW OVERRULED WEAK",
    "ChangeType": "BANK_CREATED BANK_UPDATED BANK_ARCHIVED ENTRY_CREATED ENTRY_WITHDRAWN "
    "ENTRY_PROPOSED ENTRY_APPROVED ENTRY_DECLINED ENTRY_EXPIRED ENTRY_QUARANTINED ENTRY_RELEASED",
    "EntryState": "PENDING ACTIVE WITHDRAWN EXPIRED",
    "Kind": "PDQ PHASH SHA256 SHA1 MD5 PDQ_PATCH",
    "Part": "FULL FULL_ON_WHITE CONTENT INSET",
    "Turn": "NONE ROTATE_90 ROTATE_180 ROTATE_270 FLIP_VERTICAL FLIP_HORIZONTAL TRANSPOSE "
    "ANTI_TRANSPOSE",
    "Verdict": "NO_MATCH REVIEW BLOCK INCONCLUSIVE",
    "VerdictReason": "EXACT_MATCH PERCEPTUAL_MATCH NOTHING_FOUND MATCH EMPTY UNSUPPORTED TRUNCATED "
    "CORRUPT SIZE_LIMIT DURATION_LIMIT FRAME_SIZE_LIMIT NO_FRAMES ALL_FRAMES_FLAT DECODE_TIMEOUT "
    "WORKER_DIED BLOCKLIST_EMPTY BLOCKLIST_STALE KIND_MISSING HASH_VERSION_CHANGED DECIDED_EARLY "
    "COVERAGE_GAP UNSEEN_MEDIA SIGNALS_LIMIT FRAMES_LIMIT STREAMS_LIMIT CPU_LIMIT MEMORY_LIMIT "
    "SANDBOX_VIOLATION LOOK_VERSION_CHANGED WORKER_FAULT NO_PICTURE",
}

SETTINGS = {
    "data": "hashmatch-data",
    "database": "",
    "listen": "127.0.0.1:50051",
    "metrics": "",
    "tls_certificate": None,
    "tls_key": None,
    "tls_client_ca": None,
    "allow_plaintext": False,
    "unsafe_no_auth": False,
    "oidc_issuer": "",
    "oidc_audience": "",
    "oidc_keys": "",
    "oidc_roles_claim": "hashmatch_roles",
    "oidc_banks_claim": "hashmatch_banks",
    "workers": None,  # Cores of the machine.
    "max_upload_bytes": 2 * 1024**3,
    "max_duration_seconds": 4 * 3600,
    "found_seconds": 12.0,
    "max_frame_pixels": 8192**2,
    "max_frames": 2_000_000,
    "max_streams": 64,
    "decode_seconds": 300.0,
    "decode_cpu_seconds": 600.0,
    "decode_memory_bytes": 2 * 1024**3,
    "unsafe_no_sandbox": False,
    "max_uploads": 1000,
    "max_waiting": 0,
    "upload_idle_seconds": 30.0,
    "upload_seconds": 3600.0,
    "spool_memory_bytes": 256 * 1024**2,
    "spool_disk_bytes": 8 * 1024**3,
    "max_staleness_seconds": 10.0,
    "keep_changes_days": 0,
    "shutdown_seconds": 30.0,
    "log_level": "INFO",
}

# Every command takes these too.
OF_ALL = "--quiet -q"

COMMANDS = {
    "": "--install-completion --json --server --show-completion --version",
    "serve": "--allow-plaintext --data --database --json --listen --unsafe-no-auth "
    "--unsafe-no-sandbox --workers",
    "screen": "--exit-code --jobs --json --no-exit-code --server --timeout FILES",
    "audit": "",
    "audit log": "--actor --after --json --limit --server --since --subject",
    "caller": "",
    "caller create": "--bank --certificate --expires --json --role --server NAME",
    "caller list": "--after --json --limit --server --since",
    "caller revoke": "--json --server NAME_OR_ID",
    "caller self": "--json --server",
    "caller recover": "--data --database --json NAME",
    "audit verify": "--data --database --json --noted",
    "case": "",
    "case list": "--after --json --limit --server --since --state --type",
    "case show": "--json --server ID",
    "case decide": "--etag --json --overturn --server --uphold --why ID",
    "entry release": "--json --server --why ID",
    "changes": "--after --follow --json --limit --resume --server --since -f",
    "doctor": "--json --server",
    "hash": "--entry --json --phash --seed --turns FILE...",
    "storyboard": "--entry --json --output --seed -o FILE",
    "calibrate": "--hashes --json --plot --wrong DIR",
    "screening": "",
    "screening show": "--json --server ID",
    "screening confirm": "--json --server ID",
    "screening repeat": "--data --database --json FILE ID",
    "screening list": "--after --json --limit --server --since --verdict",
    "bank": "",
    "bank create": "--action --activation --block-score --flood-limit --json --kind --label --live "
    "--review-score --server --shadow --traffic NAME",
    "bank list": "--after --json --limit --server --since",
    "bank show": "--json --server BANK",
    "bank update": "--action --activation --block-score --flood-limit --json --kind --label "
    "--live --name --review-score --server --shadow --traffic BANK",
    "bank archive": "--json --server BANK",
    "entry": "",
    "entry add": "--bank --category --confirmed --expires --json --label --language "
    "--legal-basis --note --pending --reference --server --severity --source --timeout FILES",
    "entry preview": "--benign --json --no-benign --screenings --server --timeout ID",
    "entry show": "--json --server ID",
    "entry approve": "--json --server --why ID",
    "entry export": "--format --json --kind --output --server --since --state -o BANK",
    "entry list": "--after --bank --json --limit --server --since --state",
    "import": "",
    "import add": "--all-problems --bank --category --confirmed --dry-run --format --json --kind "
    "--label --language --legal-basis --note --pending --reference --request-id --server "
    "--severity --source --timeout FILE",
    "import preview": "--benign --json --no-benign --screenings --server --timeout ID",
    "import list": "--after --json --limit --server --since",
    "import show": "--json --server ID",
    "import approve": "--json --server --why ID",
    "import withdraw": "--json --server --why ID",
    "entry withdraw": "--json --server --why ID",
}


def test_the_client() -> None:
    """A pipeline would not start after an update."""
    assert client.__all__ == ["AsyncClient", "Client", "Cursor"]
    found = {}
    for name, method in inspect.getmembers(AsyncClient):
        if name == "__init__" or not name.startswith("_"):
            parameters = list(inspect.signature(method).parameters.values())[1:]
            found[name] = " ".join(
                "*" * (each.kind is each.KEYWORD_ONLY) + each.name for each in parameters
            )
    assert found == CLIENT


def test_the_errors() -> None:
    """A pipeline would not catch what it means to catch."""
    found = {}
    for name in errors.__all__:
        each: Any = getattr(errors, name)
        if isinstance(each, type):
            raised = not each.__subclasses__() and each not in errors.NEVER_SENT
            found[name] = getattr(each, "reason", None) if raised else ""
    assert found == ERRORS
    assert set(errors.__all__) - set(ERRORS) == {"by_reason", "NEVER_SENT"}


def test_the_tree_of_errors() -> None:
    """A pipeline that tries again on Unavailable would give up, or never give up."""
    tree: dict[type[errors.HashmatchError], set[str]] = {
        errors.RequestError: {"InvalidField", "StreamOrder", "RequestIdReused", "UploadMismatch"},
        errors.NotFound: {
            "BankNotFound",
            "CallerNotFound",
            "CaseNotFound",
            "EntryNotFound",
            "ImportNotFound",
            "ScreeningNotFound",
        },
        errors.AccessDenied: {"PermissionDenied", "Unauthenticated"},
        errors.Conflict: {
            "BankExists",
            "CallerExists",
            "EtagMismatch",
            "BankArchived",
            "CaseDecided",
            "EntryNotPending",
            "EntryNotQuarantined",
            "ListReversed",
            "SecondPersonNeeded",
            "MediaUnusable",
            "ChangesCompacted",
            "RevisionUnknown",
            "NotInstalled",
            "ConfigInvalid",
        },
        errors.Unavailable: {
            "NotReady",
            "SpoolFull",
            "Overloaded",
            "UploadTooSlow",
            "StoreUnavailable",
            "Unreachable",
            "DeadlineExceeded",
        },
    }
    for base, below in tree.items():
        assert {cls.__name__ for cls in base.__subclasses__()} == below


def test_the_records() -> None:
    """A pipeline would look for a field that is called otherwise."""
    found = {
        name: " ".join(field.name for field in dataclasses.fields(each))
        for name in records.__all__
        if dataclasses.is_dataclass(each := getattr(records, name))
    }
    assert found == RECORDS
    assert set(records.__all__) - set(RECORDS) == {
        "ALL_MISSED",
        "DEFAULT_THRESHOLDS",
        "NOT_KNOWN_MS",
    }
    assert signals.__all__ == [
        "MAX_SIGNALS",
        "EntrySignals",
        "Signals",
        "has_turn",
        "part_of",
        "turn_of",
        "view_code",
    ]


def test_the_enumerations() -> None:
    """Likewise, for a verdict or a reason."""
    found = {
        name: " ".join(member.name for member in getattr(verdicts, name))
        for name in verdicts.__all__
    }
    assert found == ENUMERATIONS


@pytest.mark.parametrize("name", SETTINGS)
def test_the_settings(name: str) -> None:
    """A limit that an operator set would silently be the default again."""
    default = Settings.model_fields[name].default
    expected = SETTINGS[name]
    if name == "workers":
        assert isinstance(default, int)
    else:
        assert str(default) == str(expected)


def test_there_are_no_other_settings() -> None:
    """A setting could be released without anybody having decided on its name."""
    assert set(Settings.model_fields) == set(SETTINGS)
    assert Settings.model_config["env_prefix"] == "HASHMATCH_"


def test_the_commands() -> None:
    """A script would end with 'No such option' after an update."""
    found: dict[str, str] = {}

    def walk(command: Any, path: list[str]) -> None:
        names: list[str] = []
        for each in command.params:
            if each.param_type_name == "option":
                names += each.opts + each.secondary_opts
            else:
                names.append((each.metavar or each.name).upper())
        found[" ".join(path)] = " ".join(names)
        for name, below in getattr(command, "commands", {}).items():
            walk(below, [*path, name])

    walk(typer.main.get_command(cli.app), [])
    groups = {path for path, names in COMMANDS.items() if not names}
    assert {path: _sorted(names) for path, names in found.items()} == {
        path: _sorted(names if path in groups else f"{names} {OF_ALL}")
        for path, names in COMMANDS.items()
    }


def _sorted(names: str) -> list[str]:
    return sorted(names.split())
