"""Hashes of squares (PDQ_PATCH) without their places go: nothing can be told by them any more.

Their entries keep their other hashes; whoever wants squares of them adds their media again. Stored
screenings keep the version that they were hashed by, so that they are INCONCLUSIVE when confirmed.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_PDQ_PATCH = 6


def upgrade() -> None:
    connection = op.get_bind()
    for name in ("entry_signals", "screening_signals"):
        table = sa.table(name, sa.column("kind"))
        connection.execute(sa.delete(table).where(table.c.kind == _PDQ_PATCH))
    for seq, kinds in connection.execute(sa.text("SELECT seq, kinds FROM entries")).all():
        told = json.loads(kinds) if isinstance(kinds, str) else kinds
        kept = [each for each in told if each[0] != _PDQ_PATCH]
        if kept != told:
            connection.execute(
                sa.text("UPDATE entries SET kinds = :kinds WHERE seq = :seq"),
                {"kinds": json.dumps(kept), "seq": seq},
            )
