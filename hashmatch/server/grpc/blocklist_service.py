"""BlocklistService: parse, call, translate."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

from hashmatch.errors import InvalidField
from hashmatch.model import ids
from hashmatch.model.commands import BankEdit, NewEntry
from hashmatch.model.exports import ExportQuery
from hashmatch.model.imports import Format
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Action, Activation, BankState, EntryState, Kind
from hashmatch.server.grpc import fields
from hashmatch.server.grpc.uploads import open_upload, told_when_taken
from hashmatch.usecases.blocklist import Blocklist
from hashmatch.usecases.changes import Changes
from hashmatch.usecases.exports import Exports
from hashmatch.usecases.imports import Imports, ListSaid
from hashmatch.usecases.previews import DEFAULT_SCREENINGS, MOST_SCREENINGS, Previews
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.v1 import blocklist_service_pb2_grpc as pb_grpc
from hashmatch.wire.enums import from_wire, optional_from_wire
from hashmatch.wire.exports import exported_to_wire
from hashmatch.wire.records import (
    bank_to_wire,
    entry_to_wire,
    import_to_wire,
    preview_to_wire,
    watched_to_wire,
)
from hashmatch.wire.signals import signals_from_wire

__all__ = ["BlocklistService"]

_LONGEST_LABEL: Final = 64
_LONGEST_REFERENCE: Final = 256
_LONGEST_NOTE: Final = 2000
_LONGEST_TOKEN: Final = 64


class BlocklistService(pb_grpc.BlocklistServiceServicer):
    """See blocklist_service.proto."""

    def __init__(
        self,
        blocklist: Blocklist,
        imports: Imports,
        exports: Exports,
        feed: Changes,
        previews: Previews,
    ) -> None:
        """Serves one `Blocklist`, what comes and goes as lists, the feed of its changes, and
        previews of them.
        """
        self._blocklist = blocklist
        self._imports = imports
        self._exports = exports
        self._feed = feed
        self._previews = previews

    async def CreateBank(
        self, request: pb.CreateBankRequest, context: Any
    ) -> pb.CreateBankResponse:
        """See the proto."""
        bank = await self._blocklist.create_bank(
            fields.change(request, request.request_id),
            fields.name(request.name, ids.BANK),
            fields.text("label", request.label, _LONGEST_LABEL),
            from_wire(Action, request.action, "action"),
            fields.thresholds(request.kinds),
            optional_from_wire(Activation, request.activation, "activation")
            or Activation.ONE_PERSON,
            fields.policy(request.policy),
        )
        return pb.CreateBankResponse(bank=bank_to_wire(bank))

    async def GetBank(self, request: pb.GetBankRequest, context: Any) -> pb.GetBankResponse:
        """See the proto."""
        bank = await self._blocklist.get_bank(fields.required("bank", request.bank))
        return pb.GetBankResponse(bank=bank_to_wire(bank))

    async def ListBanks(self, request: pb.ListBanksRequest, context: Any) -> pb.ListBanksResponse:
        """See the proto."""
        page = await self._blocklist.list_banks(
            fields.page_token(request.page_token),
            fields.page_size(request.page_size),
            optional_from_wire(BankState, request.state, "state"),
        )
        return pb.ListBanksResponse(
            banks=[bank_to_wire(each) for each in page.items],
            next_page_token=page.next_token,
            revision=page.revision,
        )

    async def UpdateBank(
        self, request: pb.UpdateBankRequest, context: Any
    ) -> pb.UpdateBankResponse:
        """See the proto."""
        edit = BankEdit(
            name=fields.name(request.name, ids.BANK) if request.HasField("name") else None,
            label=(
                fields.text("label", request.label, _LONGEST_LABEL)
                if request.HasField("label")
                else None
            ),
            action=optional_from_wire(Action, request.action, "action"),
            thresholds=fields.thresholds(request.kinds) or None,
            activation=optional_from_wire(Activation, request.activation, "activation"),
            policy=fields.policy(request.policy) if request.HasField("policy") else None,
        )
        bank = await self._blocklist.update_bank(
            fields.change(request, request.request_id),
            fields.required("bank", request.bank),
            request.etag,
            edit,
        )
        return pb.UpdateBankResponse(bank=bank_to_wire(bank))

    async def ArchiveBank(
        self, request: pb.ArchiveBankRequest, context: Any
    ) -> pb.ArchiveBankResponse:
        """See the proto."""
        bank = await self._blocklist.archive_bank(
            fields.change(request, request.request_id),
            fields.required("bank", request.bank),
            request.etag,
        )
        return pb.ArchiveBankResponse(bank=bank_to_wire(bank))

    async def CreateEntryFromMedia(
        self, request_iterator: AsyncIterator[pb.CreateEntryFromMediaRequest], context: Any
    ) -> pb.CreateEntryFromMediaResponse:
        """See the proto."""
        header, chunks = await open_upload(request_iterator)
        entry = await self._blocklist.create_entry_from_media(
            fields.change(header, header.request_id),
            fields.required("bank", header.bank),
            _new_entry(header, ()),
            told_when_taken(chunks, context),
            fields.size_bytes(header.size_bytes),
        )
        return pb.CreateEntryFromMediaResponse(entry=entry_to_wire(entry))

    async def CreateEntryFromSignals(
        self, request: pb.CreateEntryFromSignalsRequest, context: Any
    ) -> pb.CreateEntryFromSignalsResponse:
        """See the proto."""
        signals = signals_from_wire(request.signals)
        if not signals:
            raise InvalidField("signals", "at least one is needed")
        entry = await self._blocklist.create_entry(
            fields.change(request, request.request_id),
            fields.required("bank", request.bank),
            _new_entry(request, signals),
        )
        return pb.CreateEntryFromSignalsResponse(entry=entry_to_wire(entry))

    async def GetEntry(self, request: pb.GetEntryRequest, context: Any) -> pb.GetEntryResponse:
        """See the proto."""
        entry = await self._blocklist.get_entry(
            fields.reading(), fields.required("entry_id", request.entry_id)
        )
        return pb.GetEntryResponse(entry=entry_to_wire(entry))

    async def ListEntries(
        self, request: pb.ListEntriesRequest, context: Any
    ) -> pb.ListEntriesResponse:
        """See the proto."""
        page = await self._blocklist.list_entries(
            fields.reading(),
            fields.page_token(request.page_token),
            fields.page_size(request.page_size),
            fields.required("bank", request.bank) if request.bank else None,
            optional_from_wire(EntryState, request.state, "state"),
        )
        return pb.ListEntriesResponse(
            entries=[entry_to_wire(each) for each in page.items],
            next_page_token=page.next_token,
            revision=page.revision,
        )

    async def ApproveEntry(
        self, request: pb.ApproveEntryRequest, context: Any
    ) -> pb.ApproveEntryResponse:
        """See the proto."""
        entry = await self._blocklist.approve_entry(
            fields.change(request, request.request_id),
            fields.required("entry_id", request.entry_id),
            fields.paragraphs("why", request.why, _LONGEST_NOTE),
        )
        return pb.ApproveEntryResponse(entry=entry_to_wire(entry))

    async def WithdrawEntry(
        self, request: pb.WithdrawEntryRequest, context: Any
    ) -> pb.WithdrawEntryResponse:
        """See the proto."""
        entry = await self._blocklist.withdraw_entry(
            fields.change(request, request.request_id),
            fields.required("entry_id", request.entry_id),
            fields.paragraphs("why", request.why, _LONGEST_NOTE),
        )
        return pb.WithdrawEntryResponse(entry=entry_to_wire(entry))

    async def ReleaseEntry(
        self, request: pb.ReleaseEntryRequest, context: Any
    ) -> pb.ReleaseEntryResponse:
        """See the proto."""
        entry = await self._blocklist.release_entry(
            fields.change(request, request.request_id),
            fields.required("entry_id", request.entry_id),
            fields.paragraphs("why", request.why, _LONGEST_NOTE),
        )
        return pb.ReleaseEntryResponse(entry=entry_to_wire(entry))

    async def ImportEntries(
        self, request_iterator: AsyncIterator[pb.ImportEntriesRequest], context: Any
    ) -> pb.ImportEntriesResponse:
        """See the proto."""
        header, chunks = await open_upload(request_iterator)
        made = await self._imports.add(
            fields.change(header, header.request_id),
            fields.required("bank", header.bank),
            ListSaid(
                optional_from_wire(Format, header.format, "format"),
                optional_from_wire(Kind, header.kind, "kind"),
                fields.text("reference", header.reference, _LONGEST_REFERENCE),
                fields.text("label", header.label, _LONGEST_LABEL),
                fields.provenance(header.provenance),
                header.pending,
            ),
            chunks,
            dry_run=header.dry_run,
        )
        return pb.ImportEntriesResponse(**{"import": import_to_wire(made)})

    async def GetImport(self, request: pb.GetImportRequest, context: Any) -> pb.GetImportResponse:
        """See the proto."""
        import_id = fields.required("import_id", request.import_id)
        found = await self._imports.get(fields.reading(), import_id)
        return pb.GetImportResponse(**{"import": import_to_wire(found)})

    async def ListImports(
        self, request: pb.ListImportsRequest, context: Any
    ) -> pb.ListImportsResponse:
        """See the proto."""
        page = await self._imports.list(
            fields.reading(),
            fields.page_token(request.page_token),
            fields.page_size(request.page_size),
        )
        return pb.ListImportsResponse(
            imports=[import_to_wire(each) for each in page.items],
            next_page_token=page.next_token,
        )

    async def ApproveImport(
        self, request: pb.ApproveImportRequest, context: Any
    ) -> pb.ApproveImportResponse:
        """See the proto."""
        approved = await self._imports.approve(
            fields.change(request, request.request_id),
            fields.required("import_id", request.import_id),
            fields.paragraphs("why", request.why, _LONGEST_NOTE),
        )
        return pb.ApproveImportResponse(**{"import": import_to_wire(approved)})

    async def WithdrawImport(
        self, request: pb.WithdrawImportRequest, context: Any
    ) -> pb.WithdrawImportResponse:
        """See the proto."""
        withdrawn = await self._imports.withdraw(
            fields.change(request, request.request_id),
            fields.required("import_id", request.import_id),
            fields.paragraphs("why", request.why, _LONGEST_NOTE),
        )
        return pb.WithdrawImportResponse(**{"import": import_to_wire(withdrawn)})

    async def WatchChanges(
        self, request: pb.WatchChangesRequest, context: Any
    ) -> AsyncGenerator[pb.WatchChangesResponse]:
        """See the proto."""
        after = fields.position(request.after_revision, request.resume_token)
        async with contextlib.aclosing(self._feed.watch(fields.reading(), after)) as feed:
            async for told in feed:
                yield watched_to_wire(told)

    async def ExportEntries(
        self, request: pb.ExportEntriesRequest, context: Any
    ) -> AsyncGenerator[pb.ExportEntriesResponse]:
        """See the proto."""
        asked = ExportQuery(
            optional_from_wire(EntryState, request.state, "state"),
            frozenset(from_wire(Kind, kind, "kinds") for kind in request.kinds),
            fields.since_ms(request, "created_since"),
        )
        read = self._exports.read(
            fields.reading(),
            fields.required("bank", request.bank),
            asked,
            fields.text("resume_token", request.resume_token, _LONGEST_TOKEN),
        )
        async with contextlib.aclosing(read) as found:
            async for parts in found:
                # Thousands of hashes: others would wait meanwhile.
                yield await asyncio.to_thread(exported_to_wire, parts)

    async def PreviewEntry(
        self, request: pb.PreviewEntryRequest, context: Any
    ) -> pb.PreviewEntryResponse:
        """See the proto."""
        preview = await self._previews.of_entry(
            fields.reading(),
            fields.required("entry_id", request.entry_id),
            _screenings(request),
            benign=request.benign or not request.HasField("benign"),
        )
        return pb.PreviewEntryResponse(preview=preview_to_wire(preview))

    async def PreviewImport(
        self, request: pb.PreviewImportRequest, context: Any
    ) -> pb.PreviewImportResponse:
        """See the proto."""
        preview = await self._previews.of_import(
            fields.reading(),
            fields.required("import_id", request.import_id),
            _screenings(request),
            benign=request.benign or not request.HasField("benign"),
        )
        return pb.PreviewImportResponse(preview=preview_to_wire(preview))


def _screenings(request: pb.PreviewEntryRequest | pb.PreviewImportRequest) -> int:
    if not request.HasField("screenings"):
        return DEFAULT_SCREENINGS
    if not 0 <= request.screenings <= MOST_SCREENINGS:
        raise InvalidField(
            "screenings", f"{request.screenings} is not within 0 and {MOST_SCREENINGS}"
        )
    return request.screenings


def _new_entry(
    said: pb.CreateEntryFromMediaHeader | pb.CreateEntryFromSignalsRequest,
    signals: Sequence[Signals],
) -> NewEntry:
    return NewEntry(
        fields.text("reference", said.reference, _LONGEST_REFERENCE),
        fields.text("label", said.label, _LONGEST_LABEL),
        signals,
        provenance=fields.provenance(said.provenance),
        expire_time=fields.expiry(said),
        pending=said.pending,
    )
