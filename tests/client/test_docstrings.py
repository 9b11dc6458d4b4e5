"""What the docstrings of both clients promise: every argument, result and error, by its name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from hashmatch import errors
from hashmatch.access.authorizer import MAY
from hashmatch.client import AsyncClient, Client
from hashmatch.model.callers import Role
from tests.client.docstrings import Documented

PUBLIC = [name for name, _ in inspect.getmembers(AsyncClient) if name[0] != "_"]

# Methods that ask no service of hashmatch.
LOCAL = {"__init__", "close", "is_ready"}

# What an argument can be wrong with, whatever the method.
ERRORS_OF_ARGUMENTS = {
    "bank": "BankNotFound",
    "banks": "BankNotFound",
    "case_id": "CaseNotFound",
    "caller": "CallerNotFound",
    "cursor": "InvalidField",
    "entry_id": "EntryNotFound",
    "etag": "EtagMismatch",
    "import_id": "ImportNotFound",
    "media": "OSError",
    "request_id": "RequestIdReused",
    "screening_id": "ScreeningNotFound",
    "source": "OSError",
}

# Their repeats find things as they are, so the server compares no request ids.
WITHOUT_REUSE = {"approve_import", "revoke_caller", "withdraw_import"}


def parameters(method: Callable[..., Any]) -> list[str]:
    """The names of arguments, in order, without ``self``."""
    return list(inspect.signature(method).parameters)[1:]


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize("name", ["__init__", *PUBLIC])
def test_every_argument_and_result_is_documented(client: type, name: str) -> None:
    """Somebody would have to read the source to know what to pass, or what comes back."""
    method = getattr(client, name)
    documented = Documented.of(method)
    assert documented.summary[0].isupper()
    assert documented.summary.endswith(".")
    assert list(documented.arguments) == parameters(method)
    returned = str(inspect.signature(method).return_annotation)
    yields = returned.startswith(("Iterator[", "AsyncGenerator["))
    assert bool(documented.yields) == yields
    assert bool(documented.returns) == (not yields and returned != "None")
    for text in (*documented.arguments.values(), *documented.raises.values()):
        assert re.match(r"`?[A-Z0-9]|``", text), text
        assert text.endswith("."), text


@pytest.mark.parametrize(
    ("client", "special"), [(Client, ("enter", "exit")), (AsyncClient, ("aenter", "aexit"))]
)
def test_no_docstring_sends_to_another_class(client: type, special: tuple[str, ...]) -> None:
    """A pipeline engineer would look things up in a class that he does not use."""
    for name in ["__init__", *PUBLIC, *(f"__{each}__" for each in special)]:
        text = inspect.getdoc(getattr(client, name))
        assert text
        assert "AsyncClient" not in text, name
        assert not re.search(r"\bSee [`A-Z]", text), name
    assert "See `" not in (client.__doc__ or "")


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - LOCAL))
def test_the_errors_of_a_method_are_documented(name: str) -> None:
    """A pipeline would not catch what a call raises, or catch what none does."""
    method = getattr(AsyncClient, name)
    raises = Documented.of(method).raises
    for error in raises:
        known = getattr(errors, error, None) or {"OSError": OSError}[error]
        assert issubclass(known, errors.HashmatchError | OSError)
    assert list(raises)[-2:] == ["AccessDenied", "Unavailable"]
    assert name == "get_self" or "InvalidField" in raises
    for argument in parameters(method):
        expected = ERRORS_OF_ARGUMENTS.get(argument)
        if expected is not None and (argument != "request_id" or name not in WITHOUT_REUSE):
            assert expected in raises, argument


def test_the_errors_of_a_connection_are_documented() -> None:
    """A pipeline that is configured wrongly would end by an error that nobody expects."""
    for client in (Client, AsyncClient):
        assert list(Documented.of(client.__init__).raises) == ["ConfigInvalid"]
        for name in sorted(LOCAL - {"__init__"}):
            assert not Documented.of(getattr(client, name)).raises
        assert "`Internal`" in (client.__doc__ or "")


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - LOCAL))
def test_the_roles_that_a_method_needs_are_documented(name: str) -> None:
    """An operator would give a caller a role that does not help, or too many."""
    method = getattr(AsyncClient, name)
    asked = re.findall(
        r"_connection\.(screening|blocklist|review|access)\.(\w+)", inspect.getsource(method)
    )
    [(service, call)] = asked
    said = set(re.findall(r"\b[A-Z]{2,}\b", Documented.of(method).raises["AccessDenied"]))
    needed = MAY[f"{service.capitalize()}Service/{call}"]
    assert said == ({role.name for role in needed} if needed != set(Role) else set())
