"""Tokens made to confuse whoever reads them, by what is wrong with each.

https://www.rfc-editor.org/rfc/rfc8725, https://datatracker.ietf.org/doc/html/rfc7515
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from typing import Any

import orjson
from joserfc import jwe, jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from fhir_server.http.auth.devkey import ISSUER as DEVELOPMENT
from tests.auth.issuer import AUDIENCE, Issuer, b64

Forge = Callable[[Issuer], str]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def keyed(secret: Callable[[RSAKey], bytes], algorithm: str = "HS256") -> Forge:
    """Signed with an HMAC whose secret is some form of the public key (CVE-2015-9235)."""

    def forge(issuer: Issuer) -> str:
        signed = f"{b64({'alg': algorithm, 'kid': issuer.rsa.kid})}.{b64(issuer.claims())}"
        digest = algorithm.lower().replace("hs", "sha")
        return f"{signed}.{b64(hmac.digest(secret(issuer.rsa), signed.encode(), digest))}"

    return forge


def headed(algorithm: object = None, **header: object) -> Forge:
    """Well signed, under a header that says more or something else. The signature covers it."""

    def forge(issuer: Issuer) -> str:
        full = {"alg": "RS256", "kid": issuer.rsa.kid} | header
        if algorithm is not None:
            full["alg"] = algorithm
        return signed(issuer, orjson.dumps(full), orjson.dumps(issuer.claims()))

    return forge


def signed(issuer: Issuer, header: bytes, claims: bytes) -> str:
    """An RS256 signature over exactly those bytes."""
    text = f"{b64(header)}.{b64(claims)}"
    return f"{text}.{b64(jws.JWSRegistry.algorithms['RS256'].sign(text.encode(), issuer.rsa))}"


def raw_claims(change: Callable[[bytes], bytes]) -> Forge:
    """Well signed claims, changed as text: what no JSON library would write."""
    return lambda issuer: signed(
        issuer,
        orjson.dumps({"alg": "RS256", "kid": issuer.rsa.kid}),
        change(orjson.dumps(issuer.claims())),
    )


def raw_header(change: Callable[[bytes], bytes]) -> Forge:
    return lambda issuer: signed(
        issuer,
        change(orjson.dumps({"alg": "RS256", "kid": issuer.rsa.kid})),
        orjson.dumps(issuer.claims()),
    )


def elliptic(r: int, s: int) -> Forge:
    """An ES256 signature of those two numbers; (0, 0) once proved anything (CVE-2022-21449)."""

    def forge(issuer: Issuer) -> str:
        text = issuer.token({}, issuer.ec).rpartition(".")[0]
        return f"{text}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    return forge


def der_signature(issuer: Issuer) -> str:
    """An ES256 signature in the form of X.509, not of JWS."""
    text, _, plain = issuer.token({}, issuer.ec).rpartition(".")
    raw = base64.urlsafe_b64decode(plain + "==")
    numbers = [raw[:32].lstrip(b"\0"), raw[32:].lstrip(b"\0")]
    parts = [b"\0" + one if one[0] & 0x80 else one for one in numbers]
    inner = b"".join(b"\x02" + bytes([len(one)]) + one for one in parts)
    return f"{text}.{b64(b'0' + bytes([len(inner)]) + inner)}"


def nested(issuer: Issuer) -> str:
    """A token in an encrypted one, for anybody's key."""
    key = OctKey.generate_key(256)
    header = {"alg": "dir", "enc": "A256GCM", "cty": "JWT"}
    return str(jwe.encrypt_compact(header, issuer.token(), key, registry=None))


def three_parts_of_an_encrypted_one(issuer: Issuer) -> str:
    return ".".join(nested(issuer).split(".")[:3])


def json_serialised(issuer: Issuer) -> str:
    header, payload, signature = issuer.token().split(".")
    return orjson.dumps({"protected": header, "payload": payload, "signature": signature}).decode()


def of_another_curve(issuer: Issuer) -> str:
    return issuer.token({"alg": "ES256", "kid": issuer.ec.kid}, ECKey.generate_key("P-256"))


def claims(**changes: Any) -> Forge:
    return lambda issuer: issuer.token(**changes)


def padded(issuer: Issuer) -> str:
    return issuer.token() + "="


def standard_base64(issuer: Issuer) -> str:
    header, payload, signature = issuer.token().split(".")
    return f"{header}.{payload}.{signature[:-1]}+"


def der_of(key: RSAKey) -> bytes:
    return bytes(key.as_der(private=False))


KEYED: dict[str, Forge] = {
    "PEM": keyed(lambda key: key.as_pem(private=False)),
    "PEM without its last line end": keyed(lambda key: key.as_pem(private=False).rstrip()),
    "PEM with other line ends": keyed(
        lambda key: key.as_pem(private=False).replace(b"\n", b"\r\n")
    ),
    "DER": keyed(der_of),
    "JWK": keyed(lambda key: orjson.dumps(key.as_dict(private=False))),
    "its modulus as text": keyed(lambda key: str(key.as_dict(private=False)["n"]).encode()),
    "its modulus": keyed(
        lambda key: base64.urlsafe_b64decode(str(key.as_dict(private=False)["n"]) + "==")
    ),
    "its key id": keyed(lambda key: (key.kid or "").encode()),
    "nothing": keyed(lambda _: b""),
    "PEM, HS384": keyed(lambda key: key.as_pem(private=False), "HS384"),
    "PEM, HS512": keyed(lambda key: key.as_pem(private=False), "HS512"),
}
KIDS: dict[str, object] = {
    "a path": "../../../../../../dev/null",
    "a path with an escape": "..%2f..%2fdev%2fnull",
    "a path with NUL": "/dev/null\0.pem",
    "a file address": "file:///dev/null",
    "a command": "key; sleep 5",
    "a pipe": "|/bin/true",
    "SQL": "' UNION SELECT 'secret' -- ",
    "LDAP": "*)(uid=*))(|(uid=*",
    "an address": "https://evil.example/keys.json",
    "a prototype": "__proto__",
    "a member": "__class__",
    "a list": ["a"],
    "true": True,
    "a surrogate": "\\ud800",
}
FORGED: dict[str, Forge] = {
    **{f"HMAC with {name}": forge for name, forge in KEYED.items()},
    **{f"kid {name}": headed(kid=kid) for name, kid in KIDS.items()},
    "alg in another case": headed("rs256"),
    "alg none": headed("none"),
    "alg with a blank": headed("RS256 "),
    "alg with NUL": headed("RS256\0"),
    "alg of the other key": headed("ES256"),
    "alg null": raw_header(lambda h: h.replace(b'"RS256"', b"null")),
    "alg an object": headed({"name": "RS256"}),
    "two algs": raw_header(lambda h: h.replace(b"{", b'{"alg":"none",', 1)),
    "two algs, the second none": raw_header(lambda h: h.replace(b"}", b',"alg":"none"}')),
    "two kids": raw_header(lambda h: h.replace(b"}", b',"kid":"nobody"}')),
    "jwk": headed(jwk={"kty": "oct", "k": "AAAA"}),
    "jwk null": headed(jwk=None),
    "jku": headed(jku="https://evil.example/keys"),
    "x5u": headed(x5u="https://evil.example/cert"),
    "x5c": headed(x5c=["MIIB"]),
    "x5c empty": headed(x5c=[]),
    "crit": headed(crit=["exp"]),
    "crit unknown": headed(crit=["evil"], evil=True),
    "crit empty": headed(crit=[]),
    "b64 false": headed(b64=False, crit=["b64"]),
    "b64 true": headed(b64=True),
    "zip": headed(zip="DEF"),
    "enc": headed(enc="A256GCM"),
    "typ JOSE": headed(typ="JOSE"),
    "typ of a logout": headed(typ="logout+jwt"),
    "typ of an introspection": headed(typ="token-introspection+jwt"),
    "typ with NUL": headed(typ="JWT\0"),
    "ES256 r = s = 0": elliptic(0, 0),
    "ES256 r = 0": elliptic(0, 1),
    "ES256 s = 0": elliptic(1, 0),
    "ES256 r = s = 1": elliptic(1, 1),
    "ES256 r = s = order": elliptic(P256_ORDER, P256_ORDER),
    "ES256 r = order, s = 1": elliptic(P256_ORDER, 1),
    "ES256 at most": elliptic(2**256 - 1, 2**256 - 1),
    "ES256 in DER": der_signature,
    "ES256 of a stranger": of_another_curve,
    "nested": nested,
    "a part of a nested one": three_parts_of_an_encrypted_one,
    "JSON serialisation": json_serialised,
    "padding": padded,
    "standard base64": standard_base64,
    "a blank within": lambda i: i.token().replace(".", ". ", 1),
    "a line end within": lambda i: i.token().replace(".", ".\n", 1),
    "a comma": lambda i: i.token() + ", x",
    "the key of encryption": lambda i: i.token({"kid": i.encryption.kid}, i.encryption),
    "azp alone": claims(aud=None, azp=AUDIENCE),
    "audience with a blank": claims(aud=f"{AUDIENCE} "),
    "audience in capitals": claims(aud=AUDIENCE.upper()),
    "audience in a list of lists": claims(aud=[[AUDIENCE]]),
    "audience with others in one text": claims(aud=f"account {AUDIENCE}"),
    "issuer in capitals": lambda i: i.token(iss=i.url.upper()),
    "issuer with a query": lambda i: i.token(iss=i.url + "?"),
    "issuer with a step": lambda i: i.token(iss=i.url + "/../clinic"),
    "issuer of the development key": claims(iss=DEVELOPMENT, aud=DEVELOPMENT),
    "exp NaN": raw_claims(lambda c: c.replace(b'"exp":', b'"exp":NaN,"x":')),
    "exp Infinity": raw_claims(lambda c: c.replace(b'"exp":', b'"exp":Infinity,"x":')),
    "exp 1e999": raw_claims(lambda c: c.replace(b'"exp":', b'"exp":1e999,"x":')),
    "exp of 5,000 digits": raw_claims(
        lambda c: c.replace(b'"exp":', b'"exp":' + b"9" * 5000 + b',"x":')
    ),
    "exp negative": claims(exp=-1),
    "exp 0": claims(exp=0),
    "exp false": claims(exp=False),
    "exp a list": claims(exp=[4_000_000_000]),
    "exp twice": raw_claims(lambda c: c[:-1] + b',"exp":4000000000}'),
    "tid twice": raw_claims(lambda c: c[:-1] + b',"tid":"other"}'),
    "tid twice, once escaped": raw_claims(lambda c: c[:-1] + b',"t\\u0069d":"other"}'),
    "sub twice": raw_claims(lambda c: c.replace(b"{", b'{"sub":"usr_farid",', 1)),
    "roles twice, deep": raw_claims(lambda c: c[:-1] + b',"x":{"roles":["A"],"roles":["B"]}}'),
    "nbf 1e300": claims(nbf=1e300),
    "nbf an object": claims(nbf={}),
    "iat a text": claims(iat="0"),
    "iat 1e300": claims(iat=1e300),
    "claims in UTF-16": raw_claims(lambda c: c.decode().encode("utf-16")),
    "claims with NUL behind": raw_claims(lambda c: c + b"\0"),
    "claims and more": raw_claims(lambda c: c + b"{}"),
    "20,000 nested": raw_claims(lambda c: c[:-1] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}"),
}
