"""Which hot reference drives a search, and the order of one that asks for none."""

from __future__ import annotations

from typing import Any

from fhir_server.definitions.model import ServedType
from fhir_server.store.search import order
from fhir_server.store.search.node import FILTER, KEYS, Node
from fhir_server.store.search.statement import Drive


def driven(
    served: ServedType, nodes: list[Node], sort: tuple[order.Key, ...], this: str = ""
) -> tuple[Drive | None, list[Any], list[Node]]:
    """The hot reference to drive by, its values, and the other nodes. One whose index is in the
    wanted order comes first."""
    found = [(at, *hot) for at, node in enumerate(nodes) if (hot := _hot(served, node))]
    if not found:
        return None, [], nodes
    wanted = sort[0][1:3] if sort else None
    at, code, targets = next((f for f in found if wanted in _orders(served, f[1])), found[0])
    single = served.search[code].single
    rest = nodes[:at] + nodes[at + 1 :]
    if targets is None:
        return Drive(code, many=False, single=single, this=this), [], rest
    many = len(targets) > 1
    return Drive(code, many, single), [targets if many else targets[0]], rest


def by_keys(kind: str, nodes: list[Node]) -> bool:
    """Whether the key index tells all that a derived field of that kind asks: it intersects what
    each key has, so that a count of a few among a row's thousands does not walk these. It knows no
    order, so it does not find the first."""
    keyed = [node for node in nodes if node.shape == KEYS or node.shape[0] == "this"]
    return kind != "first" and 1 < len(keyed) == len(nodes)


def filtering(node: Node) -> Node:
    """Where a hot column drives, keys only filter, else PostgreSQL would intersect its few rows
    with a large part of the key index."""
    shape = node.shape
    if shape == KEYS:
        return node._replace(shape=FILTER)
    if shape[0] == "and":
        parts = tuple(FILTER if part == KEYS else part for part in shape[1])
        return node._replace(shape=("and", parts))
    return node


def _hot(served: ServedType, node: Node) -> tuple[str, list[str] | None] | None:
    if node.hot:
        return node.hot
    if node.shape[0] == "this" and any(_orders(served, node.shape[1])):
        return node.shape[1], None
    return None


def _orders(served: ServedType, code: str) -> list[tuple[str, bool]]:
    """What the hot indexes on `code` are ordered by next."""
    return [
        index.columns[1]
        for index in served.indexes
        if index.columns[0][0] == code and len(index.columns) > 1
    ]


def natural(served: ServedType, drive: Drive | None) -> tuple[order.Key, ...]:
    """The order of a search that asks for none: the driving index's, else by id, the oldest
    first."""
    following = _orders(served, drive.code) if drive else []
    if not following:
        return order.complete(())
    code, descending = following[0]
    return order.keys_of(served, f"-{code}" if descending else code)
