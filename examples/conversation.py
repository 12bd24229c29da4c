"""A conversation through both faces: official FHIR resources, then a care-team thread.

Against a server that `make run` started:

    .venv/bin/python examples/conversation.py http://127.0.0.1:8000

The scheduling system writes FHIR with fhirpy. Dr. Amina uses the product's own API over plain
HTTP. Dr. Farid's app is a FHIR client again. All three meet in the same thread.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from fhirpy import AsyncFHIRClient

R4 = Path(__file__).parent / "r4"


def token(sub: str, role: str, scope: str) -> str:
    """What an identity provider would give; here the local development key signs it."""
    who = ["--tenant", "demo", "--sub", sub, "--role", role, "--scope", scope]
    command = [sys.executable, "-m", "fhir_server", "token", *who]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def fhir(server: str, bearer: str) -> AsyncFHIRClient:
    """A FHIR client of /fhir/R4."""
    return AsyncFHIRClient(f"{server}/fhir/R4", authorization=f"Bearer {bearer}")


def v1(server: str, bearer: str) -> httpx.AsyncClient:
    """A plain HTTP client of /v1/communication."""
    headers = {"Authorization": f"Bearer {bearer}"}
    return httpx.AsyncClient(base_url=f"{server}/v1/communication", headers=headers)


async def load_examples(client: AsyncFHIRClient) -> None:
    """Every official example in r4/, under its own id."""
    for file in sorted(R4.glob("*.json")):
        resource = json.loads(file.read_text())
        saved = client.resource(resource.pop("resourceType"), **resource)
        await saved.save()
        print(f"stored {saved.to_reference().reference}")


async def post(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """A v1 POST; the key makes a repeated one harmless."""
    answer = await client.post(path, json=body, headers={"Idempotency-Key": str(uuid4())})
    answer.raise_for_status()
    return dict(answer.json())


async def converse(server: str) -> list[str]:
    """Plays the conversation and returns it as the thread's readers see it, oldest first."""
    scopes = "messaging:read messaging:write user/*.rs user/Communication.c"
    system = fhir(server, token("usr_scheduling", "SERVICE", "system/*.cruds"))
    farid = fhir(server, token("usr_farid", "DOCTOR", scopes))
    await load_examples(system)

    async with v1(server, token("usr_amina", "DOCTOR", scopes)) as amina:
        thread = await post(
            amina,
            "/threads",
            {
                "participantIds": ["usr_farid"],
                "patientId": "pat_zahra",
                "subject": "Blood pressure after discharge",
            },
        )
        messages = f"/threads/{thread['threadId']}/messages"
        await post(amina, messages, {"body": "150/95 this morning. Dose up?", "urgency": "urgent"})

        header = f"Communication/{thread['threadId'].removeprefix('thr_')}"
        messages_about = farid.resources("Communication").search(part_of=header)
        (question,) = await messages_about.fetch_all()
        await farid.resource(
            "Communication",
            status="in-progress",
            partOf=[{"reference": header}],
            sender={"reference": "Practitioner/farid"},
            inResponseTo=[question.to_reference()],
            payload=[{"contentString": "Yes, to 10 mg, and see her on Monday."}],
        ).save()

        items = (await amina.get(messages)).raise_for_status().json()["items"]
        await post(
            amina, f"/threads/{thread['threadId']}/read", {"messageIds": [items[0]["messageId"]]}
        )

    chart = await farid.resources("Communication").search(part_of=header).sort("sent").fetch_all()
    return [
        f"{entry['sender']['reference']}: {entry['payload'][0]['contentString']}" for entry in chart
    ]


if __name__ == "__main__":
    print("\n".join(asyncio.run(converse(sys.argv[1].rstrip("/")))))
