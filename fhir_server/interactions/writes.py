"""One intent by itself: a plan at once, or one that a search chooses in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.interactions.conditional import Conditions
from fhir_server.interactions.intents import Condition, Intent
from fhir_server.interactions.model import Idempotency, Result
from fhir_server.interactions.pipeline import Pipeline
from fhir_server.interactions.plan import Choice
from fhir_server.interactions.read import Reader
from fhir_server.store.session import Session


@dataclass(frozen=True, slots=True)
class Writes:
    """Carries intents out, through the pipeline."""

    pipeline: Pipeline
    reader: Reader
    conditions: Conditions

    async def write(
        self, ctx: Context, intent: Intent, idempotency: Idempotency | None = None
    ) -> Result:
        """Raises Problem, and then nothing is stored."""
        if intent.condition is not None:
            return await self._chosen(ctx, intent, intent.condition, idempotency)
        if intent.shown:
            await self.reader.read(ctx, intent.ref.type, intent.ref.id, intent.shown)
        plan, criteria = intent.plan(intent.body, None)
        return await self.pipeline.write(ctx, plan, idempotency, criteria)

    async def _chosen(
        self, ctx: Context, intent: Intent, condition: Condition, idempotency: Idempotency | None
    ) -> Result:
        search = await self.conditions.search(ctx, condition)

        async def choose(session: Session) -> Choice:
            asked = [(search.type, search.meaning)]
            await self.pipeline.loader.claim_searches(session, ctx, asked)
            return intent.plan(intent.body, await search.run(session))

        return await self.pipeline.write_chosen(ctx, choose, idempotency)
