"""`ringtrace serve`: the API and the console of a workspace, on this machine or behind TLS."""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphs.errors import ConfigError, NotFoundError, RingtraceError
from graphs.investigation.cli import DEFAULT_WORKSPACE, EXIT_CODES, WORKSPACE_VARIABLE
from graphs.investigation.settings import Oidc, ServeSettings
from graphs.investigation.workspace import Workspace
from graphs.logs import log_to, mask
from graphs.stores import people
from graphs.stores.actors import Actor

if TYPE_CHECKING:
    from fastapi import FastAPI

PROGRAM = "ringtrace serve"
_VARIABLE = "RINGTRACE_SERVE"  # how the worker processes learn what to serve
FIRST_KEY_HOURS = 24
KEEP_ALIVE_SECONDS = 75
"""Longer than the minute after which proxies close: who closes first must not be us, while they send."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; returns the exit code (see EXIT_CODES of the command line)."""
    try:
        args = _parser().parse_args(sys.argv[1:] if arguments is None else list(arguments))
    except SystemExit as stop:  # argparse has told the user
        return int(stop.code or 0)
    try:
        _serve(args)
    except RingtraceError as error:
        sys.stderr.write(f"{mask(str(error))}\n")
        return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)
    return 0


def application() -> FastAPI:
    """What a worker process serves: as `ringtrace serve` was told."""
    from graphs.investigation.app import create_app

    told = json.loads(os.environ[_VARIABLE])
    log_to()
    oidc = told["settings"].pop("oidc")
    settings = ServeSettings(**told["settings"], oidc=None if oidc is None else Oidc(**oidc))
    return create_app(Workspace.open(Path(told["workspace"])), settings)


def _serve(args: argparse.Namespace) -> None:
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise NotFoundError(f"{error.name} is not installed; pip install 'ringtrace[serve]'") from error
    tls = _tls(args)
    _must_be_safe(args.host, encrypted=bool(tls), proxied=args.behind_proxy is not None)
    settings = _settings(args, https=bool(tls) or args.behind_proxy is not None)
    folder = Path(args.workspace)
    workspace = Workspace.open(folder)
    first_key = _first_key(workspace)
    workspace.close()
    host = f"[{args.host}]" if ":" in args.host else args.host
    sys.stdout.write(
        f"http{'s' if tls else ''}://{host}:{args.port}  (API: /api/v1, its document: /api/v1/openapi.json)\n"
    )
    sys.stdout.write(first_key)
    sys.stdout.flush()
    os.environ[_VARIABLE] = json.dumps({"workspace": str(folder.absolute()), "settings": asdict(settings)})
    uvicorn.run(
        f"{__name__}:application", factory=True, host=args.host, port=args.port, workers=args.workers,
        proxy_headers=args.behind_proxy is not None, forwarded_allow_ips=args.behind_proxy or "",
        access_log=False, log_config=None, server_header=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, **tls,
    )  # fmt: skip


def _settings(args: argparse.Namespace, *, https: bool) -> ServeSettings:
    """What the options say; a rate is shared out among the workers, who don't know of each other."""
    usual = ServeSettings()
    if args.workers < 1 or args.per_minute <= 0 or args.session_hours <= 0:
        raise ConfigError("--workers, --per-minute, --session-hours: expected more than nothing")
    return replace(
        usual, https=https, oidc=None if args.oidc is None else Oidc.read(args.oidc), session_hours=args.session_hours,
        per_minute=args.per_minute / args.workers, failures_per_minute=usual.failures_per_minute / args.workers,
    )  # fmt: skip


def _tls(args: argparse.Namespace) -> dict[str, Any]:
    if (args.certificate is None) != (args.private_key is None):
        raise ConfigError("--certificate and --private-key: TLS takes both")
    if args.certificate is None:
        return {}
    for path in (args.certificate, args.private_key):
        if not path.is_file():
            raise NotFoundError(f"{path} is no file")
    return {"ssl_certfile": str(args.certificate), "ssl_keyfile": str(args.private_key)}


def _must_be_safe(host: str, *, encrypted: bool, proxied: bool) -> None:
    """Keys and names of customers don't go over a network in the clear."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not (loopback or encrypted or proxied):
        raise ConfigError(
            f"--host {host}: other machines would reach this without TLS; give --certificate and --private-key, or "
            "put it behind a proxy that has TLS and say which with --behind-proxy"
        )


def _first_key(workspace: Workspace) -> str:
    """What to print where nobody could come in otherwise: a key of the admin, for a day."""
    from graphs.investigation.keys import make_key

    if people.any_key(workspace.store):
        return ""
    admins = [person.name for person in people.all_people(workspace.store) if person.active and person.role == "admin"]
    if not admins:
        raise NotFoundError("nobody is an admin here; `ringtrace rings init` makes you one")
    admin = Actor(admins[0], "admin", "cli")
    until = datetime.now(UTC) + timedelta(hours=FIRST_KEY_HOURS)
    key, _ = make_key(workspace.store, admin, admin.name, expires_at=until)
    return (
        f"Nobody has a key yet. This one is {admin.name}'s, for {FIRST_KEY_HOURS} hours, and is shown this once:\n"
        f"  {key}\nLasting ones: ringtrace rings key add NAME\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Serve the API and the console of a workspace.",
        epilog=f"example:\n  {PROGRAM} outputs/workspace --port 8000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    where = os.environ.get(WORKSPACE_VARIABLE, DEFAULT_WORKSPACE)
    parser.add_argument("workspace", nargs="?", default=where, help=f"its folder (default {where})")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="default 8000")
    parser.add_argument("--workers", type=int, default=1, help="processes that answer (default 1)")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="for TLS: the certificate, PEM")
    parser.add_argument("--private-key", type=Path, metavar="FILE", help="for TLS: its private key, PEM")
    parser.add_argument(
        "--behind-proxy", metavar="ADDRESS",
        help="the proxy with TLS whose X-Forwarded headers are believed: an address, a network, several with commas",
    )  # fmt: skip
    parser.add_argument("--oidc", type=Path, metavar="FILE", help="the YAML of an OpenID Connect provider")
    parser.add_argument(
        "--per-minute", type=float, default=ServeSettings.per_minute,
        help=f"requests of one person a minute (default {ServeSettings.per_minute})",
    )  # fmt: skip
    parser.add_argument(
        "--session-hours", type=float, default=ServeSettings.session_hours,
        help=f"how long one stays signed in to the console (default {ServeSettings.session_hours})",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
