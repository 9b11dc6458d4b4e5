"""A server that asks its callers who they are, and a client of each of them. Modules of
``tests/e2e`` share it: each makes banks of its own, and lists pictures (`image`, `clip`) of a
hundred seeds of its own, for an entry of one module would match the uploads of another.
"""

from __future__ import annotations

import contextlib
import json
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, KeySet

from hashmatch.client import Client
from hashmatch.model.callers import Role, new_token
from hashmatch.model.verdicts import Action, Verdict
from tests.commands import Done, run
from tests.conftest import RunningServer, serving
from tests.databases import postgres
from tests.support import image

__all__ = ["AUDIENCE", "ISSUER", "Staff", "employed"]

ISSUER = "https://issuer.test"
AUDIENCE = "hashmatch"

# The bank of the callers who may keep no other.
ELSEWHERE = "elsewhere"

_KEEPERS = (Role.CURATOR, Role.APPROVER)
_CALLERS: dict[str, Sequence[Role]] = {
    **{role.name.lower(): [role] for role in Role},
    "ayu": _KEEPERS,
    "budi": _KEEPERS,
    ELSEWHERE: _KEEPERS,
    "everybody": list(Role),
}


@dataclass(frozen=True)
class Staff:
    """The server, the key of the issuer that it trusts, and its callers. The callers that are named
    after a role have that role alone.
    """

    server: RunningServer
    key: ECKey
    tokens: dict[str, str]
    admin: Client
    curator: Client
    approver: Client
    reviewer: Client
    auditor: Client
    pipeline: Client
    ayu: Client  # Curator and approver.
    budi: Client  # Curator and approver.
    elsewhere: Client  # Curator and approver of the bank ``elsewhere`` alone.
    everybody: Client  # Has every role.

    def __getitem__(self, role: Role) -> Client:
        """The caller that has a role, and no other."""
        found: Client = getattr(self, role.name.lower())
        return found

    def client(self, token: str) -> Client:
        """A new client that shows a token."""
        return Client(self.server.address, token=token, timeout_seconds=60)

    def bank(self, **given: Any) -> str:
        """The name of a new bank, which blocks unless ``given`` says otherwise."""
        name = f"bank-{uuid.uuid4().hex[:8]}"
        self.admin.create_bank(name, **{"action": Action.BLOCK, **given})
        return name

    def verdict(self, seed: int) -> Verdict:
        """Of an upload of `image`."""
        return self.pipeline.screen(image(seed)).verdict

    def run(self, caller: str, *arguments: str | Path, code: int = 0) -> Done:
        """A command of a caller."""
        token = self.tokens.get(caller, caller)
        return run(*arguments, server=self.server.address, token=token, code=code)

    def metrics(self) -> bytes:
        """The page of metrics."""
        lines = self.server.log.read_text().splitlines()
        (address,) = [json.loads(line)["address"] for line in lines if '"metrics_served"' in line]
        with urllib.request.urlopen(f"http://{address}/metrics") as response:
            page: bytes = response.read()
        return page


@contextlib.contextmanager
def employed(backend: str, folder: Path) -> Iterator[Staff]:
    """A server on one of `tests.databases.BACKENDS`, with an entry, so that its blocklist is never
    empty.
    """
    key = ECKey.generate_key("P-256", {"kid": "its-key", "use": "sig", "alg": "ES256"})
    keys = folder / "keys.json"
    keys.write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    settings = {
        "unsafe_no_auth": "false",
        "metrics": "127.0.0.1:0",
        "workers": "2",
        "oidc_issuer": ISSUER,
        "oidc_audience": AUDIENCE,
        "oidc_keys": str(keys),
    }
    if backend == "postgresql":
        settings["database"] = postgres().new()
    with serving(folder, **settings) as server, contextlib.ExitStack() as stack:
        tokens = {name: new_token() for name in _CALLERS}
        with Client(server.address, token=server.first_token, timeout_seconds=60) as first:
            first.create_bank(ELSEWHERE, action=Action.BLOCK)
            for name, roles in _CALLERS.items():
                banks = [ELSEWHERE] if name == ELSEWHERE else []
                first.create_caller(name, roles=roles, token=tokens[name], banks=banks)
        clients = {
            name: stack.enter_context(Client(server.address, token=token, timeout_seconds=120))
            for name, token in tokens.items()
        }
        clients["curator"].add_entry(_always(clients["admin"]), image(99))
        yield Staff(server, key, tokens, **clients)


def _always(admin: Client) -> str:
    admin.create_bank("always", action=Action.BLOCK)
    return "always"
