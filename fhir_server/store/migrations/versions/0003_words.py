"""Index use for words beneath row-level security."""

from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"

# It compares what it is given, and raises no error that could tell of it.
_LEAKPROOF = "ALTER FUNCTION pg_catalog.ts_match_vq(tsvector, tsquery) LEAKPROOF"


def upgrade() -> None:
    """As for the operators on keys: only a superuser may."""
    connection = op.get_bind()
    superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    if connection.scalar(text(superuser)):
        connection.execute(text(_LEAKPROOF))
