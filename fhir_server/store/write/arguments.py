"""What a writing statement is filled with: one array for each column, a place for each row;
a single row as plain values.

PostgreSQL has no arrays of arrays of different lengths, so a row's keys are sent as the text of
one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from fhir_server.store.write.model import Change, Guard, KeptAnswer, OutboxEvent

VALUE_COLUMNS = ("param", "norm", "exact", "low", "high", "since", "until", "unit", "part")
Args = dict[str, Any]


def current_row(change: Change) -> dict[str, Any]:
    """The current row by column, as text where the column is JSON; nothing for a deletion."""
    stored, row = change.stored, change.row
    if row is None:
        return {}
    return {
        "id": stored.id,
        "version": stored.version,
        "updated": stored.updated,
        "body": stored.body.decode(),
        "keys": row.keys,
        "sorts": orjson.dumps(row.sorts).decode(),
        "indexed": row.fingerprint,
        "made": stored.made,
        **row.hot,
    }


def resource_args(changes: Sequence[Change]) -> Args:
    """Of changes to resources of one type, all of one kind."""
    rows = [_row_args(change) for change in changes]
    args = rows[0]
    if len(rows) > 1:
        args = {name: [row[name] for row in rows] for name in args}
    return args | _value_args(changes)


def _row_args(change: Change) -> Args:
    """Of one, as plain values."""
    args = {"r_" + name: value for name, value in current_row(change).items()}
    if args:
        args["r_keys"] = "{" + ",".join(map(str, args["r_keys"])) + "}"
    return {**args, "r_id": change.stored.id, "base": change.base}


def has_values(changes: Iterable[Change]) -> bool:
    """Whether any of them has rows for the value table."""
    return any(change.row and change.row.values for change in changes)


def _value_args(changes: Iterable[Change]) -> Args:
    found = [(c.stored.id, value) for c in changes if c.row for value in c.row.values]
    if not found:
        return {}
    args: Args = {f"v_{n}": [getattr(value, n) for _, value in found] for n in VALUE_COLUMNS}
    return {**args, "v_id": [id for id, _ in found]}


def guard_args(guards: Mapping[str, Sequence[Guard]]) -> Args:
    """Of guards by type."""
    args: Args = {}
    for n, group in enumerate(guards.values()):
        args[f"guard{n}_id"] = [guard.id for guard in group]
        args[f"guard{n}_version"] = [guard.version for guard in group]
    return args


def event_args(events: Sequence[OutboxEvent]) -> Args:
    if not events:
        return {}
    return {
        "e_id": [event.id for event in events],
        "e_type": [event.type for event in events],
        "e_subject": [event.subject for event in events],
        "e_data": [orjson.dumps(event.data).decode() for event in events],
    }


def answer_args(answer: KeptAnswer | None) -> Args:
    if answer is None:
        return {}
    return {
        "i_caller": answer.caller,
        "i_keys": list(answer.expires),
        "i_fingerprint": answer.fingerprint,
        "i_status": answer.status,
        "i_headers": orjson.dumps(dict(answer.headers)).decode(),
        "i_answer": answer.body.decode(),
        "i_expires": list(answer.expires.values()),
    }
