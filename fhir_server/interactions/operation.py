"""operation: the code that the domain registers for an OperationDefinition.

https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.interactions.model import Draft, Operation, Read, Resource, Result, Snapshot


@dataclass(frozen=True, slots=True)
class Invoke:
    """One call of an operation on one resource."""

    ctx: Context
    operation: Operation
    id: str
    parameters: Resource

    @property
    def type(self) -> str:
        """The resource type."""
        return self.operation.type

    def reads(self) -> Iterable[Read]:
        """What the operation must see."""
        return self.operation.reads(self.ctx, self.id, self.parameters)

    def previews(self) -> Iterable[Draft]:
        """Unknown before the rows are seen."""
        return ()

    def decide(self, snapshot: Snapshot) -> tuple[Sequence[Draft], Result]:
        """The operation's drafts and out Parameters."""
        drafts, answer = self.operation.decide(self.ctx, self.id, self.parameters, snapshot)
        for draft in drafts:
            draft.operation = self.operation.code
        return drafts, Result(parameters=answer)
