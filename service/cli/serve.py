"""The API process of `retort up`: `python -m service.cli.serve FD STOP_S`, FD a socket that listens already.

The parent holds the socket, so that a request which comes while this process is started again waits instead of failing.
"""

import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI


def main(fd: int, stop_s: int) -> None:
    """Serve on the inherited socket until SIGTERM; what is still open `stop_s` later is cut."""
    from service import logs, tracing
    from service.app import create_app
    from service.settings import Settings
    from service.store.migrate import NewerDatabase

    settings = Settings()
    logs.set_up(settings, "api")
    tracing.start("api")
    app = create_app(settings)
    try:
        app.state.database.create()
    except NewerDatabase as error:
        sys.exit(str(error))
    tracing.trace_requests(app)
    threading.Thread(target=get_ready, args=[app], daemon=True).start()
    # The log is ours, requests and all.
    config = uvicorn.Config(app, access_log=False, log_config=None, timeout_graceful_shutdown=stop_s, lifespan="on")
    # Once it has stopped, uvicorn raises SIGTERM again, which by default ends the process there and then.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        uvicorn.Server(config).run(sockets=[socket.socket(fileno=fd)])
    finally:
        tracing.stop()


def get_ready(app: "FastAPI") -> None:
    """Do beforehand, and while the first requests are answered, what some later one would have to wait for."""
    from service import memory
    from service.pages.rendering import compile_all

    compile_all()
    app.openapi()  # half a second, which `/docs` and /openapi.json share from then on
    memory.settle()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
