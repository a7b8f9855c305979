"""Private Redis and PostgreSQL servers on free loopback ports, for as long as a `with` block lasts.

Stores are tested against the real thing. Where a server is not installed the test is skipped and says so, except on
CI (CI_REQUIRE_SERVICES=1), where that is a failure. `python tests/services.py` starts both for a developer.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

STARTS_WITHIN_SECONDS = 30


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis that keeps nothing on disk: yields `redis://127.0.0.1:<port>`."""
    program, port = _program("redis-server"), free_port()
    with tempfile.TemporaryDirectory(prefix="ringtrace-redis-") as folder:
        options = f"--bind 127.0.0.1 --port {port} --appendonly no --dir {folder} --loglevel warning".split()
        with _running([str(program), *options, "--save", ""], lambda: _answers(port), Path(folder)):
            yield f"redis://127.0.0.1:{port}"


@contextmanager
def postgres_server() -> Iterator[str]:
    """An empty PostgreSQL: yields `postgresql+psycopg://postgres@127.0.0.1:<port>/postgres`, as SQLAlchemy takes it."""
    initdb, postgres, port = _program("initdb"), _program("postgres"), free_port()
    # The port answers before the database does.
    asks = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    # PostgreSQL refuses to run as root, so root lends it the account that Debian's package brings.
    account = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="ringtrace-postgres-") as folder:
        if account:
            shutil.chown(folder, account)
        data = f"{folder}/data"
        subprocess.run(
            [initdb, "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"],
            check=True, capture_output=True, user=account, cwd=folder,
        )  # fmt: skip
        settings = {"listen_addresses": "127.0.0.1", "port": port, "fsync": "off", "unix_socket_directories": folder}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command, ready = [str(postgres), "-D", data, *options], lambda: subprocess.run(asks).returncode == 0
        # SIGINT: do not wait for clients to leave.
        with _running(command, ready, Path(folder), account, stop=signal.SIGINT):
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"


def _program(name: str) -> Path:
    """Where a server's program is; on Debian those of PostgreSQL are not on the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (debian[-1] if debian else None)
    if found is None:
        missing = f"{name} is not installed (Debian: apt-get install redis-server postgresql)"
        if os.environ.get("CI_REQUIRE_SERVICES") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return Path(found)


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(
    command: list[str],
    ready: Callable[[], bool],
    folder: Path,
    account: str | None = None,
    *,
    stop: int = signal.SIGTERM,
) -> Iterator[None]:
    """The command in the background until the block ends; entered once it is ready."""
    with (folder / "server.log").open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, user=account, cwd=folder)
    try:
        _wait_for(ready, server, folder / "server.log")
        yield
    finally:
        server.send_signal(stop)
        server.wait(timeout=STARTS_WITHIN_SECONDS)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait_for(ready: Callable[[], bool], server: subprocess.Popen[bytes], output: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < until and server.poll() is None:
        if ready():
            return
        time.sleep(0.05)
    raise RuntimeError(f"{server.args} did not start:\n{output.read_text(errors='replace')}")


if __name__ == "__main__":
    with redis_server() as redis, postgres_server() as postgres:
        sys.stdout.write(f"{redis}\n{postgres}\nCtrl-C stops both.\n")
        sys.stdout.flush()
        signal.sigwait([signal.SIGINT, signal.SIGTERM])
