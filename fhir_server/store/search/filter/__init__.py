"""`_filter`: criteria joined by and, or and not.

    parse       parser.py     text → Expression, errors with their position
    compile     compiler.py   Expression → Nodes, those that parameters of their own would give

https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

from fhir_server.store.search.filter.compiler import conjuncts

__all__ = ["conjuncts"]
