"""What a caller may see and write, as the access policy's search criteria bound to the caller.

The criteria of all the caller's roles are one OR. They bind every resource type a statement
touches: matches, includes, chains, `_has`, derived fields, reads. A type without a rule for any
of the caller's roles is invisible. The criteria themselves are asked without policy: a rule may
look at a care team that the caller cannot read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from sqlalchemy import Text, any_, bindparam, cast, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from fhir_server.context import Context
from fhir_server.definitions.model import AccessRule, Definitions
from fhir_server.problems import Problem
from fhir_server.store.search.asking import Asking
from fhir_server.store.search.criteria import criterion
from fhir_server.store.search.node import EVERYTHING, Node, Shape, all_of, any_of
from fhir_server.store.search.predicates import Binds, Builder
from fhir_server.store.search.terms import NoTerms, Terms, telling
from fhir_server.store.session import Session
from fhir_server.store.sql import sql_text
from fhir_server.store.tables import Tables

Pairs = tuple[tuple[str, str], ...]


class _Caller(NamedTuple):
    """All that a policy may depend on."""

    tenant: str
    user: str | None
    patient: str | None
    roles: frozenset[str]


class Access:
    """The access policy of `definitions`, as predicates on `tables`."""

    def __init__(
        self, definitions: Definitions, tables: Tables, terms: Terms | None = None
    ) -> None:
        self._definitions = definitions
        self._answer = telling(terms or NoTerms(), {})
        self._tables = tables
        self._criteria = {
            criteria: tuple(parse_qsl(criteria, keep_blank_values=True))
            for rules in definitions.access.values()
            for rule in rules.values()
            for criteria in (*rule.criteria, *rule.write)
        }
        self._node = lru_cache(maxsize=8192)(self._compiled)
        self._read_sql = lru_cache(maxsize=1024)(self._build_read)
        self._hidden_sql = lru_cache(maxsize=1024)(self._build_hidden)

    def mistakes(self) -> list[str]:
        """Compiles every rule once; each that is wrong, as role, type, criteria and why."""
        caller = _Caller("", "Practitioner/x", "Patient/x", frozenset())
        asking = self._asking(caller, Context("", ""))
        wrong = []
        for role, rules in self._definitions.access.items():
            for resource_type, rule in rules.items():
                for criteria in (*rule.criteria, *rule.write):
                    try:
                        self._rule(asking, resource_type, criteria)
                    except Problem as error:
                        wrong.append(f"{role}.{resource_type}: {criteria}: {error.diagnostics}")
        return wrong

    def node(self, ctx: Context, resource_type: str) -> Node:
        """What of `resource_type` the caller may see."""
        return self._node(_caller(ctx), resource_type, writing=False)

    def may_write(self, ctx: Context, resource_type: str) -> bool:
        """Whether any of the caller's roles may write the type, or some of it."""
        return any(rule.write for rule in self._rules(ctx.roles, resource_type))

    def limits_writing(self, ctx: Context, resource_type: str) -> bool:
        """Whether what the caller's roles may write depends on the resource."""
        rules = [rule.write for rule in self._rules(ctx.roles, resource_type) if rule.write]
        return bool(rules) and not any("" in write for write in rules)

    def trusted(self, ctx: Context) -> Asking:
        """How the server itself asks: with the caller's variables, and without policy."""
        return self._asking(_caller(ctx), ctx)

    def read_statement(
        self,
        ctx: Context,
        resource_type: str,
        resource_id: str,
        required: tuple[tuple[str, str], ...] = (),
    ) -> tuple[str, dict[str, Any]]:
        """SQL and arguments of one resource by id: version, updated, body, allowed.

        No row: it does not exist. `allowed` is false where the policy, or a `required` criterion,
        does not let the caller have it.
        """
        node = self._limited(ctx, resource_type, required)
        args = {f"v{n}": value for n, value in enumerate(node.values)}
        args["id"] = resource_id
        return self._read_sql(resource_type, node.shape), args

    async def hidden(
        self,
        session: Session,
        ctx: Context,
        resource_type: str,
        ids: Iterable[str],
        required: Sequence[tuple[str, str]] = (),
    ) -> list[str]:
        """The ids, of those that are there, that the policy or a `required` criterion does not
        let the caller have, or write."""
        limited = self._limited(ctx, resource_type, required)
        node = all_of([limited, self._node(_caller(ctx), resource_type, writing=True)])
        args: dict[str, Any] = {f"v{n}": value for n, value in enumerate(node.values)}
        args["ids"] = list(ids)
        rows = await session.fetch(self._hidden_sql(resource_type, node.shape), args)
        return [id for (id,) in rows]

    def _limited(
        self, ctx: Context, resource_type: str, required: Sequence[tuple[str, str]]
    ) -> Node:
        node = self.node(ctx, resource_type)
        if not required:
            return node
        asking = self.trusted(ctx)
        return all_of([node, *(criterion(asking, resource_type, *pair) for pair in required)])

    def _asking(self, caller: _Caller, ctx: Context) -> Asking:
        return Asking(
            tenant=caller.tenant,
            types=self._definitions.types,
            now=ctx.now,
            policy=lambda _: EVERYTHING,
            variables=_variables(caller),
            rowwise=True,
            answer=self._answer,
        )

    def _build_read(self, resource_type: str, shape: Shape) -> str:
        build = Builder(self._tables, Binds())
        row = build.row(resource_type)
        allowed = build.holds(shape, row).label("allowed")
        columns = row.c.version, row.c.updated, row.c.body
        return sql_text(select(*columns, allowed).where(row.c.id == bindparam("id", type_=Text())))

    def _build_hidden(self, resource_type: str, shape: Shape) -> str:
        build = Builder(self._tables, Binds())
        row = build.row(resource_type)
        one_of = row.c.id == any_(cast(bindparam("ids"), ARRAY(Text)))
        return sql_text(select(row.c.id).where(one_of, build.holds(shape, row).is_not(true())))

    def _rules(self, roles: frozenset[str], resource_type: str) -> list[AccessRule]:
        access = self._definitions.access
        rules = (access.get(role, {}).get(resource_type) for role in sorted(roles))
        return [rule for rule in rules if rule is not None]

    def _compiled(self, caller: _Caller, resource_type: str, *, writing: bool) -> Node:
        asking = self._asking(caller, Context(caller.tenant, ""))
        found = dict.fromkeys(
            criteria
            for rule in self._rules(caller.roles, resource_type)
            for criteria in (rule.write if writing else rule.criteria)
        )
        return any_of([self._rule(asking, resource_type, criteria) for criteria in found])

    def _rule(self, asking: Asking, resource_type: str, criteria: str) -> Node:
        pairs = self._criteria[criteria]
        return all_of([criterion(asking, resource_type, *pair) for pair in pairs])


def _caller(ctx: Context) -> _Caller:
    return _Caller(ctx.tenant, ctx.user, ctx.patient, ctx.roles)


def _variables(caller: _Caller) -> dict[str, str | None]:
    found = {"$caller": caller.user, "$patient": caller.patient}
    ids = {name + ".id": value and value.partition("/")[2] for name, value in found.items()}
    return {**found, **ids}
