"""A headless Chromium that is told what to do over a pair of pipes (the DevTools protocol)."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

__all__ = ["Browser", "BrowserFailed", "Page"]

# A start takes a second, a page a tenth of one; a busy machine may take far longer.
_PATIENCE_SECONDS: Final = 120.0

_OPTIONS: Final = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # Which root cannot have.
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # Containers often have 64 MiB of it.
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--force-device-scale-factor=1",
    "--autoplay-policy=no-user-gesture-required",
    # So that a page may read the pixels of the files that it shows.
    "--allow-file-access-from-files",
)


class BrowserFailed(Exception):
    """The browser ended, took too long, or refused what it was asked for."""


class Browser:
    """A Chromium process with an empty profile. `page` may be used again and again: a start costs a
    second, a page a tenth of one.
    """

    def __init__(self, program: Path) -> None:
        """``program``: the path of the executable. Raises `BrowserFailed` if it does not start."""
        self._folder = Path(tempfile.mkdtemp(prefix="browser-"))
        self._blank = self._folder / "blank.html"
        # Without a doctype, or with margins, the screenshot of an image would have a frame.
        self._blank.write_text(
            "<!doctype html><meta charset=utf-8><style>body{margin:0}img{display:block}</style>"
        )
        self._last_id = 0
        self._received = b""
        self.pid, self._to, self._from = _started(
            [str(program), *_OPTIONS, f"--user-data-dir={self._folder / 'profile'}"]
        )
        try:
            self.call("Browser.getVersion")
        except BrowserFailed:
            self.close()
            raise

    @contextlib.contextmanager
    def page(self, file: Path | None = None) -> Iterator[Page]:
        """Opens a page, or ``file`` in it, waits until it is loaded, and closes it in the end."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        try:
            attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
            page = Page(self, attached["sessionId"])
            page.open((file or self._blank).resolve().as_uri())
            yield page
        finally:
            with contextlib.suppress(BrowserFailed):
                self.call("Target.closeTarget", targetId=target)

    def call(self, method: str, session: str = "", until: str = "", **given: Any) -> dict[str, Any]:
        """Calls a method of the protocol and returns its result. ``until``: an event of the session
        that is waited for as well. Raises `BrowserFailed`.
        """
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": given}
        if session:
            message["sessionId"] = session
        try:
            os.write(self._to, json.dumps(message).encode() + b"\0")
        except OSError as error:
            raise BrowserFailed(f"the browser has ended: {error}") from error
        deadline = time.monotonic() + _PATIENCE_SECONDS
        result: dict[str, Any] | None = None
        happened = not until
        while result is None or not happened:
            answer = self._next(deadline, method)
            if answer.get("id") == message["id"]:
                if "error" in answer:
                    raise BrowserFailed(f"{method}: {answer['error']}")
                result = answer["result"]
            elif answer.get("method") == until and answer.get("sessionId", "") == session:
                happened = True
        return result

    def close(self) -> None:
        """Ends the process, and removes its profile."""
        for descriptor in (self._to, self._from):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        # The process leads a group of its own, which its helpers are in as well.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _next(self, deadline: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._from], [], [], left)[0]:
                raise BrowserFailed(f"{method}: no answer in {_PATIENCE_SECONDS:.0f} s")
            piece = os.read(self._from, 1 << 20)
            if not piece:
                raise BrowserFailed(f"{method}: the browser has ended")
            self._received += piece
        message, self._received = self._received.split(b"\0", 1)
        decoded: dict[str, Any] = json.loads(message)
        return decoded


class Page:
    """An open page of a `Browser`."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def open(self, url: str) -> None:
        """Goes to an address and waits until it is loaded. Raises `BrowserFailed`."""
        self._browser.call("Page.enable", self._session)
        done = self._browser.call(
            "Page.navigate", self._session, until="Page.loadEventFired", url=url
        )
        if "errorText" in done:
            raise BrowserFailed(f"{url}: {done['errorText']}")

    def run(self, script: str) -> Any:
        """The value of an expression, or of the promise that it is. Raises `BrowserFailed` if it
        throws.
        """
        done = self._browser.call(
            "Runtime.evaluate",
            self._session,
            expression=script,
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in done:
            raise BrowserFailed(json.dumps(done["exceptionDetails"])[:2000])
        return done["result"].get("value")

    def screenshot(self, width: int, height: int) -> str:
        """What is on the screen: a PNG in base64 of ``width`` x ``height`` pixels."""
        self._browser.call(
            "Emulation.setDeviceMetricsOverride",
            self._session,
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        shot = self._browser.call("Page.captureScreenshot", self._session, format="png")
        return str(shot["data"])


def _started(command: list[str]) -> tuple[int, int, int]:
    """Starts a process that reads from descriptor 3 and writes to 4; returns its id, and the other
    ends of both.
    """
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # Moved out of the way, so that setting up 3 does not close what 4 shall be.
    high_in, high_out = (
        fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (theirs_in, theirs_out)
    )
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        pid = os.posix_spawn(
            command[0],
            command,
            # Chromium asks a message bus for much that no test needs, and waits for the answers.
            {**os.environ, "DBUS_SESSION_BUS_ADDRESS": "disabled:"},
            file_actions=[
                *((os.POSIX_SPAWN_DUP2, nothing, stream) for stream in (0, 1, 2)),
                (os.POSIX_SPAWN_DUP2, high_in, 3),
                (os.POSIX_SPAWN_DUP2, high_out, 4),
            ],
            setpgroup=0,
        )
    finally:
        for end in (theirs_in, theirs_out, high_in, high_out, nothing):
            os.close(end)
    return pid, ours_out, ours_in
