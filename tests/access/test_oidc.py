"""Tokens of an issuer are checked, and its keys followed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from hashmatch.access import oidc
from hashmatch.access.oidc import Issuer, IssuerSettings
from hashmatch.errors import ConfigInvalid, Unauthenticated
from hashmatch.model.callers import Role
from tests.support import PATIENT

URL, AUDIENCE = "https://issuer.test", "hashmatch"


def key(kid: str = "one") -> ECKey:
    """A pair."""
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


def write(path: Path, *keys: Any) -> None:
    """As issuers publish them."""
    path.write_text(json.dumps(KeySet(list(keys)).as_dict(private=False)))


def token(signer: Any, algorithm: str = "ES256", **changed: Any) -> str:
    """For a reviewer."""
    claims = {
        "iss": URL,
        "aud": [AUDIENCE, "another"],
        "sub": "ayu",
        "exp": int(time.time()) + 60,
        "hashmatch_roles": ["reviewer"],
        **changed,
    }
    header = {"alg": algorithm, "kid": signer.kid}
    return jwt.encode(header, claims, signer, algorithms=[algorithm])


async def loaded(path: Path) -> Issuer:
    """One whose keys are in a file."""
    issuer = Issuer(IssuerSettings(URL, AUDIENCE, str(path)))
    await issuer.load()
    return issuer


@pytest.mark.parametrize(
    ("signer", "algorithm"),
    [
        (key(), "ES256"),
        (RSAKey.generate_key(2048, {"kid": "one"}), "RS256"),
        (RSAKey.generate_key(2048, {"kid": "one"}), "PS256"),
        (OKPKey.generate_key("Ed25519", {"kid": "one"}), "Ed25519"),
    ],
)
async def test_tokens_of_all_sorts_of_keys(tmp_path: Path, signer: Any, algorithm: str) -> None:
    """Issuers choose theirs."""
    write(tmp_path / "keys", signer)
    issuer = await loaded(tmp_path / "keys")
    caller = await issuer.caller(token(signer, algorithm))
    assert (caller.caller_id, caller.name) == ("oidc:ayu", "ayu")
    assert (caller.roles, caller.banks) == (frozenset({Role.REVIEWER}), None)
    limited = await issuer.caller(token(signer, algorithm, hashmatch_banks="a b"))
    assert limited.banks == frozenset({"a", "b"})


async def test_new_keys_are_read_when_a_token_needs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issuers change their keys, and would lock everybody out; a flood of forged tokens must not
    become one of questions to the issuer.
    """
    old, newer = key("one"), key("two")
    write(tmp_path / "keys", old)
    issuer = await loaded(tmp_path / "keys")
    write(tmp_path / "keys", newer)
    with pytest.raises(Unauthenticated):  # Asked a moment ago.
        await issuer.caller(token(newer))
    monkeypatch.setattr(oidc, "_KEYS_AT_MOST_EVERY_SECONDS", 0.0)
    assert (await issuer.caller(token(newer))).name == "ayu"
    with pytest.raises(Unauthenticated):
        await issuer.caller(token(old))
    (tmp_path / "keys").unlink()  # What was read goes on to hold while the issuer is away.
    monkeypatch.setattr(oidc, "_KEYS_SECONDS", 0.0)
    assert (await issuer.caller(token(newer))).name == "ayu"


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"keys": 7}', '{"keys": [{"kty": "?"}]}']
)
async def test_a_server_without_keys_does_not_start(tmp_path: Path, content: str | None) -> None:
    """It would refuse everybody, and nobody would know why."""
    if content is not None:
        (tmp_path / "keys").write_text(content)
    with pytest.raises(ConfigInvalid, match="oidc_keys"):
        await loaded(tmp_path / "keys")


async def test_keys_come_by_https_alone() -> None:
    """Whoever is on the way could give his own."""
    with pytest.raises(ConfigInvalid):
        await Issuer(IssuerSettings(URL, AUDIENCE, "http://issuer.test/keys")).load()
    with pytest.raises(ConfigInvalid):
        await Issuer(IssuerSettings(URL, AUDIENCE, "file:///etc/passwd")).load()


@pytest.fixture(scope="module")
def signer() -> ECKey:
    """Of the property below."""
    return key()


@PATIENT
@given(text=st.text(max_size=80) | st.from_regex(r"[\w-]{0,30}\.[\w-]{0,30}\.[\w-]{0,30}"))
async def test_any_text_is_refused_and_nothing_else_is_raised(
    tmp_path_factory: pytest.TempPathFactory, signer: ECKey, text: str
) -> None:
    """A crafted token must not become a fault of the server."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    write(path, signer)
    issuer = await loaded(path)
    with pytest.raises(Unauthenticated):
        await issuer.caller(text)


@pytest.mark.parametrize(
    "changed",
    [
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "x" * 256},
        {"sub": 7},
        {"sub": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"aud": 7},
        {"aud": []},
        {"iss": [URL]},
    ],
)
async def test_claims_of_other_forms_are_refused(
    tmp_path: Path, signer: ECKey, changed: dict[str, Any]
) -> None:
    """What is not what it should be is not guessed at."""
    write(tmp_path / "keys", signer)
    issuer = await loaded(tmp_path / "keys")
    with pytest.raises(Unauthenticated):
        await issuer.caller(token(signer, **changed))
