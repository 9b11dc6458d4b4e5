"""Imports, both ways."""

from __future__ import annotations

from hashmatch.model.imports import Format, Import, ImportProblem, ImportState, ProblemCode
from hashmatch.v1 import blocklist_service_pb2 as pb
from hashmatch.wire.enums import known, to_wire
from hashmatch.wire.records import (
    instant,
    provenance_from_wire,
    provenance_to_wire,
    timestamp,
)

__all__ = ["import_from_wire", "import_to_wire"]


def import_to_wire(made: Import) -> pb.Import:
    """A record as a message."""
    return pb.Import(
        import_id=made.import_id,
        bank_id=made.bank_id,
        bank_name=made.bank_name,
        state=to_wire(made.state),
        format=to_wire(made.format) if made.format else pb.FORMAT_UNSPECIFIED,
        lines=made.lines,
        created=made.created,
        known=made.known,
        withdrawn_before=made.withdrawn_before,
        broken=made.broken,
        provenance=provenance_to_wire(made.provenance),
        proposed_by=made.proposed_by,
        approved_by=made.approved_by,
        revision=made.revision,
        create_time=timestamp(made.create_time),
        update_time=timestamp(made.update_time),
        dry_run=made.dry_run,
        problems=[
            pb.ImportProblem(line=each.line, code=to_wire(each.code), problem=each.problem)
            for each in made.problems
        ],
    )


def import_from_wire(message: pb.Import) -> Import:
    """A message as a record."""
    return Import(
        import_id=message.import_id,
        bank_id=message.bank_id,
        bank_name=message.bank_name,
        state=known(ImportState, message.state),
        format=known(Format, message.format) if message.format else None,
        lines=message.lines,
        created=message.created,
        known=message.known,
        withdrawn_before=message.withdrawn_before,
        broken=message.broken,
        provenance=provenance_from_wire(message.provenance),
        proposed_by=message.proposed_by,
        approved_by=message.approved_by,
        revision=message.revision,
        create_time=instant(message.create_time),
        update_time=instant(message.update_time),
        dry_run=message.dry_run,
        problems=tuple(
            ImportProblem(each.line, known(ProblemCode, each.code), each.problem)
            for each in message.problems
        ),
    )
