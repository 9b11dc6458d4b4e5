"""Lists as files: none is ever half of one, and a run that was ended goes on where it was.

A list is written to ``FILE.part`` and becomes ``FILE`` at its end. Beside it ``FILE.part.json``
says how far it is for sure; what was written after that is cut off when a run goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from hashmatch.errors import InvalidField

__all__ = ["ListFile", "ListFolder", "Saved"]

_FOLDER_STATE: Final = ".part.json"


@dataclass(frozen=True, slots=True)
class Saved:
    """How far a run came, and what it counted."""

    resume_token: str
    tally: Mapping[str, Any]
    since: str | None


class ListFile:
    """One file. Readable by its owner alone: it holds hashes."""

    def __init__(self, path: Path, asked: Mapping[str, Any], since: str | None = None) -> None:
        """Goes on with what a run left that ``asked`` the same: see `saved`. ``since`` is kept for
        the next run. Raises ``OSError``, and `InvalidField` if another run is at it, or what is
        left is of something else.
        """
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._state = path.with_name(f"{path.name}.part.json")
        self._asked = dict(asked)
        self._file = _opened(self._part)
        try:
            _lock(self._file, self._part)
            left = _left(self._state, self._asked)
            size = self._file.seek(0, os.SEEK_END)
            if left is not None and left["bytes"] > size:
                raise InvalidField("output", f"{self._part} was changed; remove it to begin anew")
            self._file.truncate(left["bytes"] if left else 0)
            self._file.seek(0, os.SEEK_END)
        except BaseException:
            self._file.close()
            raise
        self.saved = _saved(left)
        self._since = self.saved.since if self.saved else since

    def write(self, text: str, name: str = "", *, more: bool = False) -> None:  # noqa: ARG002
        """More of the list, of whatever entry."""
        self._file.write(text.encode())

    def keep(self, resume_token: str, tally: Mapping[str, Any]) -> None:
        """What was written so far will not be written again."""
        self._file.flush()
        os.fsync(self._file.fileno())
        left = {"asked": self._asked, "since": self._since, "bytes": self._file.tell()}
        _replace(self._state, {**left, "resume_token": resume_token, "tally": dict(tally)})

    def finish(self) -> None:
        """The list is whole."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._state.unlink(missing_ok=True)  # Without the rest, it would be of no use.
        self._part.replace(self._path)

    def close(self) -> None:
        """Ends, whole or not."""
        self._file.close()


class ListFolder:
    """A folder with a file for each entry."""

    def __init__(self, path: Path, asked: Mapping[str, Any], since: str | None = None) -> None:
        """As `ListFile`. A folder that has other files is refused: whoever reads it would take what
        was withdrawn since for a part of the list.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._asked = dict(asked)
        self._state = path / _FOLDER_STATE
        self._lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self._entry: tuple[Path, BinaryIO] | None = None
        self._unsafe: list[Path] = []  # Not on the disk for sure.
        try:
            _lock(self._lock, path)
            left = _left(self._state, self._asked)
            if left is None and any(path.iterdir()):
                raise InvalidField("output", f"{path} is not empty; name a new folder")
            self.saved = _saved(left)
            self._since = self.saved.since if self.saved else since
            if left is None:  # Else what a run leaves before it first keeps something is foreign.
                self.keep("", {})
        except BaseException:
            os.close(self._lock)
            raise

    def write(self, text: str, name: str, *, more: bool = False) -> None:
        """A file of the folder, or, if ``more`` comes, a part of it. Empty ones are left out."""
        if self._entry is None:
            part = self._path / f"{name}.part"
            self._entry = part, _opened(part)
            self._entry[1].truncate(0)
        part, file = self._entry
        file.write(text.encode())
        if more:
            return
        file.close()
        self._entry = None
        if part.stat().st_size:
            part.replace(self._path / name)
            self._unsafe.append(self._path / name)
        else:
            part.unlink()

    def keep(self, resume_token: str, tally: Mapping[str, Any]) -> None:
        """As of `ListFile`; between two entries."""
        self._save()
        left = {"asked": self._asked, "since": self._since, "bytes": 0}
        _replace(self._state, {**left, "resume_token": resume_token, "tally": dict(tally)})

    def finish(self) -> None:
        """The folder is whole."""
        self._save()
        self._state.unlink()

    def _save(self) -> None:
        for path in self._unsafe:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        self._unsafe.clear()
        os.fsync(self._lock)

    def close(self) -> None:
        """Ends, whole or not."""
        if self._entry is not None:
            self._entry[1].close()
        os.close(self._lock)


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")


def _lock(file: BinaryIO | int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InvalidField("output", f"another run is writing {path}") from None


def _left(state: Path, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a run kept; None if there was none. Raises `InvalidField`."""
    try:
        left = json.loads(state.read_bytes())
        of_same = left["asked"] == asked
        int(left["bytes"]), str(left["resume_token"]), dict(left["tally"])
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        raise InvalidField("output", f"{state} is damaged; remove it to begin anew") from None
    if not of_same:
        raise InvalidField(
            "output", f"{state} is of an export of something else; remove it, or name another file"
        )
    return dict(left)


def _saved(left: Mapping[str, Any] | None) -> Saved | None:
    if left is None or not left["resume_token"]:
        return None
    return Saved(left["resume_token"], left["tally"], left["since"])


def _replace(path: Path, value: object) -> None:
    new = path.with_name(f"{path.name}.new")
    with _opened(new) as file:
        file.truncate(0)
        file.write(json.dumps(value).encode())
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
