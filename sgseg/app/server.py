"""Serves the naming page to a browser of this machine, and to nothing else.

It listens on 127.0.0.1, asks for no share link and sends no statistics, and its content policy
forbids the browser to fetch anything from elsewhere.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import html
from .naming import Naming

PORTS = range(7860, 7900)
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "connect-src 'self' data: blob:; frame-ancestors 'none'"
)


class OnlyFromHere:
    """Middleware that adds :data:`POLICY` to every answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""

        async def with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"content-security-policy", POLICY.encode()))
            await send(message)

        await self.app(scope, receive, with_policy)


def listening_socket(port: int | None = None) -> socket.socket:
    """A socket of 127.0.0.1 that is listening.

    Args:
        port: None: the first free one of :data:`PORTS`.

    Raises:
        OSError: if the port is taken, or all of them.
    """
    for each in PORTS if port is None else [port]:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", each))
        except (OSError, OverflowError):
            sock.close()
        else:
            sock.listen(64)
            return sock
    which = f"{PORTS[0]} to {PORTS[-1]} are" if port is None else f"{port} is"
    raise OSError(f"--port: {which} taken or not allowed on 127.0.0.1; give another --port")


def serve(
    naming: Naming, names_file: Path, sock: socket.socket, opened: Callable[[str], Any] = print
) -> None:
    """Show the page until the process is interrupted by Ctrl-C.

    Args:
        naming: the state.
        names_file: where names are saved.
        sock: from :func:`listening_socket`.
        opened: told the address before the page is served; a browser that asks now waits.
    """
    with tempfile.TemporaryDirectory(prefix="sgseg_name_") as shown:
        # Read when Gradio is imported.
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
        os.environ["GRADIO_TEMP_DIR"] = str(Path(shown) / "cache")
        import uvicorn

        application = _application(naming, names_file, Path(shown))
        # Tabs hold connections open for ever; Ctrl-C does not wait for them.
        told: dict[str, Any] = dict(log_level="critical", timeout_graceful_shutdown=1)
        server = uvicorn.Server(uvicorn.Config(application, **told))
        opened(f"http://127.0.0.1:{sock.getsockname()[1]}")
        server.run(sockets=[sock])


def _application(naming: Naming, names_file: Path, folder: Path) -> Any:
    import gradio
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from .page import HEAD, Page

    app = FastAPI(docs_url=None, redoc_url=None)
    app.add_middleware(OnlyFromHere)
    # Another site whose name is made to lead here gets no answer.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    fonts: dict[str, Any] = dict(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return gradio.mount_gradio_app(
        app,
        Page(naming, names_file, folder).blocks(),
        path="/",
        server_name="127.0.0.1",
        allowed_paths=[str(folder)],
        footer_links=[],
        theme=gradio.themes.Default(**fonts),
        css=html.CSS,
        head=HEAD,
        ssr_mode=False,
        run_history=False,
    )
