"""Who may do what, asked of real servers over gRPC, with real credentials."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hmac
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from hashmatch.access.authorizer import MAY
from hashmatch.client import Client
from hashmatch.errors import (
    CallerExists,
    HashmatchError,
    PermissionDenied,
    RequestIdReused,
    ScreeningNotFound,
    Unauthenticated,
    Unavailable,
)
from hashmatch.model.callers import CallerState, Role, new_token
from hashmatch.model.verdicts import Action, Kind, Verdict, VerdictReason
from hashmatch.v1 import (
    access_service_pb2,
    blocklist_service_pb2,
    review_service_pb2,
    screening_service_pb2,
)
from hashmatch.wire.status import DETAILS_KEY
from tests.commands import run
from tests.conftest import ROOT, RunningServer, serving
from tests.staff import AUDIENCE, ISSUER, Staff
from tests.support import image

SAID = "Denied: invalid credentials or insufficient role"

METHODS = [
    (f"{service.name}/{method.name}", method)
    for file in (
        access_service_pb2,
        blocklist_service_pb2,
        review_service_pb2,
        screening_service_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


def issued(staff: Staff, *, algorithm: str = "ES256", key: Any = None, **changed: Any) -> str:
    """A token of the issuer for an auditor, with other claims."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "auditor@issuer.test",
        "exp": int(time.time()) + 600,
        "hashmatch_roles": ["auditor"],
        **changed,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    header = {"alg": algorithm, "kid": "its-key"}
    return jwt.encode(header, claims, key or staff.key, algorithms=[algorithm])


def answered(
    server: RunningServer, method: str, described: Any, metadata: list[tuple[str, str]]
) -> tuple[grpc.StatusCode, str]:
    """What a call with an empty request ends with."""
    opened: Any = grpc.insecure_channel(server.address)
    with opened as channel:
        path = f"/hashmatch.v1.{method}"
        nothing = iter([b""])
        try:
            if described.server_streaming:
                next(channel.unary_stream(path)(b"", metadata=metadata, timeout=20))
            elif described.client_streaming:
                channel.stream_unary(path)(nothing, metadata=metadata, timeout=20)
            else:
                channel.unary_unary(path)(b"", metadata=metadata, timeout=20)
        except grpc.RpcError as error:
            failed: Any = error
            return failed.code(), failed.details() or ""
    return grpc.StatusCode.OK, ""


def bearer(token: str) -> list[tuple[str, str]]:
    """As clients send it."""
    return [("authorization", f"Bearer {token}")]


def test_every_call_by_every_role_is_as_the_table_of_the_readme_says(staff: Staff) -> None:
    """A call that was forgotten would be open to all, or to nobody."""
    table = {
        found[1]: {role for role, may in zip(Role, found[2].split("|"), strict=True) if may.strip()}
        for found in re.finditer(
            r"^\| `(\w+/\w+)` \|(.*)\|$", (ROOT / "README.md").read_text(), re.MULTILINE
        )
    }
    assert table == {method: set(roles) for method, roles in MAY.items()}
    assert set(MAY) == {method for method, _ in METHODS}
    denied = (grpc.StatusCode.PERMISSION_DENIED, SAID)
    for method, described in METHODS:
        for role in Role:
            token = staff.tokens[role.name.lower()]
            got = answered(staff.server, method, described, bearer(token))
            assert (got == denied) == (role not in MAY[method]), (method, role.name, got)
            assert got[0] is not grpc.StatusCode.UNAUTHENTICATED


def test_whatever_is_wrong_with_credentials_is_denied_in_the_same_words(staff: Staff) -> None:
    """What is missing would help whoever tries; and somebody should see that he tried."""
    with staff.client(staff.tokens["admin"]) as admin:
        revoked = new_token()
        admin.create_caller("revoked", roles=[Role.AUDITOR], token=revoked)
        admin.revoke_caller("revoked")
        # As short as the machine lets it be heard of.
        for seconds in (1.2, 5.0, 30.0):
            soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
            name, brief = f"brief-{seconds:.0f}", new_token()
            admin.create_caller(name, roles=[Role.AUDITOR], token=brief, expire_time=soon)
            with contextlib.suppress(HashmatchError), staff.client(brief) as still:
                assert still.get_self().name == name
                break
        else:
            pytest.fail("a caller is denied before it expires")
        time.sleep(seconds + 0.1)
    other = ECKey.generate_key("P-256", {"kid": "its-key"})
    header = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"  # {"alg":"none","typ":"JWT"}
    claims = issued(staff).split(".")[1]
    unsigned = f"{header}.{claims}."
    # Whoever takes the public key for a secret finds this signature right.
    public = staff.key.as_pem(private=False)
    hashed = "eyJhbGciOiJIUzI1NiIsImtpZCI6Iml0cy1rZXkifQ"  # {"alg":"HS256","kid":"its-key"}
    mac = hmac.digest(public, f"{hashed}.{claims}".encode(), "sha256")
    by_public_key = f"{hashed}.{claims}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    attempts: dict[str, list[tuple[str, str]]] = {
        "nothing": [],
        "an empty header": [("authorization", "")],
        "no scheme": [("authorization", staff.tokens["auditor"])],
        "another scheme": [("authorization", f"Basic {staff.tokens['auditor']}")],
        "no token": bearer(""),
        "two": bearer(staff.tokens["auditor"]) + bearer("hm_x"),
        "unknown": bearer(new_token()),
        "cut": bearer(staff.tokens["auditor"][:-1]),
        "very long": bearer("x" * 4000),
        "revoked": bearer(revoked),
        "expired": bearer(brief),
        "expired of the issuer": bearer(issued(staff, exp=int(time.time()) - 60)),
        "without an end": bearer(issued(staff, exp=None)),
        "not valid yet": bearer(issued(staff, nbf=int(time.time()) + 600)),
        "of another issuer": bearer(issued(staff, iss="https://other.test")),
        "for another audience": bearer(issued(staff, aud="another")),
        "for nobody": bearer(issued(staff, sub=None)),
        "signed by another key": bearer(issued(staff, key=other)),
        "unsigned": bearer(unsigned),
        "by the public key as a secret": bearer(by_public_key),
        "of another algorithm": bearer(
            issued(staff, algorithm="RS256", key=RSAKey.generate_key(2048, {"kid": "its-key"}))
        ),
        "garbage": bearer("eyJ.eyJ.x"),
        "a list as a subject": bearer(issued(staff, sub=["a"])),
    }
    described = dict(METHODS)["AccessService/ListAuditRows"]
    time.sleep(1.1)  # What others were denied in this second is not written down one by one.
    for what, metadata in attempts.items():
        got = answered(staff.server, "AccessService/ListAuditRows", described, metadata)
        assert got == (grpc.StatusCode.UNAUTHENTICATED, SAID), what
        time.sleep(0.15)
    with staff.client(issued(staff)) as auditor:
        assert auditor.get_self().caller_id == "oidc:auditor@issuer.test"
        rows = list(auditor.list_audit_rows(subject="AccessService/ListAuditRows"))
    assert len([row for row in rows if row.action == "denied" and not row.actor]) >= len(attempts)
    assert all("hm_" not in row.details and "eyJ" not in row.details for row in rows)


def test_an_issuers_roles_and_banks_count(staff: Staff) -> None:
    """Staff leave: that is the issuer's to know."""
    with staff.client(issued(staff, hashmatch_roles="pipeline Auditor emperor")) as both:
        assert both.get_self().roles == {Role.PIPELINE, Role.AUDITOR}
    for roles in (None, [], ["emperor"], 7, {"admin": True}):
        token = issued(staff, hashmatch_roles=roles)
        with staff.client(token) as nobody, pytest.raises(PermissionDenied):
            nobody.get_self()
    # An empty list is no bank, not all of them.
    token = issued(staff, hashmatch_roles=["curator"], hashmatch_banks=[])
    with staff.client(token) as none, pytest.raises(PermissionDenied):
        list(none.list_entries())


def test_the_token_is_in_no_log(staff: Staff) -> None:
    """Whoever reads logs could act as anybody."""
    written = staff.server.log.read_text() + "".join(
        path.read_text("latin-1") for path in staff.server.data.glob("hashmatch.db*")
    )
    for token in (staff.server.first_token, *staff.tokens.values()):
        assert token not in written
        assert token.removeprefix("hm_") not in written


def test_a_curator_of_another_bank_is_denied(staff: Staff) -> None:
    """Lists of partners must not get into one another's hands."""
    ours, theirs = (f"bank-{uuid.uuid4().hex[:8]}" for _ in range(2))
    token, name = new_token(), f"theirs-{uuid.uuid4().hex[:8]}"
    with staff.client(staff.tokens["admin"]) as admin:
        for bank in (ours, theirs):
            admin.create_bank(bank, action=Action.BLOCK, thresholds={Kind.SHA256: 0})
        made = admin.create_caller(name, roles=[Role.CURATOR], token=token, banks=[theirs])
        assert made.banks == frozenset({admin.get_bank(theirs).bank_id})
    with staff.client(staff.tokens["curator"]) as curator:
        entry = curator.add_entry(ours, image(501))
    refused: list[Callable[[Client], object]] = [
        lambda them: them.add_entry(ours, image(502)),
        lambda them: them.withdraw_entry(entry.ref.entry_id),
        lambda them: them.get_entry(entry.ref.entry_id),
        lambda them: list(them.list_entries(bank=ours)),
        lambda them: list(them.list_entries()),
    ]
    time.sleep(1.1)  # What others were denied in this second is not written down one by one.
    with staff.client(token) as them:
        for attempt in refused:
            time.sleep(0.15)
            with pytest.raises(PermissionDenied, match=SAID):
                attempt(them)
        own = them.add_entry(theirs, image(502))
        assert [each.ref for each in them.list_entries(bank=theirs)] == [own.ref]
    with staff.client(staff.tokens["auditor"]) as auditor:
        assert auditor.get_entry(entry.ref.entry_id).state.name == "ACTIVE"
        rows = [row for row in auditor.list_audit_rows(actor=name) if row.action == "denied"]
    assert len(rows) == len(refused)
    assert {row.subject.split("/")[0] for row in rows} == {"BlocklistService"}


def test_changes_and_reading_are_written_down_with_who_did_it(staff: Staff) -> None:
    """An audit trail without names answers no question that anybody asks of it."""
    bank = f"bank-{uuid.uuid4().hex[:8]}"
    with staff.client(staff.tokens["admin"]) as admin:
        made = admin.create_bank(bank, action=Action.BLOCK, thresholds={Kind.SHA256: 0})
    with staff.client(staff.tokens["curator"]) as curator:
        entry = curator.add_entry(bank, image(503))
        curator.withdraw_entry(entry.ref.entry_id)
        list(curator.list_entries(bank=bank))
    with staff.client(staff.tokens["auditor"]) as auditor:
        next(auditor.watch_changes())
        told = [
            (row.actor_name, row.action)
            for subject in (made.bank_id, entry.ref.entry_id, bank)
            for row in auditor.list_audit_rows(subject=subject)
        ]
        watched = next(row for row in auditor.list_audit_rows(actor="auditor"))
    assert told == [
        ("admin", "bank_created"),
        ("curator", "entry_withdrawn"),
        ("curator", "entry_created"),
        ("curator", "entries_listed"),
    ]
    assert watched.action == "changes_watched"


def test_a_pipeline_is_told_verdicts_of_its_own_alone(staff: Staff) -> None:
    """Whoever knew how near an upload comes could change it until it passes."""
    bank = f"secret-{uuid.uuid4().hex[:8]}"
    token = new_token()
    with staff.client(staff.tokens["admin"]) as admin:
        admin.create_bank(bank, action=Action.BLOCK, label="secret-label")
        admin.create_caller(f"other-{bank}", roles=[Role.PIPELINE], token=token)
    with staff.client(staff.tokens["curator"]) as curator:
        curator.add_entry(bank, image(505), reference="secret-reference")
    with (
        staff.client(staff.tokens["pipeline"]) as pipeline,
        staff.client(token) as other,
        staff.client(staff.tokens["reviewer"]) as reviewer,
    ):
        blocked = pipeline.screen(image(505))
        assert (blocked.verdict, blocked.evidence) == (Verdict.BLOCK, ())
        assert [reason.code for reason in blocked.reasons] == [VerdictReason.MATCH]
        assert blocked.evidence_withheld
        assert blocked.blocklist_revision == 0
        passed = pipeline.screen(image(506))
        assert passed.verdict is Verdict.NO_MATCH
        assert pipeline.confirm(passed.screening_id).verdict is Verdict.NO_MATCH
        assert pipeline.get_screening(blocked.screening_id) == blocked
        broken = pipeline.screen(image(506)[:200])
        assert broken.verdict is Verdict.INCONCLUSIVE
        assert broken.reasons[0].code is not VerdictReason.MATCH
        own = {each.screening_id for each in pipeline.list_screenings()}
        assert {blocked.screening_id, passed.screening_id, broken.screening_id} <= own
        for call in (other.get_screening, other.confirm):
            with pytest.raises(ScreeningNotFound):
                call(blocked.screening_id)
        assert not own & {each.screening_id for each in other.list_screenings()}
        full = reviewer.get_screening(blocked.screening_id)
        assert full.evidence[0].entry.reference == "secret-reference"
        # Another's request_id gets no answer of his.
        pipeline.screen(image(505), request_id=bank)
        with pytest.raises(RequestIdReused):
            other.screen(image(505), request_id=bank)


def test_answers_to_a_pipeline_differ_in_their_verdicts_alone(staff: Staff) -> None:
    """Sizes and times of replies tell whoever counts them."""
    bank = f"bank-{uuid.uuid4().hex[:8]}"
    with staff.client(staff.tokens["admin"]) as admin:
        admin.create_bank(bank, action=Action.BLOCK, label="a label")
        admin.create_bank(bank + "-review", action=Action.REVIEW)
    with staff.client(staff.tokens["curator"]) as curator:
        curator.add_entry(bank, image(507), reference="short")
        curator.add_entry(bank + "-review", image(508), reference="much longer" * 20)
    sizes, shown = set(), set()
    times: dict[int, list[float]] = {}
    with grpc.insecure_channel(staff.server.address) as channel:
        call: Any = channel.unary_unary("/hashmatch.v1.ScreeningService/ScreenImage")
        for number in range(36):
            seed = 507 + number % 3
            request = screening_service_pb2.ScreenImageRequest(
                request_id=uuid.uuid4().hex, image=image(seed)
            )
            began = time.monotonic()
            reply = call(
                request.SerializeToString(),
                metadata=bearer(staff.tokens["pipeline"]),
                timeout=20,
            )
            times.setdefault(seed, []).append(time.monotonic() - began)
            sizes.add(len(reply))
            answer = screening_service_pb2.ScreenImageResponse.FromString(reply).screening
            shown.add(frozenset(field.name for field, _ in answer.ListFields()))
            for secret in (bank, "short", "much longer", "a label"):
                assert secret.encode() not in reply
    assert len(sizes) == 1
    assert len(shown) <= 2  # NO_MATCH says that all was looked at.
    # Nearly all are answered a tenth of a second after they were heard.
    assert all(each >= 0.1 for some in times.values() for each in some)


def test_a_caller_is_made_once_and_never_again(staff: Staff) -> None:
    """A name that comes again would make the audit trail lie."""
    name, token = f"once-{uuid.uuid4().hex[:8]}", new_token()
    with staff.client(staff.tokens["admin"]) as admin:
        first = admin.create_caller(name, roles=[Role.AUDITOR], token=token, request_id=name)
        again = admin.create_caller(name, roles=[Role.AUDITOR], token=token, request_id=name)
        assert first == again
        with pytest.raises(RequestIdReused):
            admin.create_caller(name, roles=[Role.ADMIN], token=token, request_id=name)
        with pytest.raises(CallerExists):
            admin.create_caller(name, roles=[Role.AUDITOR], token=new_token())
        with pytest.raises(CallerExists):
            admin.create_caller(f"{name}-2", roles=[Role.AUDITOR], token=token)
        with staff.client(token) as caller:
            assert caller.get_self().caller_id == first.caller_id
            assert admin.revoke_caller(name).state is CallerState.REVOKED
            assert admin.revoke_caller(first.caller_id).state is CallerState.REVOKED
            with pytest.raises(Unauthenticated):
                caller.get_self()
        with pytest.raises(CallerExists):
            admin.create_caller(name, roles=[Role.AUDITOR], token=new_token())
        assert name in {each.name for each in admin.list_callers()}


def test_health_is_open_to_load_balancers(staff: Staff) -> None:
    """They have no token."""
    with Client(staff.server.address, token="") as client:
        assert client.is_ready()


# TLS


def certificate(
    name: str, signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate of 127.0.0.1, signed by itself or another."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[0].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .sign(signer[1] if signer else key, hashes.SHA256())
    )
    return made, key


def pem(made: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]) -> tuple[bytes, bytes]:
    """Certificate and key."""
    encoding = serialization.Encoding.PEM
    return made[0].public_bytes(encoding), made[1].private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@contextlib.contextmanager
def variables(monkeypatch: pytest.MonkeyPatch, **files: Path | str) -> Iterator[None]:
    """Variables of the client."""
    with monkeypatch.context() as patched:
        for name, value in files.items():
            patched.setenv(f"HASHMATCH_{name}", str(value))
        yield


def test_certificates_show_who_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines that have certificates need no tokens."""
    ours = certificate("ours")
    files = {}
    for name, made in (
        ("ca", ours),
        ("server", certificate("localhost", ours)),
        ("pipeline", certificate("pipeline-1", ours)),
        ("unknown", certificate("pipeline-2", ours)),
        ("stranger", certificate("pipeline-1")),
    ):
        for kind, content in zip(("pem", "key"), pem(made), strict=True):
            files[f"{name}.{kind}"] = tmp_path / f"{name}.{kind}"
            files[f"{name}.{kind}"].write_bytes(content)
    settings = {
        "tls_certificate": str(files["server.pem"]),
        "tls_key": str(files["server.key"]),
        "tls_client_ca": str(files["ca.pem"]),
    }
    with serving(tmp_path / "data", unsafe_no_auth="false", **settings) as server:
        address = server.address.replace("127.0.0.1", "localhost")

        def connected(who: str, token: str = "") -> Client:
            with variables(
                monkeypatch,
                CA=files["ca.pem"],
                CERTIFICATE=files[f"{who}.pem"],
                KEY=files[f"{who}.key"],
            ):
                return Client(address, token=token, timeout_seconds=20)

        with connected("pipeline", server.first_token) as admin:
            known = admin.create_caller(
                "a-machine", roles=[Role.PIPELINE], certificate="pipeline-1"
            )
            assert known.certificate == "pipeline-1"
        with connected("pipeline") as machine:
            assert machine.get_self().caller_id == known.caller_id
        with connected("unknown") as unknown, pytest.raises(Unauthenticated):
            unknown.get_self()
        # No certificate, or one that somebody else signed: there is no connection at all.
        for client in (connected("stranger"), Client(server.address, timeout_seconds=3)):
            with client, pytest.raises(Unavailable):
                client.get_self()


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "example.org:0", "10.1.2.3:0"])
def test_without_tls_only_this_machine_is_listened_to(listen: str) -> None:
    """Tokens would be readable on the way."""
    from hashmatch.config import load

    with pytest.raises(HashmatchError, match="can be reached from elsewhere"):
        load(listen=listen)
    assert load(listen=listen, allow_plaintext=True).listen == listen


def test_status_details_are_those_of_any_error(staff: Staff) -> None:
    """Programs look for a reason there."""
    with grpc.insecure_channel(staff.server.address) as channel:
        call: Any = channel.unary_unary("/hashmatch.v1.AccessService/GetSelf")
        with pytest.raises(grpc.RpcError) as raised:
            call(b"", timeout=20)
    failed: Any = raised.value
    assert b"UNAUTHENTICATED" in dict(failed.trailing_metadata())[DETAILS_KEY]


def test_the_command_line_says_what_is_withheld(staff: Staff, tmp_path: Path) -> None:
    """Empty coverage would look like a fault."""
    file = tmp_path / "upload.png"
    file.write_bytes(image(512))

    def shown(token: str, *arguments: str, code: int = 0, **variables: str) -> str:
        done = run(
            *arguments, server=staff.server.address, token=token, code=code, variables=variables
        )
        return done.out + done.err

    pipeline = staff.tokens["pipeline"]
    screened = json.loads(shown(pipeline, "screen", "--json", str(file)))["screening"]
    told = shown(pipeline, "screening", "show", screened["screening_id"])
    assert "a reviewer sees the rest" in told
    assert "coverage" not in told
    full = shown(staff.tokens["reviewer"], "screening", "show", screened["screening_id"])
    assert "complete" in full
    # The file is another way to give a token; and who has none is told so in one line.
    (tmp_path / "token").write_text(pipeline + "\n")
    by_file = shown("", "caller", "self", "--json", HASHMATCH_TOKEN_FILE=str(tmp_path / "token"))
    assert json.loads(by_file)["caller"]["name"] == "pipeline"
    for token, code in (("", 1), (pipeline, 0)):
        assert ("does not know you" in shown(token, "doctor", code=code)) == bool(code)
    assert "UNAUTHENTICATED" in shown("", "bank", "list", code=1)


def test_the_commands_of_an_admin(staff: Staff) -> None:
    """Callers are made, listed and revoked by people; and their tokens are shown once."""
    name = f"cli-{uuid.uuid4().hex[:8]}"
    made = staff.run("admin", "caller", "create", name, "--role", "reviewer", "--expires", "90d")
    (token,) = re.findall(r"^hm_[\w-]{43}$", made.out, re.MULTILINE)
    assert name in staff.run(token, "caller", "self").out
    assert name in staff.run("admin", "caller", "list").out
    assert "revoked" in staff.run("admin", "caller", "revoke", name).out
    log = staff.run("auditor", "audit", "log", "--actor", "admin").out
    assert "caller revoked" in log
    assert "caller created" in log
