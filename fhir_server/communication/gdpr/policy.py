"""`capability/gdpr-policy.yaml`: by when a request is to be done, and what keeps one from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fhir_server.definitions.loader import did_you_mean
from fhir_server.interactions.model import Resource

FILE: Final = "gdpr-policy.yaml"
CODES: Final = ("erase", "export", "restrict", "lift")


class Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Label(Declaration):
    """A security label."""

    system: str
    code: str

    @property
    def token(self) -> str:
        """As a search names it."""
        return f"{self.system}|{self.code}"

    @property
    def coding(self) -> Resource:
        """As a resource bears it."""
        return {"system": self.system, "code": self.code}


class Policy(Declaration):
    """`days` that a request of each code may take; `hold` are the labels of a legal hold."""

    days: dict[str, int] = Field(default_factory=lambda: dict.fromkeys(CODES, 30))
    hold: tuple[Label, ...] = ()

    def due(self, code: str) -> timedelta:
        """How long a request of that code may take."""
        return timedelta(days=self.days[code])

    def held(self, resource: Mapping[str, Any]) -> bool:
        """Whether it is under legal hold."""
        labels = resource.get("meta", {}).get("security", ())
        borne = {(label.get("system"), label.get("code")) for label in labels}
        return any((label.system, label.code) in borne for label in self.hold)


def read_policy(path: Path) -> tuple[Policy, list[str]]:
    """The policy, and what is wrong with it."""
    place = f"capability/{path.name}"
    try:
        policy = Policy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        return Policy(), [f"{place}: {type(error).__name__}"]
    except ValidationError as error:
        return Policy(), [f"{place}: {fault}" for fault in _faults(error)]
    return policy, [f"{place}: {fault}" for fault in _mistakes(policy)]


def _faults(error: ValidationError) -> Iterator[str]:
    for each in error.errors():
        *above, last = map(str, each["loc"] or ("",))
        key = ".".join([*above, last])
        unknown = each["type"] == "extra_forbidden" and not above
        near = did_you_mean(last, Policy.model_fields) if unknown else ""
        yield f"{key}: {each['msg']}{near}"


def _mistakes(policy: Policy) -> Iterator[str]:
    for code in policy.days:
        if code not in CODES:
            yield f"days.{code}: no such request{did_you_mean(code, CODES)}"
    for code in CODES:
        if policy.days.get(code, 0) < 1:
            yield f"days.{code}: at least one day"
