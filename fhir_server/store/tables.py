"""The tables: one per resource type for current rows, and the shared ones beside them.

Layout of a resource table: the stored JSON text (type json keeps it verbatim), the hashed
(parameter, value) keys of every equality parameter, sort values, and a typed column for each hot
parameter that capability/ declares. Row-level security restricts every table (see migrations/).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, TSVECTOR

from fhir_server.definitions.model import HotIndex, SearchParameter, ServedType

# How the name of a hot parameter's column begins.
HOT = "p_"
Instant = DateTime(timezone=True)
# Byte order, so that prefixes become ranges that a B-tree serves.
Bytewise = Text(collation="C")
# The columns of words, by the parameter that declares them.
WORDS: Final[Mapping[str, str]] = {"_text": HOT + "_text", "_content": HOT + "_content"}
WAITING = "published IS NULL AND dead IS NULL"
# Kilobytes of a GIN index that are not sorted in yet. Every look-up reads them all: with the 4 MB
# that PostgreSQL allows it takes ten times as long while others write.
PENDING: Final = {"gin_pending_list_limit": 64}
# Of a type that the server alone writes, for every read: to sort many in at once costs a third.
UNREAD: Final = {"gin_pending_list_limit": 4096}
MADE = "method and status of the request that made the version: PUT 200"


def column_name(code: str) -> str:
    """`part-of` → `p_part_of`."""
    return HOT + code.replace("-", "_").lstrip("_")


def table_name(resource_type: str) -> str:
    """`CareTeam` → `careteam`."""
    return resource_type.lower()


def hot_columns(parameter: SearchParameter) -> Iterator[Column[object]]:
    """The typed columns of a hot parameter: one for a reference, low and high for a date."""
    name = column_name(parameter.code)
    if parameter.type == "date":
        yield Column(name, Instant)
        yield Column(name + "_high", Instant)
    else:
        yield Column(name, Bytewise)


@dataclass(frozen=True, slots=True)
class ResourceTables:
    """`current` rows of a type and `values`: its ordered (non-equality) search values."""

    current: Table
    values: Table


def _current(metadata: MetaData, served: ServedType) -> Table:
    name = table_name(served.name)
    hot = [column for parameter in served.hot for column in hot_columns(parameter)]
    words = [WORDS[code] for code in WORDS if code in served.search]
    return Table(
        name,
        metadata,
        Column("tenant", Text, nullable=False),
        Column("id", Bytewise, nullable=False),
        Column("version", Integer, nullable=False),
        Column("updated", Instant, nullable=False),
        Column("body", JSON, nullable=False),
        Column("indexed", BigInteger, comment="fingerprint of the declarations it was indexed by"),
        Column("keys", ARRAY(BigInteger), nullable=False),
        Column("sorts", JSONB, nullable=False, server_default=text("'{}'")),
        Column("made", Text, comment=MADE),
        *hot,
        *(Column(column, TSVECTOR) for column in words),
        PrimaryKeyConstraint("tenant", "id", name=f"{name}_pk"),
        Index(f"{name}_updated", "tenant", "updated", "id"),
        Index(
            f"{name}_keys",
            "keys",
            postgresql_using="gin",
            postgresql_with=PENDING if served.writable else UNREAD,
        ),
        *(_hot_index(name, index) for index in served.indexes),
        *(_words_index(name, column) for column in words),
    )


def _words_index(table: str, column: str) -> Index:
    there = text(f"{column} IS NOT NULL")
    label = f"{table}_{column.removeprefix(HOT)}"
    return Index(
        label, column, postgresql_using="gin", postgresql_with=PENDING, postgresql_where=there
    )


def _hot_index(table: str, index: HotIndex) -> Index:
    columns = ", ".join(
        column_name(code) + (" DESC NULLS LAST" if descending else "")
        for code, descending in index.columns
    )
    label = "_".join(column_name(code)[2:] for code, _ in index.columns)
    last = "id DESC" if index.columns[-1][1] else "id"
    return Index(f"{table}_{label}", text("tenant"), *map(text, [*columns.split(", "), last]))


def _values(metadata: MetaData, served: ServedType) -> Table:
    name = table_name(served.name) + "_value"
    return Table(
        name,
        metadata,
        Column("tenant", Text, nullable=False),
        Column("id", Bytewise, nullable=False),
        Column("param", Text, nullable=False),
        Column("norm", Bytewise),
        Column("exact", Bytewise),
        Column("low", Numeric),
        Column("high", Numeric),
        Column("since", Instant),
        Column("until", Instant),
        Column("unit", Text),
        Column("part", Integer, comment="the element of a composite that the row is a part of"),
        Index(f"{name}_owner", "tenant", "id"),
        Index(f"{name}_norm", "tenant", "param", "norm", postgresql_where=text("norm IS NOT NULL")),
        Index(f"{name}_low", "tenant", "param", "low", postgresql_where=text("low IS NOT NULL")),
        Index(
            f"{name}_since", "tenant", "param", "since", postgresql_where=text("since IS NOT NULL")
        ),
    )


@dataclass(frozen=True, slots=True)
class Tables:
    """Every table of the store; `resources` by type name."""

    metadata: MetaData
    resources: Mapping[str, ResourceTables]
    history: Table
    outbox: Table
    idempotency: Table
    tenant: Table
    audit_link: Table


def _history(metadata: MetaData) -> Table:
    """Superseded and deleted versions; the current one stays in its own table."""
    return Table(
        "history",
        metadata,
        Column("tenant", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("id", Bytewise, nullable=False),
        Column("version", Integer, nullable=False),
        Column("updated", Instant, nullable=False),
        Column("body", JSON, comment="null in the version that says it was deleted"),
        Column("made", Text, comment=MADE),
        PrimaryKeyConstraint("tenant", "type", "id", "version", name="history_pk"),
        Index("history_updated", "tenant", "type", "updated"),
    )


def _outbox(metadata: MetaData) -> Table:
    return Table(
        "outbox",
        metadata,
        Column("tenant", Text, nullable=False),
        Column("seq", BigInteger, Identity(always=True), nullable=False),
        Column("id", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("subject", Text, nullable=False, comment="the aggregate, as Type/id"),
        Column("time", Instant, nullable=False),
        Column("data", JSONB, nullable=False),
        Column("published", Instant),
        Column("dead", Instant, comment="when it was given up; `failure` says why"),
        Column("failure", Text),
        Column("tries", SmallInteger, nullable=False, server_default=text("0")),
        Column("retry", Instant, comment="not to be tried before"),
        PrimaryKeyConstraint("tenant", "seq", name="outbox_pk"),
        Index("outbox_waiting", "tenant", "seq", postgresql_where=text(WAITING)),
        Index("outbox_done", "tenant", "published", postgresql_where=text("published IS NOT NULL")),
        Index("outbox_dead", "tenant", "seq", postgresql_where=text("dead IS NOT NULL")),
    )


def _idempotency(metadata: MetaData) -> Table:
    return Table(
        "idempotency",
        metadata,
        Column("tenant", Text, nullable=False),
        Column("caller", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("fingerprint", Text, nullable=False),
        Column("status", SmallInteger, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("answer", JSON, nullable=False),
        Column("created", Instant, nullable=False),
        Column("expires", Instant, nullable=False, server_default=text("now() + interval '1 day'")),
        PrimaryKeyConstraint("tenant", "caller", "key", name="idempotency_pk"),
        Index("idempotency_expires", "tenant", "expires"),
    )


def _tenant(metadata: MetaData) -> Table:
    return Table(
        "tenant",
        metadata,
        Column("tenant", Text, primary_key=True),
        Column("modules", ARRAY(Text), nullable=False),
    )


def _audit_link(metadata: MetaData) -> Table:
    """The links of each tenant's chain (see audit/chain.py)."""
    return Table(
        "audit_link",
        metadata,
        Column("tenant", Text, nullable=False),
        Column("seq", BigInteger, nullable=False),
        Column("events", ARRAY(Text), nullable=False),
        Column("sums", LargeBinary, nullable=False, comment="SHA-256 of each event's body"),
        Column("hash", LargeBinary, nullable=False),
        Column("made", Instant, nullable=False, server_default=text("now()")),
        PrimaryKeyConstraint("tenant", "seq", name="audit_link_pk"),
    )


def build_tables(types: Mapping[str, ServedType]) -> Tables:
    """SQLAlchemy tables for the served `types`."""
    metadata = MetaData()
    return Tables(
        metadata,
        {
            name: ResourceTables(_current(metadata, served), _values(metadata, served))
            for name, served in types.items()
        },
        _history(metadata),
        _outbox(metadata),
        _idempotency(metadata),
        _tenant(metadata),
        _audit_link(metadata),
    )
