"""NATS JetStream: where published events go, and where others' events come from.

https://docs.nats.io/nats-concepts/jetstream
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js import JetStreamContext
from nats.js.api import StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError, ServiceUnavailableError

CONNECT_SECONDS: Final = 3.0
REST_SECONDS: Final = 0.1
PUBLISH_SECONDS: Final = 5.0
# Seconds in which a repeated Nats-Msg-Id is dropped: as long as a publisher may need to come back.
DUPLICATES: Final = 3600.0
KEPT: Final = 7 * 86_400.0

log = logging.getLogger(__name__)


class BrokerDownError(Exception):
    """It cannot be reached, or cannot store at the moment: a matter of waiting."""


class RefusedError(Exception):
    """It will not have this message; the words quote nothing of it."""


class Message(NamedTuple):
    """`id` is its Nats-Msg-Id: of two messages with the same one, the stream keeps the first."""

    subject: str
    id: str
    body: bytes
    content_type: str
    more: Mapping[str, str] = {}


class Broker:
    """A connection to NATS that is made when it is needed, and the stream for `roots`."""

    def __init__(self, url: str, stream: str, roots: Sequence[str]) -> None:
        self._servers = url.split(",")
        self._stream = stream
        self._subjects = [f"{root}.>" for root in roots]
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        # After a failure, so that many who wait for a connection do not try one after the other.
        self._rests_until = 0.0

    async def jetstream(self) -> JetStreamContext:
        """BrokerDownError where there is none."""
        async with self._connecting:
            if self._client is None or not self._client.is_connected:
                if time.monotonic() < self._rests_until:
                    raise BrokerDownError
                await self._forget()
                self._client = await self._connected()
            return self._client.jetstream(timeout=PUBLISH_SECONDS)

    async def publish(self, message: Message) -> None:
        """Returns once it is stored; BrokerDownError or RefusedError otherwise."""
        jetstream = await self.jetstream()
        headers = {"Nats-Msg-Id": message.id, "Content-Type": message.content_type}
        headers |= message.more
        try:
            await jetstream.publish(message.subject, message.body, headers=headers)
        except NoStreamResponseError as error:
            await self._forget()
            raise BrokerDownError from error
        except ServiceUnavailableError as error:
            raise BrokerDownError from error
        except (MaxPayloadError, APIError) as error:
            raise RefusedError(f"NATS refused it: {type(error).__name__}") from error
        except (NatsError, OSError, TimeoutError) as error:
            raise BrokerDownError from error

    async def close(self) -> None:
        """Ends the connection."""
        await self._forget()

    async def _forget(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connected(self) -> Client:
        client = Client()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.connect(
                    self._servers,
                    name="fhir-server",
                    # Those who need it come again in their own time.
                    allow_reconnect=False,
                    error_cb=_quietly,
                )
                await self._ensure_stream(client.jetstream())
        except (NatsError, OSError, TimeoutError) as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            await client.close()
            raise BrokerDownError from error
        return client

    async def _ensure_stream(self, jetstream: JetStreamContext) -> None:
        """Made where there is none; one that an operator made is left as it is."""
        try:
            await jetstream.find_stream_name_by_subject(self._subjects[0])
        except NotFoundError:
            await jetstream.add_stream(
                StreamConfig(
                    name=self._stream,
                    subjects=self._subjects,
                    max_age=KEPT,
                    duplicate_window=DUPLICATES,
                )
            )
            log.info("the stream %s was made", self._stream)


async def _quietly(error: Exception) -> None:
    log.debug("NATS: %s", type(error).__name__)
