"""A condition on a resource, apart from the values it compares with.

`shape` is a nested tuple: the name of a predicate (see predicates.py), then what it needs to be
built. `values` are bound in the order in which building the shape takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

Shape = tuple[Any, ...]


class Node(NamedTuple):
    """`hot` is set for an equality on a hot reference: the parameter and its column's values, by
    which a statement may be driven instead of by keys."""

    shape: Shape
    values: tuple[Any, ...] = ()
    hot: tuple[str, list[str]] | None = None


KEYS: Shape = ("keys",)
# The same condition, kept from the key index.
FILTER: Shape = ("filter",)
NOTHING = Node(("false",))
EVERYTHING = Node(("true",))


def keys(wanted: list[int]) -> Node:
    """Any of the keys."""
    return Node(KEYS, (wanted,))


def negated(node: Node) -> Node:
    return Node(("not", node.shape), node.values)


def all_of(nodes: Sequence[Node]) -> Node:
    """Every node holds."""
    held = [node for node in nodes if node.shape != EVERYTHING.shape]
    if len(held) == 1:
        return held[0]
    return _joined("and", held) if held else EVERYTHING


def any_of(nodes: Sequence[Node]) -> Node:
    """At least one node holds. Keys are one look-up in their index."""
    if any(node.shape == EVERYTHING.shape for node in nodes):
        return EVERYTHING
    keyed = [node for node in nodes if node.shape == KEYS]
    others = [node for node in nodes if node.shape not in (KEYS, NOTHING.shape)]
    held = [_any_key(keyed), *others] if keyed else others
    if len(held) == 1:
        return held[0]
    return _joined("or", held) if held else NOTHING


def _any_key(nodes: Sequence[Node]) -> Node:
    found = keys([key for node in nodes for key in node.values[0]])
    hot = [node.hot for node in nodes if node.hot]
    if len(hot) < len(nodes) or len({code for code, _ in hot}) > 1:
        return found
    return found._replace(hot=(hot[0][0], [target for _, targets in hot for target in targets]))


def _joined(word: str, nodes: Sequence[Node]) -> Node:
    values = tuple(value for node in nodes for value in node.values)
    parts = [node.shape[1] if node.shape[0] == word else (node.shape,) for node in nodes]
    return Node((word, tuple(shape for part in parts for shape in part)), values)
