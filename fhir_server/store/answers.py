"""Keeping the answer to an idempotency key, as a part of the statement that writes its effect."""

from __future__ import annotations

from sqlalchemy import (
    CTE,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
)


def insert_answer(idempotency: Table, written: CTE) -> CTE:
    """In the place of an expired one, which is deleted first: counting it makes it so."""
    names = ("caller", "key", "fingerprint", "status", "headers", "answer", "expires")
    expired = select(func.count()).select_from(_delete_expired(idempotency)).scalar_subquery()
    source = select(
        cast(bindparam("tenant"), Text),
        *(cast(bindparam(f"i_{name}"), idempotency.c[name].type) for name in names),
        bindparam("now", type_=idempotency.c.created.type),
    )
    source = source.select_from(written).where(expired >= literal_column("0"))
    return insert(idempotency).from_select(["tenant", *names, "created"], source).cte("answered")


def _delete_expired(idempotency: Table) -> CTE:
    columns = idempotency.c
    return (
        delete(idempotency)
        .where(
            columns.caller == cast(bindparam("i_caller"), Text),
            columns.key == cast(bindparam("i_key"), Text),
            columns.expires <= bindparam("now", type_=columns.expires.type),
        )
        .returning(columns.key)
        .cte("expired")
    )
