"""The API on a port of the loopback, with a store of its own: what clients from outside talk to."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from cryptography.fernet import Fernet
from fastapi import FastAPI

from streamferry.control.actions import Actions
from streamferry.control.api.limits import Rates
from streamferry.control.api.routes import ApiSettings, build_router
from streamferry.control.store import Seal, Store, migrate, sqlite_url
from streamferry.control.store.records import KeyPair

KEY = KeyPair("AKLTcontract", "secret-of-the-contract-tests")


@dataclass(frozen=True)
class Served:
    """Where it is, and the key to it."""

    host: str
    ak: str = KEY.access_key_id
    sk: str = KEY.secret


@contextmanager
def serve(home: Path) -> Iterator[Served]:
    """Serve until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    ready = threading.Event()
    stop: list[uvicorn.Server] = []

    async def main() -> None:
        store = Store(sqlite_url(home / "store.db"), Seal(Fernet.generate_key().decode()))
        await migrate(store)
        actions = Actions(store)
        await actions.import_key(KEY)
        app = FastAPI()
        app.include_router(build_router(actions, ApiSettings(rates=Rates(0, 0, 0))))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        stop.append(server)
        # Connections wait in the listener's backlog until the server takes them.
        ready.set()
        await server.serve(sockets=[listener])
        await store.aclose()

    thread = threading.Thread(target=asyncio.run, args=(main(),), name="served-api")
    thread.start()
    try:
        assert ready.wait(20), "the API did not start"
        yield Served(f"127.0.0.1:{listener.getsockname()[1]}")
    finally:
        for server in stop:
            server.should_exit = True
        thread.join(20)
        listener.close()
