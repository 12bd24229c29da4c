"""Committing a decision: one statement for each type and kind of change, one transaction for
several."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from psycopg.errors import DeadlockDetected, SerializationFailure, UniqueViolation

from fhir_server.context import Context
from fhir_server.store.session import Args, Session
from fhir_server.store.write import Change, Guard, KeptAnswer, OutboxEvent, Past, Writer
from fhir_server.store.write.erasing import erasing


class OvertakenError(Exception):
    """Another write came first: nothing was written, decide anew."""


class Committer:
    """Writes changes with everything that belongs to them, or nothing."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def commit(
        self,
        session: Session,
        ctx: Context,
        changes: Sequence[Change],
        guards: Sequence[Guard],
        events: Sequence[OutboxEvent],
        answer: KeptAnswer | None,
        past: Sequence[Past] = (),
    ) -> None:
        """Raises OvertakenError when a guard, a base version or the key was overtaken. What
        belongs to `past` is erased with it."""
        groups = _groups(changes)
        statements = self._statements(ctx, groups, guards, events, answer)
        try:
            if past:
                await self._erase(session, groups, statements, past)
            elif len(changes) <= 1:
                for statement in statements:
                    _check([1], [await session.execute(*statement)])
            else:
                async with session.transaction():
                    written = await session.execute_all(statements)
                    _check([len(group) for group in groups], written)
        except (UniqueViolation, SerializationFailure, DeadlockDetected) as error:
            raise OvertakenError from error
        if events:
            session.announce()

    async def _erase(
        self,
        session: Session,
        groups: Sequence[Sequence[Change]],
        statements: Sequence[tuple[str, Args]],
        past: Sequence[Past],
    ) -> None:
        """The versions that are superseded first, so that they are overwritten too."""
        gone = erasing(past)
        async with session.transaction():
            written = await session.execute_all([*statements, *gone])
            wanted = [*map(len, groups), len(past)]
            _check(wanted, written[: len(wanted)])

    def _statements(
        self,
        ctx: Context,
        groups: Sequence[Sequence[Change]],
        guards: Sequence[Guard],
        events: Sequence[OutboxEvent],
        answer: KeptAnswer | None,
    ) -> list[tuple[str, Args]]:
        """What belongs to all changes together is written with the first of them."""
        if not groups:
            return [self._writer.answer_only(ctx.tenant, ctx.now, answer)] if answer else []
        first, *others = groups
        return [
            self._writer.statement(ctx.tenant, first, guards, events, answer),
            *(self._writer.statement(ctx.tenant, group) for group in others),
        ]


def _groups(changes: Sequence[Change]) -> list[list[Change]]:
    """By type and kind; within them one order of locks for everyone, the loader's."""
    if len(changes) <= 1:
        return [list(changes)] if changes else []
    ordered = sorted(changes, key=lambda c: (c.stored.type, c.kind, c.stored.id))
    return [list(group) for _, group in groupby(ordered, key=lambda c: (c.stored.type, c.kind))]


def _check(wanted: Sequence[int], written: Sequence[int]) -> None:
    if list(wanted) != list(written):
        raise OvertakenError
