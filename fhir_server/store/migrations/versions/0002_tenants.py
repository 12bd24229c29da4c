"""A function that tells the names of all tenants, and can tell nothing else.

It runs as a role of its own, which may read the column `tenant` and no other (see `_protect`).
"""

from alembic import op
from sqlalchemy import text

from fhir_server.store.migrations import LISTER, create_role
from fhir_server.store.pool import APP_ROLE

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Creates role and function; the index goes whose place `idempotency_expires` takes."""
    connection = op.get_bind()
    superuser = connection.scalar(
        text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    )
    connection.execute(text(create_role(LISTER)))
    for statement in _FUNCTION if superuser else (*_BORROW, *_FUNCTION, *_RETURN):
        connection.execute(text(statement))
    connection.execute(text("DROP INDEX IF EXISTS idempotency_created"))


# One look into an index for each tenant and table.
_FUNCTION = (
    """
CREATE FUNCTION fhir_server_tenants() RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE listed regclass;
BEGIN
  FOR listed IN SELECT polrelid FROM pg_policy WHERE polname = 'names' LOOP
    RETURN QUERY EXECUTE format(
      'WITH RECURSIVE found AS ('
      ' SELECT min(tenant) AS tenant FROM %1$s'
      ' UNION ALL SELECT (SELECT min(t.tenant) FROM %1$s t WHERE t.tenant > found.tenant)'
      ' FROM found WHERE found.tenant IS NOT NULL)'
      ' SELECT tenant FROM found WHERE tenant IS NOT NULL', listed);
  END LOOP;
END $$
""",
    "REVOKE ALL ON FUNCTION fhir_server_tenants() FROM PUBLIC",
    f"GRANT EXECUTE ON FUNCTION fhir_server_tenants() TO {APP_ROLE}",
    f"GRANT USAGE ON SCHEMA public TO {LISTER}",
    f"ALTER FUNCTION fhir_server_tenants() OWNER TO {LISTER}",
)
# To give a function away, one must be a member of the new owner, who may create in the schema.
_BORROW = (
    f"GRANT {LISTER} TO CURRENT_USER",
    f"GRANT CREATE ON SCHEMA public TO {LISTER}",
)
_RETURN = (
    f"REVOKE CREATE ON SCHEMA public FROM {LISTER}",
    f"REVOKE {LISTER} FROM CURRENT_USER",
)
