"""Serves the naming page to a browser of this machine, and to nothing else.

It listens on 127.0.0.1, asks for no share link and sends no statistics, and its content policy
forbids the browser to fetch anything from elsewhere.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from . import html
from .naming import Naming

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


def serve(naming: Naming, names_file: Path, port: int | None = None, browser: bool = True) -> None:
    """Show the page until the process is ended.

    Args:
        naming: the state.
        names_file: where names are saved.
        port: of 127.0.0.1; None: the first free one from 7860 on.
        browser: whether the default browser is opened.

    Raises:
        RuntimeError: without Gradio.
        OSError: if the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="sgseg_name_") as shown:
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
        os.environ["GRADIO_TEMP_DIR"] = str(Path(shown) / "cache")
        import gradio
        from starlette.middleware import Middleware

        from .page import Page

        fonts: dict[str, Any] = dict(font=["system-ui", "sans-serif"], font_mono=["monospace"])
        Page(naming, names_file, Path(shown)).blocks().queue().launch(
            share=False,
            server_name="127.0.0.1",
            server_port=port,
            inbrowser=browser,
            footer_links=[],
            allowed_paths=[shown],
            app_kwargs=dict(middleware=[Middleware(OnlyFromHere)]),
            theme=gradio.themes.Default(**fonts),
            css=html.CSS,
            ssr_mode=False,
            run_history=False,
        )
