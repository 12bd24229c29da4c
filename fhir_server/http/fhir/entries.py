"""The entries of a batch or transaction, each as the request that it stands for.

An entry becomes a request on the face itself, so it means what the same request means by itself.
https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, cast
from urllib.parse import quote, unquote

from starlette.types import Message

from fhir_server.fhir.json import dumps
from fhir_server.http.wire import Request
from fhir_server.problems import Issue, Problem, invalid

Kind = Literal["batch", "transaction"]
FHIR_JSON: Final = "application/fhir+json"
# https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request
HEADERS: Final[Mapping[str, str]] = {
    "ifNoneMatch": "if-none-match",
    "ifModifiedSince": "if-modified-since",
    "ifMatch": "if-match",
    "ifNoneExist": "if-none-exist",
}
# All that may stand in a URL as it is; clients also write some of what may not.
_SAFE: Final = "%:/?#[]@!$&'()*+,;=-._~|"


class Limits(NamedTuple):
    """Of a batch or transaction: `size` in bytes, and the number of entries."""

    size: int
    entries: int


class PlacedProblem(Problem):
    """One that names its entry."""


class Place(AbstractContextManager[None]):
    """A refusal raised inside names the entry: `Bundle.entry[3].resource.status`."""

    def __init__(self, at: int, resource_type: str | None) -> None:
        self._at = f"Bundle.entry[{at}]"
        self._type = resource_type

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Problem) and not isinstance(error, PlacedProblem):
            issues = [self._placed(issue) for issue in error.issues]
            raise PlacedProblem(
                error.status,
                issues[0].code,
                error.diagnostics,
                issues=issues,
                headers=error.headers,
            ) from None

    def _placed(self, issue: Issue) -> Issue:
        root, _, rest = (issue.expression or "").partition(".")
        if not root:
            where = self._at
        elif root == "resource":
            where = f"{self._at}.{issue.expression}"
        elif root == "resourceType":
            where = f"{self._at}.resource.resourceType"
        elif root == self._type:
            where = f"{self._at}.resource" + (f".{rest}" if rest else "")
        else:
            where = f"{self._at}.request"
        return Issue(issue.severity, issue.code, issue.diagnostics, where)


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One entry; `url` as it stands in the request."""

    at: int
    method: str
    url: str
    full_url: str | None
    resource: dict[str, Any] | None
    headers: Mapping[str, str]

    @property
    def place(self) -> Place:
        """What its refusals name."""
        kind = self.resource.get("resourceType") if self.resource else None
        return Place(self.at, kind if isinstance(kind, str) else None)

    def request(self, outer: Request, base: str) -> Request:
        """The request that it stands for; preferences are those of the whole."""
        path, _, query = quote(_relative(self.url, base), safe=_SAFE).partition("?")
        root: str = outer.scope.get("root_path", "")
        raw = f"{root}/{path}"
        scope = {
            **outer.scope,
            "method": self.method,
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": [*self._headers(outer)],
        }
        body = self._body()

        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        return Request(cast(Any, scope), receive, outer.limit)

    @property
    def given(self) -> dict[str, Any] | None:
        """The body as it is read already; a patch in a Binary is not."""
        return None if self._is_binary_patch() else self.resource

    def check_size(self, most: int) -> None:
        """413 for a resource that is longer than a body may be, by itself."""
        if self.resource and len(dumps(self.resource)) > most:
            why = f"a resource may have {most} bytes at most"
            raise Problem(413, "too-long", why, expression="resource")

    def _headers(self, outer: Request) -> Iterator[tuple[bytes, bytes]]:
        for name in ("host", "prefer"):
            value = outer.header(name)
            if value is not None:
                yield name.encode(), value.encode("latin-1")
        content = self.resource.get("contentType") if self.resource else None
        kind = content if self._is_binary_patch() and isinstance(content, str) else FHIR_JSON
        yield b"content-type", kind.encode("latin-1", "replace")
        for name, value in self.headers.items():
            yield name.encode(), quote(value, safe=_SAFE + ' "').encode()

    def _is_binary_patch(self) -> bool:
        resource = self.resource or {}
        return self.method == "PATCH" and resource.get("resourceType") == "Binary"

    def _body(self) -> bytes:
        if not self._is_binary_patch():
            return b""
        data = (self.resource or {}).get("data")
        try:
            return b64decode(data if isinstance(data, str) else "", validate=True)
        except ValueError:
            raise invalid("data is not base64", "Binary.data") from None


def read_entries(bundle: dict[str, Any], most: int) -> list[BundleEntry]:
    """400 naming the place of what is malformed, 413 for more entries than `most`."""
    listed = bundle.get("entry", [])
    if not isinstance(listed, list):
        raise invalid("entry must be a list", "Bundle.entry")
    if len(listed) > most:
        why = f"a Bundle may have {most} entries at most"
        raise Problem(413, "too-long", why, expression="Bundle.entry")
    return [_entry(at, entry) for at, entry in enumerate(listed)]


def kind_of(bundle: dict[str, Any]) -> Kind:
    """400 for another resource, or another type of Bundle."""
    if bundle.get("resourceType") != "Bundle":
        raise invalid("the body must be a Bundle", "resourceType")
    kind = bundle.get("type")
    if kind not in ("batch", "transaction"):
        raise invalid("the Bundle must be a batch or a transaction", "Bundle.type")
    return cast(Kind, kind)


def frame(bundle: dict[str, Any]) -> dict[str, Any]:
    """The Bundle without what its entries hold, which is checked as they are carried out."""
    without = [
        {name: value for name, value in entry.items() if name not in _HELD}
        for entry in bundle.get("entry", ())
    ]
    rest = {name: value for name, value in bundle.items() if name != "entry"}
    return {**rest, "entry": without} if without else rest


_HELD: Final = frozenset({"resource", "fullUrl"})


def _entry(at: int, entry: Any) -> BundleEntry:
    place = f"Bundle.entry[{at}]"
    if not isinstance(entry, dict):
        raise invalid("an entry must be an object", place)
    request = entry.get("request")
    if not isinstance(request, dict):
        raise invalid("an entry needs a request", f"{place}.request")
    resource, full_url = entry.get("resource"), entry.get("fullUrl")
    if resource is not None and not isinstance(resource, dict):
        raise invalid("the resource must be an object", f"{place}.resource")
    if full_url is not None and not (isinstance(full_url, str) and full_url):
        raise invalid("the fullUrl must be a URL", f"{place}.fullUrl")
    for name in ("method", "url"):
        if not isinstance(request.get(name), str):
            raise invalid(f"the {name} is required", f"{place}.request.{name}")
    headers = {}
    for name, header in HEADERS.items():
        if name in request:
            if not isinstance(request[name], str):
                raise invalid(f"{name} must be a text", f"{place}.request.{name}")
            headers[header] = request[name]
    return BundleEntry(at, request["method"], request["url"], full_url, resource, headers)


def _relative(url: str, base: str) -> str:
    """Below the face: `Patient/x`, `/Patient/x` and its whole address mean the same."""
    return url.removeprefix(base).lstrip("/")
