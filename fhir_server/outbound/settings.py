"""What an operator decides about the way out."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from fhir_server.outbound.addresses import read_networks

HIGHEST_PORT = 65535


class OutboundSettings(BaseModel):
    """Environment variables carry the prefix `FHIR_SERVER_`."""

    outbound_networks: str | None = Field(
        None,
        description="Private networks that endpoints of subscriptions may lie in, such as"
        " `10.20.0.0/16, fd12:3456::/32`; without it, public addresses only",
    )
    outbound_ports: str = Field(
        "443,8443",
        description="Ports that endpoints may name, separated by commas; `*` for all. Outside"
        " production 80 and 8080 too, for `http`",
    )

    @field_validator("outbound_networks")
    @classmethod
    def _networks_are_networks(cls, text: str | None) -> str | None:
        read_networks(text)
        return text

    @field_validator("outbound_ports")
    @classmethod
    def _ports_are_ports(cls, text: str) -> str:
        read_ports(text)
        return text


def read_ports(text: str) -> frozenset[int] | None:
    """`443, 8443` → both; None for `*`; ValueError for what is no port."""
    if text.strip() == "*":
        return None
    ports = frozenset(int(part) for part in text.split(",") if part.strip())
    if not all(0 < port <= HIGHEST_PORT for port in ports):
        raise ValueError("ports are numbers from 1 to 65535, or *")
    return ports
