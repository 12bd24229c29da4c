"""Which IP addresses are on the public Internet, and which lead inside.

Python's `is_global` changed between patch releases and knows nothing of addresses within addresses;
these are the registries themselves.
https://www.iana.org/assignments/iana-ipv4-special-registry/
https://www.iana.org/assignments/iana-ipv6-special-registry/
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT; 100.100.100.200 is a cloud's metadata service
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # Azure's wire server, public by number only
            "169.254.0.0/16",  # link-local; 169.254.169.254 is the clouds' metadata service
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # 6to4 relay
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarking
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: an IPv4 address within
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)
# All that is routed; loopback, link-local, private and multicast lie outside.
_UNICAST = IPv6Network("2000::/3")
# An IPv4 address in the last 32 bits, to which a gateway translates.
_TRANSLATED = IPv6Network("64:ff9b::/96")


def is_public(address: Address, allowed: Iterable[Network] = ()) -> bool:
    """Whether a client may have us connect to it: it is public, or in a network of `allowed`."""
    address = _meant(address)
    if any(address in network for network in allowed if network.version == address.version):
        return True
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    return not any(address in network for network in _NOT_PUBLIC if _same(network, address))


def read_address(text: str) -> Address | None:
    """`192.0.2.1` or `2001:db8::1`, without a zone; None for what is no address."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def read_networks(text: str | None) -> tuple[Network, ...]:
    """`10.0.0.0/8, fd00::/8` → both; ValueError for what is no network."""
    return tuple(ip_network(part.strip()) for part in (text or "").split(",") if part.strip())


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def _same(network: Network, address: Address) -> bool:
    return network.version == address.version
