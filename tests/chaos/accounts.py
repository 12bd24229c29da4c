"""What became of everything that was acknowledged: read by the API and from the NATS stream."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from time import monotonic
from typing import Any, Final

from nats.errors import Error as NatsError

from tests.chaos.load import COUNTERS, FHIR, Load
from tests.chaos.server import DEADLINE
from tests.support.nats import event, stored

SENT: Final = "ghasi.digital_communication.message.sent"
# Seconds for what is told after the fact: a dead server's messages come to another after a minute.
PATIENCE: Final = 100.0


@dataclass(frozen=True, slots=True)
class Account:
    """One fault's: `events` are of stored messages, `missing` those the bus does not have, `again`
    those it has twice by different ids; `inbound` are those that came in, each told twice,
    `effects` what they did. `failed` are tries answered 503 or not at all."""

    fault: str
    acknowledged: int
    found: int
    lost: int
    duplicated: int
    events: int
    missing: int
    again: int
    inbound: int
    effects: int
    failed: int
    late: int
    slowest: float

    @classmethod
    def head(cls) -> list[str]:
        """Of the table."""
        return [field.name for field in fields(cls)]

    def row(self) -> list[str]:
        """Of the table."""
        return [f"{v:.1f} s" if isinstance(v, float) else str(v) for v in astuple(self)]


async def settled(fault: str, load: Load, bus: str | None = None) -> Account:
    """The account after the load has ended; fails where anything is not as it must be."""
    try:
        account = await _account(fault, load, bus)
    finally:
        await load.aclose()
    ledger = load.ledger
    print(dict(zip(account.head(), account.row(), strict=True)), dict(ledger.answers))  # noqa: T201
    assert not ledger.wrong, ledger.wrong[:5]
    assert account.acknowledged > 0
    assert (account.lost, account.duplicated) == (0, 0)
    assert (account.missing, account.again) == (0, 0)
    assert account.effects == account.inbound
    assert account.late == 0, f"requests hung beyond {DEADLINE} s"
    return account


async def _account(fault: str, load: Load, bus: str | None) -> Account:
    ledger = load.ledger
    messages, counts = await _messages(load), await _counts(load)
    ids = {id for found in messages.values() for id in found}
    sent = await _sent(bus, load.tenant, ids) if bus else {}
    effects = await _effects(load)
    numbers: Counter[object] = Counter(counts)
    numbers.update({word: len(found) for word, found in messages.items()})
    acknowledged: set[object] = {*ledger.messages, *ledger.counts}
    return Account(
        fault,
        len(acknowledged),
        sum(1 for one in acknowledged if numbers[one]),
        sum(1 for one in acknowledged if not numbers[one]),
        sum(1 for number in numbers.values() if number > 1),
        len(ids) if bus else 0,
        len(ids - sent.keys()) if bus else 0,
        sum(1 for told in sent.values() if len(told) > 1),
        len(ledger.told),
        sum(effects.values()),
        ledger.answers["503"] + ledger.answers["none"],
        ledger.late,
        round(ledger.slowest, 1),
    )


async def _messages(load: Load) -> dict[str, list[str]]:
    """The ids of the messages with each word."""
    found = defaultdict[str, list[str]](list)
    path = f"{FHIR}Communication?part-of=Communication/{load.thread}&_count=200"
    async for resource in _all(load, path):
        found[resource["payload"][0]["contentString"]].append(resource["id"])
    return dict(found)


async def _counts(load: Load) -> Counter[int]:
    """How many versions hold each number."""
    found = Counter[int]()
    for n in range(COUNTERS):
        async for resource in _all(load, f"{FHIR}Patient/count-{n}/_history?_count=200"):
            found[n * 1_000_000 + int(resource["identifier"][0]["value"])] += 1
    return found


async def _all(load: Load, path: str) -> AsyncIterator[dict[str, Any]]:
    while path:
        bundle = await load.read(path, service="_history" in path)
        for entry in bundle.get("entry", ()):
            yield entry["resource"]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        path = links.get("next", "")


async def _sent(bus: str, tenant: str, ids: set[str]) -> dict[str, set[str]]:
    """The ids of the events of each message, as soon as there is one for each."""
    end = monotonic() + PATIENCE
    while True:
        found = defaultdict[str, set[str]](set)
        with suppress(NatsError, TimeoutError):
            for message in await stored(bus, SENT):
                told = event(message)
                if told["tenantid"] == tenant:
                    found[told["data"]["messageId"].removeprefix("msg_")].add(told["id"])
        if found.keys() >= ids or monotonic() > end:
            return dict(found)
        await asyncio.sleep(0.5)


async def _effects(load: Load) -> dict[str, int]:
    """How many versions each patient has that another service told of."""
    end = monotonic() + PATIENCE
    effects = dict.fromkeys(load.ledger.told, 0)
    while monotonic() < end and not all(effects.values()):
        for id in [id for id, number in effects.items() if not number]:
            bundle = await load.read(f"{FHIR}Patient?_id={id}", service=True)
            for entry in bundle.get("entry", ()):
                effects[id] = int(entry["resource"]["meta"]["versionId"])
        await asyncio.sleep(0 if all(effects.values()) else 0.5)
    assert all(effects.values()), "events of other services had no effect"
    return effects
