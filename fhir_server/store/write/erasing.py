"""Overwriting what was kept of resources besides their current version, when they are erased.

History tells what was; an erasure is the one thing that changes it. Bodies are replaced, so version
numbers, times and who asked for what stay. Kept answers to requests may quote the resources: they
become the word that there is nothing to say any more, so that a request that comes again has no
second effect, under a hash of the key, in which a client may have written words. Events that were
published, or given up, go; those that wait carry ids and codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple

from fhir_server.store.session import Args, Session
from fhir_server.store.write.model import Past

# The status of a kept answer that was erased.
ERASED: Final = 410

_OVERWRITE: Final = """
UPDATE history SET body = given.body::json
  FROM unnest(%(types)s::text[], %(ids)s::text[], %(versions)s::int[], %(bodies)s::text[])
    AS given (type, id, version, body)
 WHERE history.type = given.type AND history.id = given.id AND history.version = given.version
"""
# An id is a word between the marks of JSON, of an address, or of a prefix such as msg_.
_MARKS: Final = '"_/:,{}[]?=&#'


def _has(column: str, words: str) -> str:
    """That one of the words stands in the column's text."""
    text = f"{column}::text"
    # One replace() for each mark takes a tenth of what translate() takes for all of them.
    for mark in _MARKS:
        text = f"replace({text}, '{mark}', ' ')"
    split = f"string_to_array({text}, ' ')"
    return f"EXISTS (SELECT FROM unnest({split}) AS word WHERE word = ANY(%({words})s::text[]))"


_GONE: Final = "erased "
_ANSWERS: Final = f"""
UPDATE idempotency SET status = {ERASED}, answer = 'null', headers = '{{}}',
       key = '{_GONE}' || encode(sha256(convert_to(key, 'UTF8')), 'hex')
 WHERE status <> {ERASED} AND json_typeof(answer) = 'object'
   AND {_has("answer", "ids")}
"""
_EVENTS: Final = """
DELETE FROM outbox
 WHERE subject = ANY(%(subjects)s::text[]) AND (published IS NOT NULL OR dead IS NOT NULL)
"""
_SUPERSEDED: Final = """
SELECT id, version, body FROM history
 WHERE type = %(type)s::text AND id = ANY(%(ids)s::text[]) AND body IS NOT NULL
"""
# A page of the whole history, of which only what has one of the words shows its body.
_MENTIONS: Final = f"""
SELECT type, id, version, updated,
       CASE WHEN {_has("body", "words")} THEN body END
  FROM history
 WHERE (type, id, version) > (%(type)s::text, %(id)s::text, %(version)s::int)
 ORDER BY type, id, version LIMIT %(limit)s::int
"""

Place = tuple[str, str, int]
BEGINNING: Final[Place] = ("", "", 0)


class Mention(NamedTuple):
    """An earlier version; `body` is None where it has none of the words."""

    type: str
    id: str
    version: int
    updated: datetime
    body: bytes | None


def erased_key(key: str) -> str:
    """Under which an answer is kept that was erased."""
    return _GONE + sha256(key.encode()).hexdigest()


def erasing(past: Sequence[Past]) -> list[tuple[str, Args]]:
    """The statements that overwrite them and clear what quotes their resources; the first must
    touch as many rows as `past` has."""
    references = sorted({f"{one.type}/{one.id}" for one in past})
    args = {
        "types": [one.type for one in past],
        "ids": [one.id for one in past],
        "versions": [one.version for one in past],
        "bodies": [one.body.decode() for one in past],
    }
    ids = [reference.partition("/")[2] for reference in references]
    return [(_OVERWRITE, args), (_ANSWERS, {"ids": ids}), (_EVENTS, {"subjects": references})]


async def superseded(
    session: Session, resource_type: str, ids: Sequence[str]
) -> list[tuple[str, int, bytes]]:
    """Id, version and body of all earlier versions, without those that only say it was deleted."""
    rows = await session.fetch(_SUPERSEDED, {"type": resource_type, "ids": list(ids)})
    return [(id, version, body) for id, version, body in rows]


async def mentions(
    session: Session, words: Sequence[str], after: Place, limit: int
) -> list[Mention]:
    """The next versions of the tenant's history after that place."""
    type_, id, version = after
    args = {"words": list(words), "type": type_, "id": id, "version": version, "limit": limit}
    return [Mention(*row) for row in await session.fetch(_MENTIONS, args)]
