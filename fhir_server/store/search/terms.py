"""What a search must be told about codes: who is in a value set, what is above and below a code.

The store knows no terminology; whoever composes the server hands in `Terms`.
https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, NoReturn, Protocol

from fhir_server.problems import Problem

# Of one value set or hierarchy: each code is a key to look up.
MOST_CODES = 5_000
# Of one request, those that somebody else is asked about.
MOST_ASKED = 8
Coded = tuple[str, str]


class Ask(NamedTuple):
    """`in` a value set (canonical url or `ValueSet/id`; `code` is empty), or `above` or `below`
    the code of a system."""

    relation: Literal["in", "above", "below"]
    url: str
    code: str = ""


class Terms(Protocol):
    """Who knows codes. An answer is (system, code) pairs; `above` and `below` include the code."""

    def known(self, ask: Ask) -> Sequence[Coded] | None:
        """What is known here; None where somebody else may know. Problem 400 where there is
        no such thing."""

    async def fetch(self, ask: Ask) -> Sequence[Coded]:
        """What somebody else knows; Problem 400 where nobody does, 503 while he does not
        answer."""


Told = Mapping[Ask, Sequence[Coded]]


class Untold(Problem):
    """A search must first be told about `ask`."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        super().__init__(400, "not-supported", f"{ask.url[:200]} is not known here")


class NoTerms:
    """Knows nothing."""

    def known(self, ask: Ask) -> Sequence[Coded] | None:
        """Nothing."""
        return None

    async def fetch(self, ask: Ask) -> Sequence[Coded]:
        """Refuses."""
        raise Untold(ask)


Answer = Callable[[Ask], Sequence[Coded]]


def telling(terms: Terms, told: Told) -> Answer:
    """Answers from what was `told`, or is known; Untold else."""

    def answer(ask: Ask) -> Sequence[Coded]:
        found = told.get(ask)
        if found is None:
            found = terms.known(ask)
        if found is None:
            raise Untold(ask)
        if len(found) > MOST_CODES:
            too_many(ask)
        return found

    return answer


def too_many(ask: Ask) -> NoReturn:
    """Refuses an answer of too many codes."""
    raise Problem(400, "too-costly", f"{ask.url[:200]} has more than {MOST_CODES} codes")


NOTHING_KNOWN: Final[Answer] = telling(NoTerms(), {})
