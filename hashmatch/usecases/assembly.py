"""All use cases on one database, put together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hashmatch.access.authorizer import Authorizer
from hashmatch.access.oidc import Issuer
from hashmatch.decoding.intake import Intake
from hashmatch.store.audit import Audit
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.callers import CallerStore
from hashmatch.store.cases import CaseStore
from hashmatch.store.changes import History
from hashmatch.store.database import Database
from hashmatch.store.exports import ExportStore
from hashmatch.store.imports import ImportStore
from hashmatch.store.previews import PreviewStore
from hashmatch.store.screenings import ScreeningStore
from hashmatch.usecases.blocklist import Blocklist
from hashmatch.usecases.callers import Callers
from hashmatch.usecases.cases import Cases
from hashmatch.usecases.changes import Changes
from hashmatch.usecases.exports import Exports
from hashmatch.usecases.flood_watch import FloodWatch
from hashmatch.usecases.imports import Imports
from hashmatch.usecases.previews import Previews
from hashmatch.usecases.replica import DEFAULT_STALENESS_SECONDS, Replica
from hashmatch.usecases.screenings import Screenings

__all__ = ["UseCases", "assemble"]


@dataclass(frozen=True, slots=True)
class UseCases:
    """What doors ask for, and below it what they share: the blocklist in memory, the way of an
    upload to a worker, who may do what, and the stores that are used beside requests.
    """

    screenings: Screenings
    blocklist: Blocklist
    imports: Imports
    exports: Exports
    previews: Previews
    cases: Cases
    changes: Changes
    callers: Callers
    authorizer: Authorizer
    replica: Replica
    intake: Intake
    history: History
    blocklist_store: BlocklistStore
    screening_store: ScreeningStore


def assemble(
    database: Database,
    intake: Intake,
    *,
    index_file: Path | None = None,
    max_staleness_seconds: float = DEFAULT_STALENESS_SECONDS,
    issuer: Issuer | None = None,
    open_to_all: bool = False,
) -> UseCases:
    """Use cases on a database that is migrated, or is before the first is used.

    ``index_file`` keeps the index from one start to the next; None: nowhere. ``issuer`` vouches for
    callers that are not created here. ``open_to_all``: authentication is off.
    """
    blocklist, screenings = BlocklistStore(database), ScreeningStore(database)
    history, audit, callers = History(database), Audit(database), CallerStore(database)
    replica = Replica(blocklist, file=index_file, max_staleness_seconds=max_staleness_seconds)
    authorizer = Authorizer(callers, audit, issuer=issuer, open_to_all=open_to_all)
    return UseCases(
        screenings=Screenings(screenings, replica, intake, FloodWatch(screenings, blocklist)),
        blocklist=Blocklist(blocklist, replica, intake, audit),
        imports=Imports(ImportStore(database), blocklist, replica),
        exports=Exports(ExportStore(database), blocklist, audit),
        previews=Previews(PreviewStore(database), blocklist, replica, audit),
        cases=Cases(CaseStore(database)),
        changes=Changes(history, replica, audit),
        callers=Callers(callers, audit, authorizer),
        authorizer=authorizer,
        replica=replica,
        intake=intake,
        history=history,
        blocklist_store=blocklist,
        screening_store=screenings,
    )
