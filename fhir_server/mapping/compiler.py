"""Compiles the routes of one mapping file against its compiled fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.communication import OPERATIONS
from fhir_server.definitions.model import Definitions
from fhir_server.mapping.answer import PROGRESS, AnswerCompiler
from fhir_server.mapping.body import OPTIONAL, Body, compile_body
from fhir_server.mapping.codec import Refused
from fhir_server.mapping.derived import DerivedField
from fhir_server.mapping.faults import Faults
from fhir_server.mapping.field import Field, FieldCompiler
from fhir_server.mapping.inputs import Supply, supply
from fhir_server.mapping.model import (
    FieldDeclaration,
    MappingDeclaration,
    PageDeclaration,
    RouteDeclaration,
    ServiceDeclaration,
)
from fhir_server.mapping.query import Query, QueryCompiler
from fhir_server.mapping.route import (
    PARAMETER,
    Route,
    Write,
    joiner,
    remover,
    replacer,
    setter,
    taker,
)
from fhir_server.mapping.searches import SearchNames

# Interactions with one resource, which the path or the file must name.
ADDRESSED = ("read", "update", "patch")
# How many rows an export fetches at once: few enough to hold, enough to make a search worth it.
EXPORTED = PageDeclaration(limit=500, max=500)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class RouteCompiler:
    """Everything the routes of one file may name."""

    file: str
    service: ServiceDeclaration
    definitions: Definitions
    compiler: FieldCompiler
    fields: Mapping[str, Field]
    derived: Mapping[str, DerivedField]
    kinds: Mapping[tuple[str, str], str]
    mutation: Field | None

    @property
    def declared(self) -> MappingDeclaration:
        """The file."""
        return self.compiler.declared

    def routes(self, faults: Faults) -> list[Route]:
        """Every route of the file, as far as they can be compiled."""
        lines = self.declared.routes.items()
        found = (self._route(key, line, faults.at(key)) for key, line in lines)
        return [route for route in found if route]

    def _route(self, key: str, line: RouteDeclaration, faults: Faults) -> Route | None:
        method, _, template = key.partition(" ")
        if method not in METHODS or not template.startswith("/"):
            faults.add("a route is a method and a path: GET /threads/{threadId}")
            return None
        self._check_names(line, faults)
        self._check_address(template, line, faults)
        segments = self._segments(template, faults)
        resource = self._resource(line, segments, faults)
        names = SearchNames(self.definitions.types)
        query = QueryCompiler(resource, self.fields, tuple(segments), names, self.compiler.profile)
        body = self.body(line, faults)
        self.check_required(line, body, faults)
        answers = AnswerCompiler(
            self.fields,
            self.derived,
            tuple(segments),
            PROGRESS if line.content == "progress" else {},
        )
        addressed = self._addressed(line, segments, faults)
        owner = self._type_of(segments, addressed)
        required = QueryCompiler(owner, {}, tuple(segments), names)
        return Route(
            method=method,
            prefix=self.declared.prefix or self.service.prefix,
            template=template,
            interaction=line.interaction,
            declared=line,
            file=self.file,
            resource=resource,
            written=self.declared.resource,
            segments=segments,
            addressed=addressed,
            at=self.declared.at,
            owner=owner,
            kind=self._kind(segments, addressed, owner),
            body=body,
            query=self._query(line, query, faults),
            writes=tuple(self.writes(line, body, tuple(segments), faults)),
            answered=answers.compile(
                line.gives,
                listed=line.interaction == "search",
                paged=not line.exports,
                faults=faults.at("gives"),
            ),
            requires=required.criteria(line.requires, faults.at("requires")),
            fields=self.fields,
            described=self._described(line, faults.at("content")),
            expects=tuple(self._expected(line, faults.at("expects"))),
        )

    def _check_names(self, line: RouteDeclaration, faults: Faults) -> None:
        for kind, name, known in (
            ("scope", line.scope, self.service.scopes),
            ("module", line.module, self.service.modules),
            ("limit", line.limit, self.service.limits),
        ):
            if name is not None and name not in known:
                faults.at(kind).unknown(kind, name, known)
        for role in line.roles:
            if role not in self.definitions.access:
                faults.at("roles").unknown("role", role, self.definitions.access)

    def _check_address(self, template: str, line: RouteDeclaration, faults: Faults) -> None:
        named = bool(PARAMETER.search(template))
        if line.interaction in ADDRESSED and named == bool(self.declared.at):
            faults.add(f"a {line.interaction} is of what the path names, or of the file's `at`")

    def _segments(self, template: str, faults: Faults) -> dict[str, Field]:
        found = {}
        for name in PARAMETER.findall(template):
            if name in self.fields:
                found[name] = self.fields[name]
            else:
                faults.unknown("path parameter", name, self.fields)
        return found

    def _addressed(
        self, line: RouteDeclaration, segments: Mapping[str, Field], faults: Faults
    ) -> str | None:
        """The path parameter that names the resource: `of`, else the last one."""
        if line.of is not None and line.of not in segments:
            faults.at("of").unknown("path parameter", line.of, segments)
            return None
        return line.of or _last(segments)

    def _resource(
        self, line: RouteDeclaration, segments: Mapping[str, Field], faults: Faults
    ) -> str:
        if line.interaction != "operation":
            return self.declared.resource
        resource = self._type_of(segments, _last(segments))
        served = self.definitions.types.get(resource)
        # Others of the type's are FHIR's own: they answer with more than a route could give.
        known = {o.code for o in OPERATIONS if o.type == resource} & set(
            served.operations if served else ()
        )
        if line.operation not in known:
            faults.at("does").unknown(f"operation of {resource}:", line.operation, known)
        return resource

    def _kind(self, segments: Mapping[str, Field], addressed: str | None, owner: str) -> str | None:
        """The profile of what the path names, by the prefix of its ids."""
        if self.declared.at:
            return self.compiler.profile
        prefix = segments[addressed].declared.prefix if addressed else None
        return self.kinds.get((owner, prefix or ""))

    def _type_of(self, segments: Mapping[str, Field], name: str | None) -> str:
        """The type that a path parameter names."""
        to = segments[name].declared.to if name else None
        if to is None:
            return self.declared.resource
        return to if isinstance(to, str) else next(iter(to))

    def body(self, line: RouteDeclaration, faults: Faults) -> Body | None:
        """What the request brings; None where it brings nothing."""
        if line.interaction in ("read", "search"):
            for key in ("takes", "set"):
                if getattr(line, key):
                    faults.at(key).add(f"a {line.interaction} writes nothing")
            return None
        return compile_body(line.takes, self.fields, faults.at("takes"))

    def _query(
        self, line: RouteDeclaration, compiler: QueryCompiler, faults: Faults
    ) -> Query | None:
        if line.interaction != "search":
            for key in ("always", "filters", "page"):
                if getattr(line, key):
                    faults.at(key).add(f"a {line.interaction} searches nothing")
            return None
        return Query(
            compiler.criteria(line.always, faults.at("always")),
            compiler.filters(line.filters, faults.at("filters")),
            EXPORTED if line.exports else line.page or PageDeclaration(),
            ("format",) if line.exports else ("cursor", "limit"),
        )

    def writes(
        self, line: RouteDeclaration, body: Body | None, paths: tuple[str, ...], faults: Faults
    ) -> list[Write]:
        """What makes a resource of it, in order."""
        if body is None:
            return []
        writes = []
        for name, taken in body.taken.items():
            if name in line.add:
                continue
            words = taken.declared if isinstance(taken.declared, str) else ""
            default = supply(words, paths, (), faults.at("takes", name)) if "$" in words else None
            whole = line.interaction == "update"
            writes.append(replacer(taken.field) if whole else taker(taken.field, default))
        for name, value in line.set.items():
            below = faults.at("set", name)
            if str(value).startswith("$content.") and not line.moves_bytes:
                below.add(f"{value} is known to a route with `content` only")
            target = self._target(name, below)
            given = self._given(target, value, paths, tuple(body.taken), below)
            if target and given:
                writes.append(setter(target, given))
        writes += self._edits(line, body, paths, faults)
        if line.interaction == "create" and self.mutation is not None:
            writes.append(setter(self.mutation, lambda inputs: inputs.mutation))
        return writes

    def _edits(
        self, line: RouteDeclaration, body: Body, paths: tuple[str, ...], faults: Faults
    ) -> Iterator[Write]:
        """What a patch adds to lists and takes from them."""
        for key, edits, edit in (("add", line.add, joiner), ("remove", line.remove, remover)):
            if edits and line.interaction != "patch":
                faults.at(key).add(f"a {line.interaction} edits no list")
            for name, words in edits.items():
                below, field = faults.at(key, name), self.fields.get(name)
                given = supply(words, paths, tuple(body.taken), below)
                if field is None or not field.declared.list:
                    below.unknown(
                        "list", name, [n for n, f in self.fields.items() if f.declared.list]
                    )
                elif given:
                    yield edit(field, given)

    def _target(self, name: str, faults: Faults) -> Field | None:
        """A field, or the element of that name."""
        if name in self.fields:
            return self.fields[name]
        line = FieldDeclaration(path=name)
        return self.compiler.fields({name: line}, faults).get(name)

    def _given(
        self,
        target: Field | None,
        value: Any,
        paths: tuple[str, ...],
        bodies: tuple[str, ...],
        faults: Faults,
    ) -> Supply | None:
        if isinstance(value, str) and value.startswith("$"):
            return supply(value, paths, bodies, faults)
        if target is None:
            return None
        try:
            return _constant(target.encode(value))
        except Refused as refused:
            faults.add(str(refused))
            return None

    def _described(self, line: RouteDeclaration, faults: Faults) -> dict[str, Field]:
        """The fields that say what the bytes are."""
        if not line.moves_bytes:
            return {}
        if self.declared.content is None:
            faults.add("the file does not say under `content` which fields describe the bytes")
            return {}
        names = self.declared.content.model_dump()
        return {
            part: field
            for part, name in names.items()
            if (field := self._known(name, faults)) is not None
        }

    def _expected(self, line: RouteDeclaration, faults: Faults) -> Iterator[tuple[Field, Any]]:
        for name, value in line.expects.items():
            field = self._known(name, faults)
            try:
                if field is not None:
                    yield field, field.encode(value)
            except Refused as refused:
                faults.at(name).add(str(refused))

    def _known(self, name: str, faults: Faults) -> Field | None:
        if name not in self.fields:
            faults.unknown("field", name, self.fields)
        return self.fields.get(name)

    def check_required(self, line: RouteDeclaration, body: Body | None, faults: Faults) -> None:
        """A create must set what the profile requires, unless a rule of the domain does."""
        if line.interaction != "create" or body is None:
            return
        sure = {t.field.element for t in body.taken.values() if t.declared != OPTIONAL}
        given = {self.fields[n].element if n in self.fields else n.split(".")[0] for n in line.set}
        known = sure | given | set(self.declared.completed)
        for name in self.compiler.shapes.required(self.declared.resource):
            if name not in known:
                faults.add(f"nothing sets {self.declared.resource}.{name}, which is required")


def _constant(raw: Any) -> Callable[[object], Any]:
    return lambda _: raw


def _last(segments: Mapping[str, Field]) -> str | None:
    return list(segments)[-1] if segments else None
