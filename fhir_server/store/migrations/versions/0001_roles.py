"""The role that row-level security binds, and index use beneath row-level security."""

from alembic import op
from sqlalchemy import Connection, text

from fhir_server.store.migrations import LEAKPROOF, create_role
from fhir_server.store.pool import APP_ROLE

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates the role once in the cluster and lets the migrator act as it."""
    connection = op.get_bind()
    connection.execute(text(create_role(APP_ROLE)))
    connection.execute(text(f"GRANT {APP_ROLE} TO CURRENT_USER"))
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {APP_ROLE}"))
    if _is_superuser(connection):
        for statement in LEAKPROOF:
            connection.execute(text(statement))


def _is_superuser(connection: Connection) -> bool:
    return bool(
        connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"))
    )
