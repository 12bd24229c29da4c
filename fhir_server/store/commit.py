"""Committing a decision: one statement for one change, one transaction for several."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.errors import DeadlockDetected, SerializationFailure, UniqueViolation

from fhir_server.context import Context
from fhir_server.store.session import Args, Session
from fhir_server.store.write import Change, Guard, KeptAnswer, OutboxEvent, Writer


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
    ) -> None:
        """Raises OvertakenError when a guard, a base version or the key was overtaken."""
        statements = self._statements(ctx, changes, guards, events, answer)
        try:
            if len(statements) == 1:
                _check(await session.execute(*statements[0]))
            elif statements:
                async with session.transaction():
                    _check(*await session.execute_all(statements))
        except (UniqueViolation, SerializationFailure, DeadlockDetected) as error:
            raise OvertakenError from error

    def _statements(
        self,
        ctx: Context,
        changes: Sequence[Change],
        guards: Sequence[Guard],
        events: Sequence[OutboxEvent],
        answer: KeptAnswer | None,
    ) -> list[tuple[str, Args]]:
        # One order of locks for everyone, the loader's. What belongs to all changes together is
        # written with the first of them.
        changes = sorted(changes, key=lambda change: (change.stored.type, change.stored.id))
        if not changes:
            return [self._writer.answer_only(ctx.tenant, ctx.now, answer)] if answer else []
        first, *others = changes
        return [
            self._writer.statement(ctx.tenant, first, guards, events, answer),
            *(self._writer.statement(ctx.tenant, change, (), (), None) for change in others),
        ]


def _check(*written: int) -> None:
    if any(rows != 1 for rows in written):
        raise OvertakenError
