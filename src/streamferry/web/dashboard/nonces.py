"""Nonces for inline scripts: only those with the nonce of their response run.

The page framework (NiceGUI 3.18) does not support nonces. Its pages are one template, and they are put into its source:
so the framework's own scripts have them, and inserted content cannot.
"""

import re
from collections.abc import Callable

from jinja2 import BaseLoader, Environment
from nicegui.client import templates

from streamferry.web.dashboard.session_gate import NONCE

_SCRIPT = re.compile(r"<script(?=[\s>])")


class _WithNonces(BaseLoader):
    """Wraps a template loader and adds a nonce to each script."""

    def __init__(self, loader: BaseLoader) -> None:
        self._loader = loader

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        """See the base."""
        source, name, is_fresh = self._loader.get_source(environment, template)
        return _SCRIPT.sub(f'<script nonce="{{{{ request.state.{NONCE} }}}}"', source), name, is_fresh


def add_nonces() -> None:
    """Call it once per process, before the first page."""
    loader = templates.env.loader
    assert loader is not None
    templates.env.loader = _WithNonces(loader)
