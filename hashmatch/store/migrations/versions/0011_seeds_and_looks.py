"""What a screening was made with: the secret that its frames were chosen by, and what looked at it.

Nullable: a server of the version before goes on writing screenings without them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("screenings", sa.Column("seed", sa.LargeBinary(), nullable=True))
    op.add_column("screenings", sa.Column("look_version", sa.Text(), nullable=True))
