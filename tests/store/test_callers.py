"""Callers are kept, on each sort of database."""

from __future__ import annotations

import datetime
import uuid

import pytest

from hashmatch.errors import BankNotFound, CallerExists, CallerNotFound, RequestIdReused
from hashmatch.model.call import Call
from hashmatch.model.callers import (
    UNRESTRICTED,
    Caller,
    CallerState,
    Credential,
    Role,
    hash_of_token,
    new_token,
)
from hashmatch.model.commands import NewCaller
from hashmatch.model.verdicts import Action, Kind
from hashmatch.store.audit import Audit
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.callers import CallerStore, secret_of_certificate
from hashmatch.store.database import Database

CURATORS = frozenset({Role.CURATOR, Role.REVIEWER})


@pytest.fixture
def store(database: Database) -> CallerStore:
    """An empty one."""
    return CallerStore(database)


def request(actor: str = "") -> Call:
    """A new one."""
    return Call(Caller(actor, actor, frozenset(Role)), uuid.uuid4().hex, "fingerprint")


def new(name: str = "", **given: object) -> NewCaller:
    """A curator with a token."""
    return NewCaller(
        name or uuid.uuid4().hex,
        CURATORS,
        secret=hash_of_token(new_token()),
        **given,  # type: ignore[arg-type]
    )


def test_what_was_created_is_found_by_its_secret(store: CallerStore) -> None:
    """And by nothing else."""
    wanted = new("ayu")
    made = store.create(request(), wanted)
    assert (made.name, made.roles, made.banks) == ("ayu", CURATORS, None)
    assert (made.state, made.credential) == (CallerState.ACTIVE, Credential.TOKEN)
    machine = NewCaller("machine", frozenset({Role.PIPELINE}), certificate="pipeline-1")
    known = store.create(request(), machine)
    assert known.credential is Credential.CERTIFICATE
    assert store.by_secret() == {
        wanted.secret: made,
        secret_of_certificate("pipeline-1"): known,
    }


def test_a_certificate_is_never_taken_for_a_token() -> None:
    """A token whose text is a certificate's name would open another's door."""
    assert secret_of_certificate("hm_x") != hash_of_token("hm_x")


def test_a_repeat_gets_the_first_answer(store: CallerStore) -> None:
    """A lost reply would leave a caller that nobody knows of."""
    asked, wanted = request(), new()
    assert store.create(asked, wanted) == store.create(asked, wanted)
    with pytest.raises(RequestIdReused):
        store.create(Call(UNRESTRICTED, asked.request_id, "another"), wanted)
    assert len(store.list(0, 10).items) == 1


@pytest.mark.parametrize("revoked", [False, True])
def test_names_and_secrets_are_used_once(store: CallerStore, *, revoked: bool) -> None:
    """Rows of the audit trail that name one would mean two."""
    first = new("ayu")
    store.create(request(), first)
    if revoked:
        store.revoke(request(), "ayu")
    with pytest.raises(CallerExists, match="name"):
        store.create(request(), new("ayu"))
    with pytest.raises(CallerExists, match="credential"):
        store.create(request(), NewCaller("budi", CURATORS, secret=first.secret))


def test_who_was_revoked_is_found_no_more(store: CallerStore) -> None:
    """By id or by name."""
    one, other = new(), new()
    by_id, by_name = store.create(request(), one), store.create(request(), other)
    assert store.revoke(request(), by_id.caller_id).state is CallerState.REVOKED
    assert store.revoke(request(), by_name.name).state is CallerState.REVOKED
    again = store.revoke(request(), by_name.name)
    assert again.revoke_time is not None
    assert store.by_secret() == {}
    with pytest.raises(CallerNotFound):
        store.revoke(request(), "nobody")


def test_an_end_is_told(store: CallerStore) -> None:
    """To the millisecond."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    over = store.create(request(), new(expire_time=now - datetime.timedelta(seconds=1)))
    later = store.create(request(), new(expire_time=now + datetime.timedelta(hours=1)))
    assert (over.state, later.state) == (CallerState.EXPIRED, CallerState.ACTIVE)
    assert later.expire_time == now + datetime.timedelta(hours=1)


def test_banks_are_kept_by_their_ids(store: CallerStore, database: Database) -> None:
    """A bank that takes the name of a renamed one would be open to its curators."""
    bank = BlocklistStore(database).create_bank(
        request(), "abuse", "", Action.BLOCK, {Kind.PDQ: 31}
    )
    made = store.create(request(), new(banks=["abuse", bank.bank_id]))
    assert made.banks == frozenset({bank.bank_id})
    with pytest.raises(BankNotFound):
        store.create(request(), new(banks=["none"]))


def test_the_first_is_made_once(store: CallerStore) -> None:
    """Every restart would make an admin whom nobody asked for."""
    assert store.create_first(new("first")) is not None
    assert store.create_first(new("second")) is None
    store.revoke(request(), "first")
    assert store.create_first(new("third")) is None


def test_pages_go_on_where_the_last_ended(store: CallerStore) -> None:
    """Newest first."""
    made = [store.create(request(), new()) for _ in range(5)][::-1]
    first = store.list(0, 3)
    second = store.list(int(first.next_token), 3)
    assert [*first.items, *second.items] == made
    assert second.next_token == ""


def test_all_is_written_down_without_secrets(store: CallerStore, database: Database) -> None:
    """With who did it."""
    admin = store.create(request(), new("admin"))
    made = store.create(request(admin.caller_id), new("ayu"))
    store.revoke(request(admin.caller_id), "ayu")
    audit = Audit(database)
    rows = audit.list(0, 10, admin.caller_id, "", None).items
    assert [(row.action, row.subject, row.actor_name) for row in rows] == [
        ("caller_revoked", made.caller_id, "admin"),
        ("caller_created", made.caller_id, "admin"),
    ]
    assert audit.list(0, 10, "admin", "", None).items == rows
    assert audit.verify().findings == ()
    secrets = [secret.hex() for secret in store.by_secret()]
    assert not any(secret in row.details for secret in secrets for row in rows)
