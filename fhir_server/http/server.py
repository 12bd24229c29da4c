"""The HTTP application: both faces, health, and OpenAPI, in one FastAPI app.

A face is an ASGI application under its prefix, beside FastAPI's own routing: what that adds to a
request would cost more than the face's work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

Application = FastAPI
Lifespan = Callable[[Application], AbstractAsyncContextManager[None]]


class Faces:
    """Hands a request to the face whose prefix its path has, and every other to the app."""

    def __init__(self, app: ASGIApp, faces: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._faces = tuple((prefix, prefix + "/", face) for prefix, face in faces.items())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """https://asgi.readthedocs.io/en/latest/specs/main.html"""
        if scope["type"] == "http":
            path = scope["path"]
            for prefix, below, face in self._faces:
                if path.startswith(below) or path == prefix:
                    await face({**scope, "root_path": prefix}, receive, send)
                    return
        await self._app(scope, receive, send)


def build_http(
    faces: Mapping[str, ASGIApp],
    routes: Sequence[BaseRoute],
    *,
    version: str,
    lifespan: Lifespan,
    ready: Callable[[], Awaitable[bool]],
) -> FastAPI:
    """The application: `faces` by path prefix, further `routes`, and health."""
    app = FastAPI(title="fhir-server", version=version, lifespan=lifespan, openapi_url=None)
    app.add_middleware(Faces, faces=faces)
    app.router.routes.extend([*routes, *_health(ready)])
    return app


def _health(ready: Callable[[], Awaitable[bool]]) -> list[Route]:
    async def live(_: Request) -> Response:
        return JSONResponse({"status": "up"})

    async def readiness(_: Request) -> Response:
        up = await ready()
        return JSONResponse({"status": "up" if up else "down"}, 200 if up else 503)

    return [Route("/health/live", live), Route("/health/ready", readiness)]
