"""``freshet serve``: the API with the nearline worker, in one process, unless ``freshet nearline`` is the worker."""

import contextlib
import logging
import os
import socket
import sys

import typer
from rich.console import Console

from commands.refusal import refuse
from freshet.settings import Settings, load_settings

STOP_SECONDS = 5
"""How long requests in flight may take after Ctrl-C or SIGTERM."""
SWITCH_SECONDS = 0.0001
"""How long a background thread may keep the interpreter from an answer; Python's own 5 ms are a whole answer's time."""
BACKLOG = 2_048
"""Connections that may wait while the application starts."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("serve")(serve)


def serve() -> None:
    """Answer on FRESHET_API_HOST and FRESHET_API_PORT until Ctrl-C; starts even on an empty home."""
    settings = load_settings()
    log_to_stderr()
    with contextlib.suppress(KeyboardInterrupt), listen(settings.api_host, settings.api_port) as listening:
        Console().print(f"Freshet answers on http://{settings.api_host}:{settings.api_port} (docs at /docs)")
        _run(settings, listening)


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything slow is opened, so that a busy one costs nothing: one sentence and exit code 1."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        refuse(
            f"cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}): "
            "stop what listens there, or set another port with FRESHET_API_PORT=…"
        )


def share_the_processor() -> None:
    """One answer is computed by one thread, and whoever works beside it lets it have its turn."""
    from threadpoolctl import threadpool_limits

    from serving.long_lived import collect_seldom

    # The threads of numpy's BLAS spin while they wait for each other: at 10,000 items 15 answers a second on two busy
    # cores, and 160 with one thread for each product.
    threadpool_limits(limits=1, user_api="blas")
    sys.setswitchinterval(SWITCH_SECONDS)
    collect_seldom()


class _WithFields(logging.Formatter):
    """The message, and the fields that came with it."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}
        return super().format(record) + "".join(f" {name}={value}" for name, value in fields.items())


_STANDARD_FIELDS = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"})


def log_to_stderr() -> None:
    """One line for each message, with its fields."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithFields("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _run(settings: Settings, listening: socket.socket) -> None:
    import uvicorn

    from serving.app import create_app

    config = uvicorn.Config(
        create_app(settings),
        access_log=False,  # /metrics counts requests; a line for each would cost more than the answer
        log_config=None,
        timeout_graceful_shutdown=STOP_SECONDS,
        server_header=False,
    )
    share_the_processor()  # now that everything is loaded
    uvicorn.Server(config).run(sockets=[listening])
