"""Keeping the answer to an idempotency key, as a part of the statement that writes its effect."""

from __future__ import annotations

from sqlalchemy import (
    CTE,
    Table,
    TableValuedAlias,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from fhir_server.store.tables import Instant


def insert_answer(idempotency: Table, written: CTE) -> CTE:
    """One for each key, in the place of an expired one, which is deleted first: counting it makes
    it so."""
    names = ("caller", "fingerprint", "status", "headers", "answer")
    expired = select(func.count()).select_from(_delete_expired(idempotency)).scalar_subquery()
    keys = _given_keys()
    source = select(
        cast(bindparam("tenant"), Text),
        *(cast(bindparam(f"i_{name}"), idempotency.c[name].type) for name in names),
        bindparam("now", type_=idempotency.c.created.type),
        keys.c.key,
        keys.c.expires,
    )
    there = select(literal_column("1")).select_from(written).exists()
    source = source.select_from(keys).where(there, expired >= literal_column("0"))
    columns = ["tenant", *names, "created", "key", "expires"]
    return insert(idempotency).from_select(columns, source).cte("answered")


def _given_keys() -> TableValuedAlias:
    arrays = (
        cast(bindparam(f"i_{name}"), ARRAY(of))
        for name, of in (("keys", Text), ("expires", Instant))
    )
    return func.unnest(*arrays).table_valued("key", "expires").render_derived()


def _delete_expired(idempotency: Table) -> CTE:
    columns = idempotency.c
    return (
        delete(idempotency)
        .where(
            columns.caller == cast(bindparam("i_caller"), Text),
            columns.key == any_(cast(bindparam("i_keys"), ARRAY(Text))),
            columns.expires <= bindparam("now", type_=columns.expires.type),
        )
        .returning(columns.key)
        .cte("expired")
    )
