"""A field of a mapping file, compiled: from its one line come reading, writing and checking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions.loader import did_you_mean
from fhir_server.definitions.model import CodeMap
from fhir_server.mapping import codec as codecs
from fhir_server.mapping.codec import Codec, Refused
from fhir_server.mapping.faults import Faults
from fhir_server.mapping.model import FieldDeclaration, MappingDeclaration
from fhir_server.mapping.optics import POINTERS, Optic, each, group, leaf, pick, prop
from fhir_server.mapping.path import PathError, Step, parse_path
from fhir_server.mapping.shapes import Shapes

# The type that a reference to anything is to: https://hl7.org/fhir/R4/references.html
ANY = "Resource"


@dataclass(frozen=True, slots=True)
class Field:
    """A lens between a v1 value and a place in the resource.

    `encode` checks a v1 value and gives the FHIR value (`Refused` when it is wrong). An address
    has no place and no optic: it only names a resource (`threadId` of an operation).
    """

    name: str
    declared: FieldDeclaration
    steps: tuple[Step, ...]
    schema: Mapping[str, Any]
    encode: Callable[[Any], Any]
    optic: Optic

    @property
    def element(self) -> str:
        """The top element this field lives in; empty for an address."""
        return self.steps[0].name if self.steps else ""

    def get(self, resource: dict[str, Any]) -> Any:
        """The v1 value, or MISSING."""
        return self.optic.view(resource)

    def put(self, resource: dict[str, Any], value: Any) -> None:
        """Writes a FHIR value into the resource; None removes it."""
        if value is None:
            self.optic.clear(resource)
        else:
            self.optic.merge(resource, value)


@dataclass(frozen=True, slots=True)
class FieldCompiler:
    """Compiles the lines of one file; what is wrong goes to `faults`.

    `shapes` are those of the file's profile, whose url is `profile`.
    """

    declared: MappingDeclaration
    shapes: Shapes
    code_maps: Mapping[str, CodeMap]
    profile: str | None

    def fields(self, declared: Mapping[str, FieldDeclaration], faults: Faults) -> dict[str, Field]:
        """Every field that is not derived."""
        compiled = (
            self._field(name, line, self.declared.resource, faults.at(name))
            for name, line in declared.items()
            if not line.derived
        )
        return {field.name: field for field in compiled if field}

    def _field(self, name: str, line: FieldDeclaration, place: str, faults: Faults) -> Field | None:
        steps = self._steps(line, place, faults)
        if steps is None:
            return None
        encode: Callable[[Any], Any]
        if line.fields is not None:
            members = self._members(line, steps, faults)
            encode, schema = _object(members)
            lists = [name for name, member in members.items() if member.declared.list]
            inner = group({name: member.optic for name, member in members.items()}, lists)
        else:
            codec = self._codec(line, steps, faults)
            if codec is None:
                return None
            encode, schema, inner = codec.encode, codec.schema, leaf(codec)
        if line.list:
            encode, schema = _items(encode), {"type": "array", "items": schema}
        return Field(name, line, steps, schema, encode, _optic(line, steps, inner))

    def _steps(self, line: FieldDeclaration, place: str, faults: Faults) -> tuple[Step, ...] | None:
        if line.path is None:
            return ()
        try:
            steps = parse_path(line.path, place, self.shapes)
        except PathError as error:
            if error.known:
                faults.at("path").unknown(f"element in '{line.path}':", error.name, error.known)
            else:
                faults.at("path").add(str(error))
            return None
        lists = [step.name for step in steps if step.many]
        if line.each and line.each not in lists:
            faults.at("each").unknown("list", line.each, lists)
        if line.list and not lists:
            faults.at("list").add(f"nothing repeats in '{line.path}'")
            return None
        return steps

    def _members(
        self, line: FieldDeclaration, steps: tuple[Step, ...], faults: Faults
    ) -> dict[str, Field]:
        below, lines = faults.at("fields"), line.fields or {}
        found = (self._field(n, f, steps[-1].type, below.at(n)) for n, f in lines.items())
        if line.key and line.key not in lines:
            faults.at("key").unknown("field", line.key, lines)
        return {member.name: member for member in found if member}

    def _codec(
        self, line: FieldDeclaration, steps: tuple[Step, ...], faults: Faults
    ) -> Codec | None:
        if line.to is not None:
            return self._reference(line, faults)
        if line.codes is not None:
            found = self.code_maps.get(line.codes)
            if found is None:
                faults.at("codes").unknown("ConceptMap", line.codes, self.code_maps)
                return None
            return codecs.coded(found.forward, found.backward)
        if line.prefix is not None:
            return codecs.identifier(line.prefix)
        if line.encoding is not None:
            if steps[-1].type != "base64Binary":
                faults.at("encoding").add(f"'{line.path}' is a {steps[-1].type}")
            return codecs.BASE64
        primitive = codecs.PRIMITIVES.get(steps[-1].type)
        if primitive is None:
            faults.at("path").add(f"'{line.path}' ends at a {steps[-1].type}, not at a value")
        return primitive

    def _reference(self, line: FieldDeclaration, faults: Faults) -> Codec | None:
        known = self.shapes.structures
        if line.to == ANY:
            if line.prefix is not None:
                faults.at("prefix").add(f"a reference to any {ANY} is a type and an id")
            return codecs.whole_reference(frozenset(known))
        prefixes = line.to if isinstance(line.to, dict) else {str(line.to): line.prefix or ""}
        for kind, prefix in prefixes.items():
            if kind not in known:
                faults.at("to").unknown("type", kind, known)
            if not prefix.endswith("_") or "_" in prefix[:-1]:
                faults.at("to").add(f"{kind} needs a prefix that ends with its one _")
        if len(set(prefixes.values())) < len(prefixes):
            faults.at("to").add("two types have the same prefix, so it cannot be read backwards")
        return codecs.reference(prefixes)


def _optic(line: FieldDeclaration, steps: tuple[Step, ...], inner: Optic) -> Optic:
    """From the end of the path to its beginning; the last list repeats, or the one `each` names."""
    lists = [at for at, step in enumerate(steps) if step.many]
    named = [at for at in lists if steps[at].name == line.each]
    repeats = (named or lists or [-1])[-1]
    optic = inner
    for at in reversed(range(len(steps))):
        if at == repeats and line.list:
            optic = each(steps[at], optic, line.key)
        elif steps[at].many:
            own = steps[at].type in POINTERS or (at == repeats and line.each is not None)
            optic = pick(steps[at], optic, shared=not own)
        else:
            optic = prop(steps[at], optic)
    return optic


def _items(encode: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def encode_list(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Refused("must be a list")
        found = []
        for at, item in enumerate(value):
            try:
                found.append(encode(item))
            except Refused as refused:
                raise Refused(str(refused), f"[{at}]{refused.place}") from None
        return found

    return encode_list


def _object(
    members: Mapping[str, Field],
) -> tuple[Callable[[Any], dict[str, Any]], Mapping[str, Any]]:
    def encode(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Refused("must be an object")
        found = {}
        for name, item in value.items():
            if name not in members:
                raise Refused(f"is not known{did_you_mean(name, members)}", f".{name}")
            try:
                found[name] = members[name].encode(item)
            except Refused as refused:
                raise Refused(str(refused), f".{name}{refused.place}") from None
        return found

    properties = {name: dict(member.schema) for name, member in members.items()}
    return encode, {"type": "object", "properties": properties, "additionalProperties": False}
