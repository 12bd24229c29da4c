"""Reading the address of an endpoint, more strictly than any HTTP client reads it.

Clients differ in what they make of a strange URL, and each difference is a way past a guard. So
nothing strange is read: plain ASCII, a host that is a full DNS name or an IP address in its one
usual form, no user, no fragment. Names are not resolved here: see deliver.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fhir_server.outbound.addresses import Network, is_public, read_address, read_networks
from fhir_server.outbound.settings import OutboundSettings, read_ports

LONGEST: Final = 2048
PLAIN_PORTS: Final = frozenset({80, 8080})
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,254})"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<target>(?:/[!-~]*)?)",
    re.ASCII,
)
# Neither may stand in a path or query as it is (RFC 3986).
_UNESCAPED = re.compile(r'[\\^`{|}<>"#]')
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
# What some readers take for a number, and so a name's last part for that of an address.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
# Names that mean something of this machine's or this network's (RFC 6761, 6762, 8375, 9476).
_LOCAL: Final = frozenset(
    {"localhost", "local", "localdomain", "internal", "intranet", "private", "corp", "home", "lan"}
    | {"onion", "alt", "test", "invalid", "home.arpa", "in-addr.arpa", "ip6.arpa"}
)


class EndpointError(ValueError):
    """Why nothing is sent there; the text repeats nothing of the address."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`host` is a name in small letters or an address without brackets; `target` path and query."""

    scheme: str
    host: str
    port: int
    target: str


class Endpoints:
    """What the settings allow; plain `http` outside production."""

    def __init__(self, settings: OutboundSettings, *, production: bool = True) -> None:
        self.networks: tuple[Network, ...] = read_networks(settings.outbound_networks)
        self._production = production
        self._ports = read_ports(settings.outbound_ports)
        if self._ports is not None and not production:
            self._ports |= PLAIN_PORTS

    def read(self, url: str) -> Endpoint:
        """EndpointError for what nothing may be sent to."""
        parts = _URL.fullmatch(url) if len(url) <= LONGEST else None
        if parts is None or _UNESCAPED.search(parts["target"]):
            raise EndpointError("it must be an absolute https address without user or fragment")
        scheme = parts["scheme"]
        if scheme == "http" and self._production:
            raise EndpointError("it must be https")
        port = int(parts["port"] or (443 if scheme == "https" else 80))
        if self._ports is not None and port not in self._ports:
            raise EndpointError("its port is not among those that are allowed")
        return Endpoint(scheme, self._host(parts["host"]), port, parts["target"] or "/")

    def _host(self, text: str) -> str:
        address = read_address(text.strip("[]"))
        if address is None or text.startswith("[") != (address.version == 6):
            return _name(text.lower())
        if not is_public(address, self.networks):
            raise EndpointError("its address is not a public one")
        return str(address)


def _name(host: str) -> str:
    """A full name, in its plain form."""
    name = host.removesuffix(".")
    labels = name.split(".")
    if not all(map(_LABEL.fullmatch, labels)) or _NUMBER.fullmatch(labels[-1]):
        raise EndpointError("its host is neither a name nor an address in its usual form")
    if len(labels) == 1 or labels[-1] in _LOCAL or ".".join(labels[-2:]) in _LOCAL:
        raise EndpointError("its host is a name of a local network")
    return name
