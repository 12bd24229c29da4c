"""Addresses that a client gives for deliveries: whatever leads back inside is refused when it is
written, in whatever way it is spelled (SSRF)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.outbound import EndpointError, Endpoints, OutboundSettings
from fhir_server.outbound.addresses import is_public, read_address
from fhir_server.settings import Settings
from tests.conftest import NewClinic
from tests.support.clinic import Clinic, Resource, refusal

STRICT = Endpoints(OutboundSettings())
ANY_PORT = Endpoints(OutboundSettings(outbound_ports="*"))
AT_HOME = Endpoints(OutboundSettings(outbound_networks="10.20.0.0/16, fd12::/16"))
DEVELOPMENT = Endpoints(OutboundSettings(), production=False)

GOOD = (
    "https://hooks.example.org",
    "https://hooks.example.org/",
    "https://hooks.example.org:8443/fhir?tenant=a%20b&x=1",
    "https://HOOKS.Example.ORG./in",
    "https://xn--mnchen-3ya.example/in",
    "https://93.184.216.34/in",
    "https://[2606:2800:220:1:248:1893:25c8:1946]/in",
    "https://[64:ff9b::5db8:d822]/",  # 93.184.216.34 behind NAT64
    "https://1.hooks.example.org/",
)
INSIDE = (
    "localhost", "LOCALHOST", "localhost.", "x.localhost", "localhost.localdomain", "printer",
    "printer.local", "db.internal", "metadata.google.internal", "metadata.google.internal.",
    "instance-data", "router.home.arpa", "x.lan", "x.corp", "x.onion", "1.0.0.127.in-addr.arpa",
    "127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "0.0.0.0", "0", "10.0.0.1", "172.16.0.1",  # noqa: S104
    "172.31.255.255", "192.168.1.1", "169.254.169.254", "169.254.170.2", "100.64.0.1",
    "100.100.100.200", "192.0.0.192", "168.63.129.16", "198.18.0.1", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1", "192.88.99.1",
    # Other spellings of 127.0.0.1 and 169.254.169.254.
    "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7F.1", "017700000001", "0177.0.0.1",
    "127.0.0.1.", "127.000.000.001", "0251.0376.0251.0376", "2852039166", "0xa9fea9fe",
    "169.254.43518", "425.510.425.510", "1.1.1.256", "1.2.3", "1.2.3.4.5", "0x", "127.0.0.0x1",
    "①②⑦.⓪.⓪.①", "127。0。0。1", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::ffff:0:127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b::169.254.169.254]", "[64:ff9b:1::1]", "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]", "[2001:0:7f00:1::]", "[fe80::1]", "[fe80::1%25eth0]", "[fec0::1]",
    "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[100::1]", "[2001:db8::1]", "[3fff::1]",
    "[5f00::1]",
)  # fmt: skip
STRANGE = (
    "", " ", "https://", "https:///in", "https:/a.example", "https:a.example", "//a.example/",
    "/in", "a.example", "https:\\\\a.example", "http://a.example/", "HTTPS://a.example/",
    "ftp://a.example/", "file:///etc/passwd", "gopher://a.example:6379/_x", "dict://a.example/",
    "data:text/plain,x", "javascript:alert(1)", "unix:/run/docker.sock",
    "jar:https://a.example!/", "mailto:x@a.example", "https://user@a.example/",
    "https://user:secret@a.example/", "https://a.example@127.0.0.1/",
    "https://127.0.0.1#@a.example/", "https://a.example#x", "https://127.0.0.1\\@a.example/",
    "https://a.example\\.evil.example/", "https://a.example /", " https://a.example/",
    "https://a.example/ ", "https://a.example/\n", "https://a.example\r\n/",
    "https://a.example/\r\nX-Injected: 1", "https://a.example/\t", "https://a.example/\0",
    "https://a.exa\tmple/", "https://a%2eexample/", "https://%6c%6f%63%61%6c%68%6f%73%74/",
    "https://a..example/", "https://.a.example/", "https://a.example../", "https://-a.example/",
    "https://a-.example/", "https://a_b.example/", "https://a.example:443:80/",
    "https://a.example:/", "https://a.example:0/", "https://a.example:22/",
    "https://a.example:80/", "https://a.example:6379/", "https://a.example:99999/",
    "https://a.example:-1/", "https://a.example:4\u06633/", "https://münchen.example/",
    "https://a.example/ü", "https://ａ.example/", "https://a.example/<x>", 'https://a.example/"',
    "https://a.example/{x}", "https://[::1/", "https://::1/", "https://[a.example]/",
    "https://[1.2.3.4]/", "https://*/", "https://*.example/", "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 130 + "example/", "https://a.example/" + "x" * 3000,
    "https://a.example?x=1",
)  # fmt: skip


@pytest.mark.parametrize("url", GOOD)
def test_a_public_address_is_taken(url: str) -> None:
    assert STRICT.read(url).scheme == "https"


@pytest.mark.parametrize("host", INSIDE)
def test_an_address_that_leads_inside_is_refused(host: str) -> None:
    for endpoints, scheme, rest in product(
        (STRICT, ANY_PORT, DEVELOPMENT, AT_HOME), ("https", "http"), ("", "/", "/in?x", ":8443/")
    ):
        with pytest.raises(EndpointError):
            endpoints.read(f"{scheme}://{host}{rest}")


@pytest.mark.parametrize("url", STRANGE)
def test_a_strange_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(EndpointError) as refused:
        STRICT.read(url)
    assert len(url.strip()) < 4 or url.strip() not in str(refused.value)


def test_what_the_settings_allow_is_allowed_and_no_more() -> None:
    assert AT_HOME.read("https://10.20.1.2/").host == "10.20.1.2"
    assert AT_HOME.read("https://[::ffff:10.20.1.2]/").host == "::ffff:a14:102"
    assert AT_HOME.read("https://[fd12:1::5]/").host == "fd12:1::5"
    assert DEVELOPMENT.read("http://hooks.example.org:8080/").port == 8080
    assert ANY_PORT.read("https://hooks.example.org:6443/").port == 6443
    for endpoints, url in (
        (AT_HOME, "https://10.21.1.2/"),
        (AT_HOME, "https://127.0.0.1/"),
        (AT_HOME, "https://[fd13::5]/"),
        (AT_HOME, "http://10.20.1.2/"),
        (DEVELOPMENT, "http://127.0.0.1/"),
        (DEVELOPMENT, "http://hooks.example.org:22/"),
        (ANY_PORT, "http://hooks.example.org/"),
    ):
        with pytest.raises(EndpointError):
            endpoints.read(url)


@pytest.mark.parametrize(
    "given",
    [
        {"outbound_networks": "10.0.0.0/33"},
        {"outbound_networks": "10.0.0.1/8"},
        {"outbound_networks": "home"},
        {"outbound_ports": "0"},
        {"outbound_ports": "https"},
    ],
)
def test_a_wrong_setting_is_refused_at_start_up(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="outbound_"):
        Settings(environment="test", **given)  # type: ignore[arg-type]  # texts, all of them


PRIVATE = [ip_network(text) for text in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16")] + [
    ip_network(text) for text in ("172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "224.0.0.0/3")
]
INNER = st.one_of([st.integers(int(n[0]), int(n[-1])).map(IPv4Address) for n in PRIVATE])


def spellings(address: IPv4Address) -> Iterator[str]:
    """Every way in which some reader understands the address."""
    number, parts = int(address), list(address.packed)
    yield from (
        str(address),
        f"{address}.",
        str(number),
        hex(number),
        f"0{number:o}",
        f"0x{number:X}",
    )
    written = [(str(part), hex(part), f"0{part:o}") for part in parts]
    yield from map(".".join, product(*written))
    yield f"{parts[0]}.{number & 0xFFFFFF}"
    yield f"{parts[0]}.{parts[1]}.{number & 0xFFFF}"
    for within in (f"::ffff:{address}", f"::{address}", f"64:ff9b::{address}"):
        yield from (f"[{within}]", f"[{IPv6Address(within)}]", f"[{IPv6Address(within).exploded}]")
    first, second = number >> 16, number & 0xFFFF
    yield from (f"[2002:{first:x}:{second:x}::1]", f"[2001:0:{first:x}:{second:x}::]")


@given(INNER)
def test_no_spelling_of_a_private_address_is_taken(address: IPv4Address) -> None:
    for host in spellings(address):
        with pytest.raises(EndpointError):
            ANY_PORT.read(f"https://{host}/")


@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address))
def test_what_is_taken_is_global_by_the_standard_library_too(
    address: IPv4Address | IPv6Address,
) -> None:
    if is_public(address):
        inner = getattr(address, "ipv4_mapped", None)
        translated = address in ip_network("64:ff9b::/96")
        assert translated or (inner or address).is_global
        assert not address.is_multicast


PARTS = ("a.example", "127.0.0.1", ".", ":", "/", "@", "[", "]", "::1", "#", "?", "\\", "%", "443")


@given(
    st.text(max_size=60) | st.lists(st.sampled_from(PARTS)).map(lambda p: "https://" + "".join(p))
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        endpoint = STRICT.read(text)
    except EndpointError:
        return
    assert (endpoint.scheme, endpoint.port in {443, 8443}) == ("https", True)
    assert endpoint.host.isascii()
    assert read_address(endpoint.host) or "." in endpoint.host


def subscription(
    endpoint: str | None = "https://hooks.example.org/in", **channel: object
) -> Resource:
    """A Subscription with that channel."""
    given = {
        "type": "rest-hook",
        "payload": "application/fhir+json",
        "endpoint": endpoint,
    } | channel
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "Follow a conversation",
        "criteria": "Communication?status=in-progress",
        "channel": {name: value for name, value in given.items() if value is not None},
    }


@pytest.fixture(scope="module")
def world(new_clinic: NewClinic) -> Clinic:
    return new_clinic()


def test_a_subscription_may_call_a_public_address(world: Clinic) -> None:
    kept = world.service.created(subscription(header=["Authorization: Bearer abc", "X-Empty:"]))
    assert kept["channel"]["endpoint"] == "https://hooks.example.org/in"


CHANNELS: dict[str, dict[str, object]] = {
    "an address inside": {"endpoint": "http://169.254.169.254/latest/meta-data"},
    "localhost": {"endpoint": "http://localhost:5432/"},
    "an address with a user": {"endpoint": "https://x:y@hooks.example.org/"},
    "a file": {"endpoint": "file:///etc/passwd"},
    "a relative address": {"endpoint": "Communication"},
    "a broker inside": {"type": "message", "endpoint": "https://10.0.0.1/"},
    "a socket inside": {"type": "websocket", "endpoint": "wss://127.0.0.1/"},
    "nothing": {"endpoint": None},
    "an e-mail with headers": {"type": "email", "endpoint": "mailto:a@b.example?bcc=c@d.example"},
    "two e-mails": {"type": "email", "endpoint": "mailto:a@b.example,c@d.example"},
    "an address for e-mail": {"type": "email", "endpoint": "http://127.0.0.1/"},
    "a number with more": {"type": "sms", "endpoint": "tel:+1;ext=2"},
    "a header with another": {"header": ["X-A: b\r\nX-C: d"]},
    "a header with a line feed": {"header": ["X-A: b\nX-C: d"]},
    "a header that is none": {"header": ["X-A"]},
    "a header without a name": {"header": [": b"]},
    "a host": {"header": ["Host: internal"]},
    "a length": {"header": ["X-A: b", "content-length : 0"]},
    "a transfer encoding": {"header": ["Transfer-Encoding: chunked"]},
}  # fmt: skip
PLACES = ("Subscription.channel.endpoint", "Subscription.channel.header")


@pytest.mark.parametrize("case", CHANNELS)
def test_a_subscription_that_would_call_inside_is_refused(world: Clinic, case: str) -> None:
    bad = subscription(**CHANNELS[case])  # type: ignore[arg-type]  # endpoint is text or None
    answer = world.service.post(bad)
    assert refusal(answer) == (422, "business-rule")
    (place,) = answer.json()["issue"][0]["expression"]
    assert place.startswith(PLACES)
    checked = world.service.post(bad, "Subscription/$validate")
    assert '"severity":"error"' in checked.text


def test_no_way_of_writing_goes_round_the_rule(world: Clinic) -> None:
    service = world.service
    kept = service.created(subscription())
    inside = "http://127.0.0.1/"
    patch = [{"op": "replace", "path": "/channel/endpoint", "value": inside}]
    bad = {**kept, "channel": {**kept["channel"], "endpoint": inside}}
    entry = {"resource": subscription(inside), "request": {"method": "POST", "url": "Subscription"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    before = service.get(f"Subscription/{kept['id']}").content
    json_patch = service.ask(
        "PATCH",
        f"Subscription/{kept['id']}",
        str(patch).replace("'", '"'),
        content_type="application/json-patch+json",
    )
    for answer in (service.put(bad), json_patch, service.post(bundle, "/fhir/R4")):
        assert refusal(answer)[0] == 422
    assert service.get(f"Subscription/{kept['id']}").content == before
    assert service.ids("Subscription?url=http://127.0.0.1/") == set()
