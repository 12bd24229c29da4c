"""Search: parse → plan → SQL → page.

A request's parameters become `Node`s. A node is a *shape* (which SQL to build, made of declared
names only) and *values* (what to bind). All shapes of a request together are the key under which
its compiled statement is kept, so the second request of the same shape costs a dictionary look-up
and a list of arguments. No value a caller sends is ever part of SQL text.

    parse       criteria.py   name and value of one parameter → Node, by type of parameter
    plan        planner.py    nodes, access policy, order, cursor → shape and values
    SQL         statement.py  shape → SQLAlchemy Core → text, once per shape (predicates.py)
    page        page.py       rows → resources, includes, next cursor

Several types at once: across.py.
"""

from __future__ import annotations

from fhir_server.store.search.across import Across
from fhir_server.store.search.page import Derived, Page
from fhir_server.store.search.planner import Planner, Query

__all__ = ["Across", "Derived", "Page", "Planner", "Query"]
