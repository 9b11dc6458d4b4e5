"""The synchronous client as it is generated."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import sync_client

# All that the generator can forward, in one client.
TOY = '''"""A client."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Self, overload

from toy_base import Named

KNOWN = 3


class Toy(Named):
    """A client for asyncio.

    It counts.
    """

    def __init__(self, start: int = 1, *, step: int = 1) -> None:
        """Begins at ``start``."""
        self.server = "nowhere"
        self._start, self._step = start, step

    async def __aenter__(self) -> Self:
        """Returns the client itself."""
        return self

    async def __aexit__(self, *problem: object) -> None:
        """Closes it."""

    async def close(self) -> None:
        """Closes it."""

    @property
    def step(self) -> int:
        """The difference of two numbers."""
        return self._step

    @overload
    async def shown(self, number: int, *, digits: None = None) -> int: ...
    @overload
    async def shown(self, number: int, *, digits: int) -> str: ...
    async def shown(self, number: int, *, digits: int | None = None) -> int | str:
        """Returns a number, or its digits."""
        return number if digits is None else f"{number:0{digits}}"

    async def waited(
        self,
        since: datetime.date,
        format: str = "%Y",  # noqa: A002 - a comment
    ) -> str:
        """Returns a date."""
        return since.strftime(format)

    def counted(self, end: int) -> AsyncGenerator[int]:
        """Yields numbers up to ``end``."""
        return self._counted(end)

    async def counted_again(self) -> AsyncIterator[int]:
        """Yields two numbers."""
        yield self._start
        yield self._start + self._step

    async def _counted(self, end: int) -> AsyncGenerator[int]:
        for number in range(self._start, end, self._step):
            yield number
'''
BASE = '''"""A base."""


class Named:
    """What has a name."""

    async def name(self) -> str:
        """Returns the name."""
        return "toy"

    async def step(self) -> str:
        """Is hidden by what has the same name."""
        return "hidden"

    async def _hidden(self) -> None:
        """Is nobody's to call."""
'''


def module_of(folder: Path, name: str, text: str) -> Any:
    """Writes a module into a folder and imports it."""
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Any]:
    """The synchronous toy, imported; the asynchronous one is `toy`."""
    module_of(tmp_path, "toy_base", BASE)
    module_of(tmp_path, "toy", TOY)
    yield module_of(tmp_path, "toy_sync", sync_client.generated(tmp_path, "toy", "Toy"))
    for name in ("toy_base", "toy", "toy_sync"):
        del sys.modules[name]


def test_the_client_is_what_the_generator_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code without asyncio would have another client than the one that is documented."""
    sync_client.main(["--check"])
    stale = tmp_path / "_sync.py"
    monkeypatch.setattr(sync_client, "TARGET", stale)
    with pytest.raises(SystemExit, match="make client"):
        sync_client.main(["--check"])
    sync_client.main([])
    sync_client.main(["--check"])
    stale.write_text(stale.read_text().replace("def screen(", "def screened("))
    with pytest.raises(SystemExit, match="make client"):
        sync_client.main(["--check"])
    with pytest.raises(SystemExit, match="usage"):
        sync_client.main(["--chek"])


def test_the_client_says_that_it_is_generated() -> None:
    """Somebody would mend it by hand, and lose that at the next change."""
    head = sync_client.TARGET.read_text().splitlines()[:5]
    assert "Generated" in "".join(head)
    assert "make client" in "".join(head)


def test_all_that_a_client_may_have_is_forwarded(toy: Any) -> None:
    """A method of a kind that the client has not today would be lost, or return a coroutine."""
    import datetime

    with toy.Client(2, step=3) as client:
        assert client.server == "nowhere"
        assert client.step == 3
        assert client.shown(7) == 7
        assert client.shown(7, digits=3) == "007"
        assert client.waited(datetime.date(2020, 1, 1), format="%y") == "20"
        assert list(client.counted(9)) == [2, 5, 8]
        assert next(client.counted_again()) == 2
        assert client.name() == "toy"
    client.close()
    assert not hasattr(toy.Client, "_counted")
    assert "asyncio" not in toy.Client.__doc__
    assert "It counts." in toy.Client.__doc__


def test_signatures_are_copied_as_they_are_written(toy: Any, tmp_path: Path) -> None:
    """A type checker would not know what a call returns, or complain of what is in order."""
    text = (tmp_path / "toy_sync.py").read_text()
    assert "def shown(self, number: int, *, digits: None = None) -> int: ..." in text
    assert "def shown(self, number: int, *, digits: int) -> str: ..." in text
    assert 'format: str = "%Y",  # noqa: A002 - a comment' in text
    assert "def counted(self, end: int) -> Iterator[int]:" in text
    assert "def counted_again(self) -> Iterator[int]:" in text
    assert toy.Client.shown.__doc__ == "Returns a number, or its digits."
    assert toy.Client.step.__doc__ == "The difference of two numbers."
    assert "async" not in text.split("class Client")[1]


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        ('    async def lost(self, *names: str) -> None:\n        """Returns."""', "without names"),
        (
            '    async def lost(self, a: AsyncIterator[bytes]) -> None:\n        """Returns."""',
            "asynchronous argument",
        ),
        ('    def lost(self) -> int:\n        """Returns."""', "neither asynchronous"),
        ('    @cached\n    async def lost(self) -> int:\n        """Returns."""', "cached"),
        ("    async def lost(self) -> int:\n        return 1", "no docstring"),
        ('    async def lost(self) -> Elsewhere:\n        """Returns."""', "Elsewhere"),
        ('    async def lost(self) -> int: """Returns."""', "line of its own"),
    ],
)
def test_what_cannot_be_forwarded_is_refused(tmp_path: Path, method: str, problem: str) -> None:
    """A client would be generated that does not do what it says."""
    (tmp_path / "toy_base.py").write_text(BASE)
    (tmp_path / "toy.py").write_text(f"{TOY}\n{method}\n")
    with pytest.raises((TypeError, LookupError), match=problem):
        sync_client.generated(tmp_path, "toy", "Toy")


def test_a_base_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Its methods would be missing."""
    (tmp_path / "toy.py").write_text(TOY.replace("from toy_base import Named", "Named = object"))
    with pytest.raises(LookupError, match="Named"):
        sync_client.generated(tmp_path, "toy", "Toy")
