"""The HTTP application: both faces, health, and OpenAPI, in one FastAPI app.

A face is an ASGI application under its prefix, beside FastAPI's own routing: what that adds to a
request would cost more than the face's work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fhir_server.http.cors import open_to, rules

Lifespan = Callable[["Application"], AbstractAsyncContextManager[None]]


class Application(FastAPI):
    """FastAPI's own routes, and the faces before them: a request below a face's prefix goes
    there straight."""

    def __init__(self, faces: Mapping[str, ASGIApp], version: str, lifespan: Lifespan) -> None:
        super().__init__(title="fhir-server", version=version, lifespan=lifespan, openapi_url=None)
        # One prefix may begin another: the longer is meant.
        nearest = sorted(faces.items(), key=lambda item: -len(item[0]))
        self._faces = tuple((prefix, prefix + "/", face) for prefix, face in nearest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """https://asgi.readthedocs.io/en/latest/specs/main.html"""
        if scope["type"] == "http":
            path = scope["path"]
            for prefix, below, face in self._faces:
                if path.startswith(below) or path == prefix:
                    await face({**scope, "root_path": prefix}, receive, send)
                    return
        await super().__call__(scope, receive, send)


def build_http(
    faces: Mapping[str, ASGIApp],
    routes: Sequence[BaseRoute],
    *,
    version: str,
    lifespan: Lifespan,
    ready: Callable[[], Awaitable[bool]],
    origins: Sequence[str] = (),
) -> Application:
    """The application: `faces` by path prefix, further `routes`, and health. Web pages from
    `origins` may call all of it."""
    opened = {prefix: open_to(origins, face) for prefix, face in faces.items()}
    app = Application(opened, version, lifespan)
    if origins:
        app.add_middleware(CORSMiddleware, **rules(origins))
    app.router.routes.extend([*routes, *_health(ready)])
    return app


def _health(ready: Callable[[], Awaitable[bool]]) -> list[Route]:
    async def live(_: Request) -> Response:
        return JSONResponse({"status": "up"})

    async def readiness(_: Request) -> Response:
        up = await ready()
        return JSONResponse({"status": "up" if up else "down"}, 200 if up else 503)

    return [Route("/health/live", live), Route("/health/ready", readiness)]
