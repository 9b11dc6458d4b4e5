"""The client's calls of ScreeningService."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Sequence

from hashmatch.client._connection import Calls, new_request_id
from hashmatch.client._media import MediaSource, Progress
from hashmatch.client._paging import Cursor
from hashmatch.model.records import Screening
from hashmatch.model.verdicts import Verdict
from hashmatch.v1 import common_pb2
from hashmatch.v1 import screening_service_pb2 as pb
from hashmatch.wire.records import screening_from_wire, timestamp

__all__ = ["ScreeningCalls"]


class ScreeningCalls(Calls):
    """Screens uploads."""

    async def screen(
        self,
        media: MediaSource,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Screening:
        """Screens a video or an image. Publish only what is `Verdict.NO_MATCH`.

        The answer may come before the whole file was sent. A file that cannot be decoded is no
        error: its screening is `Verdict.INCONCLUSIVE` and says why.

        Args:
            media: The path of a file, its bytes, or a file opened for reading bytes, which is read
                from its position on and stays open. A source that can seek is read up to the size
                that it has now; one that cannot is read once, so that the call is not retried.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID. Keep the id if the
                process may die between the call and the use of its answer.
            timeout_seconds: Deadline in seconds, retries included. None: the client's; 0: no
                deadline, and one attempt.
            progress: Called after each chunk with the number of bytes sent and the size in bytes, 0
                if the size is unknown. Runs in the thread of the event loop: it must not block.

        Returns:
            The screening, stored by the server. Evidence is withheld from a caller that is neither
            REVIEWER nor AUDITOR.

        Raises:
            OSError: The path cannot be opened, or reading the source failed.
            InvalidField: ``request_id`` is malformed.
            RequestIdReused: ``request_id`` was used for another upload.
            UploadMismatch: The source ended before the size that it had at the beginning.
            AccessDenied: The credentials are invalid, or the caller lacks the role PIPELINE.
            Unavailable: The server could not be reached, had no room (`Overloaded`, `SpoolFull`),
                or did not answer, until the deadline.
        """
        request_id = request_id or new_request_id()
        response = await self._connection.upload(
            self._connection.screening.ScreenUpload,
            lambda size: pb.ScreenUploadRequest(
                header=pb.ScreenUploadHeader(request_id=request_id, size_bytes=size)
            ),
            lambda chunk: pb.ScreenUploadRequest(chunk=chunk),
            media,
            progress=progress,
            timeout_seconds=timeout_seconds,
        )
        return screening_from_wire(response.screening)

    async def screen_signals(
        self,
        signals: Sequence[common_pb2.Signals],
        *,
        duration_ms: int,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Screening:
        """Screens media by hashes that the caller made of it.

        Args:
            signals: The hashes, one message for each kind, as ``hashmatch.v1.common_pb2`` defines
                them. `Verdict.NO_MATCH` needs every kind that the blocklist uses, and hashes of
                frames that lie at most a second apart from the start to the end.
            duration_ms: Running time of the media in milliseconds, 0 to 100 days; 0 for an image.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.
            timeout_seconds: Deadline in seconds, retries included. None: the client's; 0: no
                deadline, and one attempt.

        Returns:
            The screening, stored by the server; its coverage is marked ``by_caller``.

        Raises:
            InvalidField: There are no hashes, they are malformed, or another argument is out of
                range.
            RequestIdReused: ``request_id`` was used for other hashes.
            AccessDenied: The credentials are invalid, or the caller lacks the role PIPELINE.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.ScreenSignalsRequest(
            request_id=request_id or new_request_id(), signals=signals, duration_ms=duration_ms
        )
        response = await self._connection.unary(
            self._connection.screening.ScreenSignals, request, timeout_seconds
        )
        return screening_from_wire(response.screening)

    async def confirm(
        self,
        screening_id: str,
        *,
        request_id: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Screening:
        """Judges a screening again, by the current blocklist and without decoding. Call it right
        before publishing, so that an entry added since the upload is not missed.

        Args:
            screening_id: Id of the screening, "scr_" and 26 characters.
            request_id: Makes the call safe to repeat: the server answers a repeat by its first
                answer. 1 to 64 letters, digits, "-" and "_"; None: a new UUID.
            timeout_seconds: Deadline in seconds, retries included. None: the client's; 0: no
                deadline, and one attempt.

        Returns:
            The screening with the new verdict; ``judgement`` counts its verdicts from 1.

        Raises:
            ScreeningNotFound: No screening has this id, or it is another caller's.
            InvalidField: An argument is malformed.
            RequestIdReused: ``request_id`` was used for another call.
            AccessDenied: The credentials are invalid, or the caller lacks the role PIPELINE.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.ConfirmScreeningRequest(
            request_id=request_id or new_request_id(), screening_id=screening_id
        )
        response = await self._connection.unary(
            self._connection.screening.ConfirmScreening, request, timeout_seconds
        )
        return screening_from_wire(response.screening)

    async def get_screening(self, screening_id: str) -> Screening:
        """Gets a screening.

        Args:
            screening_id: Id of the screening, "scr_" and 26 characters.

        Returns:
            The screening with its newest verdict.

        Raises:
            ScreeningNotFound: No screening has this id, or the caller may not see it.
            InvalidField: ``screening_id`` is empty or not an id.
            AccessDenied: The credentials are invalid, or the caller has none of the roles PIPELINE,
                REVIEWER, AUDITOR.
            Unavailable: The server could not be reached, or did not answer, until the deadline.
        """
        request = pb.GetScreeningRequest(screening_id=screening_id)
        response = await self._connection.unary(self._connection.screening.GetScreening, request)
        return screening_from_wire(response.screening)

    def list_screenings(
        self,
        *,
        verdict: Verdict | None = None,
        since: datetime.datetime | None = None,
        cursor: Cursor | None = None,
    ) -> AsyncGenerator[Screening]:
        """Lists screenings, newest first. A caller that is neither REVIEWER nor AUDITOR gets its
        own alone.

        Args:
            verdict: The newest verdict that listed screenings have. None: any.
            since: The earliest time of creation, with a time zone. None: no limit.
            cursor: Where the list begins and how many screenings it has, moved along as the list is
                read. None: all.

        Yields:
            Screenings with their newest verdicts; pages are asked for as they are read.

        Raises:
            InvalidField: The token of ``cursor`` is not of this list.
            AccessDenied: The credentials are invalid, or the caller has none of the roles PIPELINE,
                REVIEWER, AUDITOR.
            Unavailable: The server could not be reached, or did not answer, until the deadline of a
                page.
        """
        request = pb.ListScreeningsRequest(
            verdict=int(verdict or 0),  # type: ignore[arg-type]
            created_since=None if since is None else timestamp(since),
        )
        return self._connection.items(
            self._connection.screening.ListScreenings,
            request,
            lambda page: page.screenings,
            screening_from_wire,
            cursor,
        )
