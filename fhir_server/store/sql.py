"""Statements as psycopg takes them: compiled by SQLAlchemy once, run as text many times."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Text, literal_column
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.expression import ClauseElement

_DIALECT = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]


def sql_text(statement: ClauseElement) -> str:
    """The statement's text, its parameters by name."""
    return str(statement.compile(dialect=_DIALECT))


def constant(name: str) -> ColumnElement[str]:
    """A declared name as a text constant of the statement; never what a caller sent."""
    if not name.isalnum() and name:
        raise ValueError(f"not a declared name: {name}")
    return literal_column(f"'{name}'", Text)
