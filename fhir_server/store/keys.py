"""Hashed (parameter, value) keys: how every equality parameter fits in one bigint[] column.

A key is a signed 64-bit BLAKE2b of tenant, parameter and value, so a key array tells nothing
about its values and tenants share none. A reference's key is the hash of the target XOR the hash
of the parameter: a row's first key is the hash of the row itself, so SQL can go from a resource
to the keys of those that refer to it (`keys[1] # hash(parameter)`) and back without knowing the
values.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

# Values are kept apart by a character that neither JSON nor a query may contain.
_SEPARATOR = "\0"
_HOT_LENGTH = 255
_SHORT = 128


def digest(*parts: str) -> int:
    """A signed 64-bit hash of `parts`."""
    # Lone surrogates are refused long before; "surrogatepass" keeps hashing total all the same.
    data = _SEPARATOR.join(parts).encode(errors="surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), signed=True)


def value_key(tenant: str, parameter: str, value: str) -> int:
    """The key of `value` under `parameter` (`status`, `subject:identifier` …)."""
    return _key("value", tenant, parameter, value)


def _key(*parts: str) -> int:
    # The usual values come again and again; a long one must not stay in memory.
    return _remembered(*parts) if len(parts[-1]) <= _SHORT else digest(*parts)


_remembered = lru_cache(maxsize=32_768)(digest)


def present(parameter: str) -> str:
    """The name under which a resource with any value under `parameter` has a key."""
    return parameter + ":present"


def absent(parameter: str) -> str:
    """The name under which a resource without a value of a hot parameter has a key."""
    return parameter + ":absent"


def name_below(parameter: str) -> str:
    """The name under which a value has a key for each place that it is below or at."""
    return parameter + ":below"


def name_text(parameter: str) -> str:
    """The name under which the words beside a value are kept."""
    return parameter + ":text"


def name_identifier(parameter: str, kind: str | None = None) -> str:
    """The name under which a reference's identifier has keys; of all of them, or of those that
    say the type `kind`, or of those that say none (empty)."""
    return f"{parameter}:identifier" if kind is None else f"{parameter}:identifier:{kind}"


def name_part(parameter: str, number: int) -> str:
    """The name under which one part of a composite is kept."""
    return f"{parameter}${number}"


def combined(forms: Iterable[str]) -> str:
    """Values that a composite's parts have together; no two combinations look alike."""
    return "".join(f"{len(form)}:{form}" for form in forms)


def present_key(tenant: str, parameter: str) -> int:
    """The key of a resource that has any value under `parameter`, for `:missing`."""
    return value_key(tenant, present(parameter), "")


def absent_key(tenant: str, parameter: str) -> int:
    """The key of a resource that has no value under the hot `parameter`."""
    return value_key(tenant, absent(parameter), "")


def resource_key(tenant: str, reference: str) -> int:
    """The key of the resource `reference` (Type/id, or an absolute URL) itself."""
    return _key("resource", tenant, reference)


@lru_cache(maxsize=4_096)
def parameter_mask(parameter: str) -> int:
    """What turns a resource's key into the key of a reference to it under `parameter`."""
    return digest("parameter", parameter)


def reference_key(tenant: str, parameter: str, reference: str) -> int:
    """The key of a reference to `reference` under `parameter`."""
    return resource_key(tenant, reference) ^ parameter_mask(parameter)


def hot_reference(reference: str) -> str:
    """`reference` as a typed column holds it: a long URL gives way to its hash, since a B-tree
    entry must stay short."""
    if len(reference) <= _HOT_LENGTH:
        return reference
    return "~" + blake2b(reference.encode(errors="surrogatepass"), digest_size=32).hexdigest()
