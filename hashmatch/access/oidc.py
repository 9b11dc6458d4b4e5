"""Tokens of an OpenID Connect issuer: signed by its keys, for this audience, not yet expired."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from hashmatch.errors import ConfigInvalid, Unauthenticated
from hashmatch.model.callers import Caller, Role
from hashmatch.telemetry import logs

__all__ = ["Issuer", "IssuerSettings"]

# Signatures of public keys alone: with "none" or an HMAC anybody could sign who knows the public
# key. Source: RFC 8725, JSON Web Token Best Current Practices, 3.1 and 3.2.
_ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    "Ed25519",
)  # fmt: skip

# Clocks differ.
_LEEWAY_SECONDS: Final = 30

# Keys are read anew this often; and sooner where a token names one that is not known, but not for
# every such token.
_KEYS_SECONDS: Final = 300.0
_KEYS_AT_MOST_EVERY_SECONDS: Final = 10.0
_FETCH_SECONDS: Final = 5.0
_MOST_BYTES: Final = 1 << 20
_LONGEST_SUBJECT: Final = 255

_log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """``issuer`` as its tokens name it, and ``audience`` as they name this service. ``keys``: a
    file, or the https address, of its JSON Web Key Set; empty: as the issuer's discovery document
    says. ``roles_claim`` holds the names of roles, ``banks_claim`` names of banks.
    """

    issuer: str
    audience: str
    keys: str = ""
    roles_claim: str = "hashmatch_roles"
    banks_claim: str = "hashmatch_banks"


class Issuer:
    """One issuer; for use within one event loop."""

    def __init__(self, settings: IssuerSettings) -> None:
        """Asks for no key before `load`."""
        self._settings = settings
        self._keys: KeySet | None = None
        self._read_at = -float("inf")
        self._tried_at = -float("inf")
        self._reading = asyncio.Lock()
        self._claims = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            sub={"essential": True},
            exp={"essential": True},
        )

    async def load(self) -> None:
        """Reads the keys. Raises `ConfigInvalid` if that cannot be."""
        try:
            await self._read()
        except (OSError, ValueError, KeyError, TypeError, JoseError) as error:
            raise ConfigInvalid(
                f"oidc_keys: the issuer's keys cannot be read ({type(error).__name__})",
                setting="oidc_keys",
            ) from error

    async def caller(self, token: str) -> Caller:
        """Whom a token stands for. Raises `Unauthenticated`, whatever is wrong with it."""
        if time.monotonic() - self._read_at > _KEYS_SECONDS:
            await self._read_again()
        try:
            claims = self._checked(token)
        except JoseError:
            # It may be signed by a key that is newer than those that were read.
            if not await self._read_again():
                raise Unauthenticated from None
            try:
                claims = self._checked(token)
            except JoseError:
                raise Unauthenticated from None
        return self._caller(claims)

    def _checked(self, token: str) -> dict[str, Any]:
        assert self._keys is not None
        try:
            decoded = jwt.decode(token, self._keys, algorithms=_ALGORITHMS)
            self._claims.validate(decoded.claims)
        except JoseError:
            raise
        except Exception as error:
            # Tokens are anybody's: what the library does not expect is no valid token either.
            raise JoseError from error
        return decoded.claims

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        subject = claims["sub"]
        if not subject or len(subject) > _LONGEST_SUBJECT or not subject.isprintable():
            raise Unauthenticated
        named = {name.upper() for name in _texts(claims.get(self._settings.roles_claim))}
        roles = frozenset(role for role in Role if role.name in named)
        given = claims.get(self._settings.banks_claim)
        banks = None if given is None else frozenset(_texts(given))
        return Caller(f"oidc:{subject}", subject, roles, banks)

    async def _read_again(self) -> bool:
        """True if there may be other keys now."""
        if time.monotonic() - self._tried_at < _KEYS_AT_MOST_EVERY_SECONDS:
            return False
        try:
            await self._read()
        except (OSError, ValueError, KeyError, TypeError, JoseError) as error:
            # Those that were read before are still the issuer's, as far as is known.
            _log.warning("issuer_keys_not_read", error=type(error).__name__)
            return False
        return True

    async def _read(self) -> None:
        async with self._reading:
            self._tried_at = time.monotonic()
            self._keys = await asyncio.to_thread(self._fetched)
            self._read_at = time.monotonic()

    def _fetched(self) -> KeySet:
        where = self._settings.keys
        if not where:
            issuer = self._settings.issuer.rstrip("/")
            where = _get(f"{issuer}/.well-known/openid-configuration")["jwks_uri"]
        return KeySet.import_key_set(_get(where))  # type: ignore[arg-type]


def _texts(value: object) -> list[str]:
    """A list of texts, or texts with spaces between them, as issuers have either."""
    if isinstance(value, str):
        return value.split()
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _get(where: str) -> dict[str, Any]:
    """JSON from a file or an address. Raises ``OSError``, ``ValueError``."""
    if "://" not in where:
        with open(where, "rb") as file:
            return dict(json.loads(file.read(_MOST_BYTES)))
    if not where.startswith("https://"):
        raise ValueError("an issuer is asked by https alone")
    with urllib.request.urlopen(where, timeout=_FETCH_SECONDS) as answer:  # noqa: S310 - https
        return dict(json.loads(answer.read(_MOST_BYTES)))
