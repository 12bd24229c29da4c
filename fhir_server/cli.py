"""The `fhir-server` command line. Each command imports what it runs, so `--help` is quick."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from pydantic import ValidationError

from fhir_server import __version__
from fhir_server.settings import Settings

Command = Callable[[Settings, argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 when it did its work, 1 when not, 2 for a wrong command line."""
    asked = parser().parse_args(arguments)
    command: Command = asked.command
    try:
        command(Settings(), asked)
    except ValidationError as error:
        return _failed("\n".join(_setting_fault(e["loc"], e["msg"]) for e in error.errors()))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if asked.traceback:
            raise
        return _failed(_words(error))
    return 0


def parser() -> argparse.ArgumentParser:
    """The whole command line; docs/cli.md is generated from it."""
    root = argparse.ArgumentParser("fhir-server", description="A FHIR-native facade server.")
    root.add_argument("--version", action="version", version=__version__)
    root.add_argument("--traceback", action="store_true", help="show where a failure came from")
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    _add(commands, "serve", serve, "serve both faces").add_argument(
        "--demo", action="store_true", help="load the demo data first, and greet with a token"
    )
    _add(commands, "migrate", migrate, "bring the database to the declared schema")
    _maintenance(commands)
    _add(commands, "demo", demo, "load the demo data; again is harmless")
    _add(
        commands, "explain", explain, "print what a v1 route is, from its fields to the tables"
    ).add_argument("route", help="such as sendMessage")
    _add(commands, "check", check, "report every error in the declared folders")
    _token_options(_add(commands, "token", token, "make a token with the local development key"))
    _event_commands(commands.add_parser("events", help="what happened"))
    _audit_commands(commands.add_parser("audit", help="who did what"))
    _gdpr_commands(commands.add_parser("gdpr", help="requests under the GDPR"))
    return root


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Command,
    words: str,
) -> argparse.ArgumentParser:
    added = commands.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
    added.set_defaults(command=command)
    return added


def _maintenance(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "make what is stored searchable as declared, while servers serve; again goes on"
    added = _add(commands, "reindex", reindex, words)
    added.add_argument("--type", help="one resource type, such as Communication; without it, all")
    added.add_argument("--tenant", help="one tenant; without it, all")
    words = "remove idempotent answers that expired; a server that serves does so too"
    added = _add(commands, "sweep", sweep, words)
    added.add_argument("--tenant", help="one tenant; without it, all")


def _token_options(added: argparse.ArgumentParser) -> None:
    added.add_argument("--tenant", required=True, help="claim tid")
    added.add_argument("--sub", required=True, help="who: usr_X, pat_X or rel_X")
    added.add_argument("--role", action="append", default=[], help="may be given again")
    added.add_argument("--scope", default="", help="separated by blanks")
    added.add_argument("--patient", help="the patient in context: pat_X")
    added.add_argument("--module", action="append", default=[], help="licence; may be given again")
    added.add_argument("--ttl", type=int, default=3600, help="seconds (3600)")


def _event_commands(events: argparse.ArgumentParser) -> None:
    commands = events.add_subparsers(metavar="COMMAND", required=True)
    words = "print a tenant's events, one JSON a line, and each new one as it happens"
    added = _add(commands, "tail", tail, words)
    added.add_argument("--tenant", required=True)
    added.add_argument("--no-follow", action="store_true", help="stop after the last one so far")
    _add(commands, "publish", publish, "take one event in, a CloudEvent in JSON on standard input")
    words = "print the events that were given up, and why"
    _add(commands, "dead", dead, words).add_argument("--tenant", help="one tenant; without it, all")
    added = _add(commands, "replay", replay, "publish dead letters again")
    added.add_argument("--tenant", required=True)
    added.add_argument("--id", help="one event; without it, all of the tenant's")


def _audit_commands(audit: argparse.ArgumentParser) -> None:
    commands = audit.add_subparsers(metavar="COMMAND", required=True)
    words = "check that no AuditEvent was changed, removed or slipped in; exit code 1 where one was"
    added = _add(commands, "verify", verify, words)
    added.add_argument("--tenant", help="one tenant; without it, all")
    added.add_argument("--head", help="a head that was printed before: the end must not be older")


def _gdpr_commands(gdpr: argparse.ArgumentParser) -> None:
    commands = gdpr.add_subparsers(metavar="COMMAND", required=True)
    words = "print the open requests, one JSON a line; `late` is what was due before now"
    _add(commands, "list", requests, words).add_argument(
        "--tenant", help="one tenant; without it, all"
    )


def serve(settings: Settings, asked: argparse.Namespace) -> None:
    from fhir_server.serving import serve

    serve(settings, demo=asked.demo)


def migrate(settings: Settings, _: argparse.Namespace) -> None:
    from fhir_server.database import migrated

    with migrated(settings):
        print("The database is up to date.")


def reindex(settings: Settings, asked: argparse.Namespace) -> None:
    import asyncio

    from fhir_server.database import migrated
    from fhir_server.maintenance import reindex

    with migrated(settings) as ready:
        done = asyncio.run(reindex(ready, asked.type, asked.tenant))
        print(f"{done} resources were indexed anew.")


def sweep(settings: Settings, asked: argparse.Namespace) -> None:
    import asyncio

    from fhir_server.database import connected
    from fhir_server.maintenance import sweep

    with connected(settings) as ready:
        removed = asyncio.run(sweep(ready, asked.tenant))
        print(f"{removed} expired answers were removed.")


def demo(settings: Settings, _: argparse.Namespace) -> None:
    import asyncio

    from fhir_server.database import migrated
    from fhir_server.demo import load

    with migrated(settings) as ready:
        asyncio.run(load(ready))
        print("The demo data is there.")


def check(_: Settings, __: argparse.Namespace) -> None:
    from fhir_server.declarations import read_declarations

    found = read_declarations()
    counts = (
        f"{len(found.definitions.types)} resource types",
        f"{len(found.definitions.profiles)} profiles",
        f"{len(found.mappings.routes)} v1 routes",
    )
    print(", ".join(counts) + ": good.")


def explain(_: Settings, asked: argparse.Namespace) -> None:
    from fhir_server.declarations import read_declarations
    from fhir_server.mapping.explain import explain

    found = read_declarations()
    print(explain(found.mappings, found.definitions, asked.route))


def token(settings: Settings, asked: argparse.Namespace) -> None:
    from fhir_server.http.auth import mint

    print(
        mint(
            settings,
            tenant=asked.tenant,
            sub=asked.sub,
            roles=asked.role,
            scope=asked.scope,
            patient=asked.patient,
            modules=asked.module,
            ttl=asked.ttl,
        )
    )


def tail(settings: Settings, asked: argparse.Namespace) -> None:
    import asyncio

    from fhir_server.database import connected
    from fhir_server.events import tail

    async def print_all(ready: Settings) -> None:
        async for line in tail(ready, asked.tenant, follow=not asked.no_follow):
            print(line, flush=True)

    with connected(settings) as ready:
        asyncio.run(print_all(ready))


def publish(settings: Settings, _: argparse.Namespace) -> None:
    import asyncio

    from fhir_server.database import connected
    from fhir_server.events import publish

    with connected(settings) as ready:
        print(asyncio.run(publish(ready, sys.stdin.buffer.read())))


def dead(settings: Settings, asked: argparse.Namespace) -> None:
    import asyncio

    from fhir_server.database import connected
    from fhir_server.events import dead

    async def print_all(ready: Settings) -> None:
        async for line in dead(ready, asked.tenant):
            print(line)

    with connected(settings) as ready:
        asyncio.run(print_all(ready))


def replay(settings: Settings, asked: argparse.Namespace) -> None:
    import asyncio

    from fhir_server.database import connected
    from fhir_server.events import replay

    with connected(settings) as ready:
        number = asyncio.run(replay(ready, asked.tenant, asked.id))
        print(f"{number} events wait to be published again.")


def verify(settings: Settings, asked: argparse.Namespace) -> None:
    import asyncio

    from fhir_server.auditing import verify
    from fhir_server.database import connected

    with connected(settings) as ready:
        asyncio.run(verify(ready, asked.tenant, asked.head))


def requests(settings: Settings, asked: argparse.Namespace) -> None:
    import asyncio

    from fhir_server.database import connected
    from fhir_server.gdpr import listed

    async def print_all(ready: Settings) -> None:
        async for line in listed(ready, asked.tenant):
            print(line)

    with connected(settings) as ready:
        asyncio.run(print_all(ready))


def _failed(words: str) -> int:
    print(f"fhir-server: {words}", file=sys.stderr)
    return 1


def _words(error: Exception) -> str:
    # What a database says of a row that it refuses may quote it; SQLAlchemy quotes the statement.
    cause = getattr(error, "orig", error)
    if state := getattr(cause, "sqlstate", None):
        return f"the database refused: {type(cause).__name__} ({state})"
    # str(KeyError) is the repr of its message.
    return (error.args[0] if isinstance(error, KeyError) else str(error)) or type(error).__name__


def _setting_fault(location: tuple[int | str, ...], message: str) -> str:
    name = "_".join(map(str, location)).upper() or "SETTINGS"
    return f"{name.removeprefix('FHIR_SERVER_')}: {message.removeprefix('Value error, ')}"
