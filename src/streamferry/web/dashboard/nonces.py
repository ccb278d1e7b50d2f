"""Nonces for the scripts that stand in a page itself: only those with the one of its answer run.

The page framework (NiceGUI 3.18) knows no nonces. Its pages are one template, into whose source they are put: so the
framework's own scripts have them, and nothing that is filled in can.
"""

import re
from collections.abc import Callable

from jinja2 import BaseLoader, Environment
from nicegui.client import templates

from streamferry.web.dashboard.session_gate import NONCE

_SCRIPT = re.compile(r"<script(?=[\s>])")


class _WithNonces(BaseLoader):
    """Loads what another loader has, with a nonce in each script."""

    def __init__(self, loader: BaseLoader) -> None:
        self._loader = loader

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        """See the base."""
        source, name, is_fresh = self._loader.get_source(environment, template)
        return _SCRIPT.sub(f'<script nonce="{{{{ request.state.{NONCE} }}}}"', source), name, is_fresh


def add_nonces() -> None:
    """Once for each process, before the first page."""
    loader = templates.env.loader
    assert loader is not None
    templates.env.loader = _WithNonces(loader)
