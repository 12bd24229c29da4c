"""Every error of the declared files, gathered, so that one start shows them all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fhir_server.definitions.loader import did_you_mean


@dataclass(frozen=True, slots=True)
class Faults:
    """Collects the faults below one key of one file; `at` goes further down."""

    file: str
    key: str = ""
    found: list[str] = field(default_factory=list)

    def at(self, *keys: str) -> Faults:
        return Faults(self.file, ".".join(filter(None, (self.key, *keys))), self.found)

    def add(self, message: str) -> None:
        self.found.append(f"{self.file}: {self.key}: {message}")

    def unknown(self, kind: str, name: str, known: Iterable[str]) -> None:
        """An unknown name, with the nearest one that exists."""
        self.add(f"unknown {kind} {name}{did_you_mean(name, known)}")
