"""REST as its own document says it: made-up requests to every operation of a running service."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.errors import Unsatisfiable
from served import Served

if TYPE_CHECKING:
    import schemathesis

#: For each operation and each way. They are the same in each run; STREAMFERRY_EXAMPLES=50 found nothing more.
EXAMPLES = int(os.environ.get("STREAMFERRY_EXAMPLES", "6"))
FRAMING = {"connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"}


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_answers_are_as_the_document_says(served: Served, mode: str) -> None:
    """Whatever is asked for, by the document or against it, no answer is a 5xx or of a form that is not documented."""
    # Each process of a run reads all tests, and this costs more than most of them.
    import requests
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.generation import GenerationMode
    from schemathesis.specs.openapi import checks

    checks_of_answers = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    base = f"http://{served.host}/api/v1"
    pair = {"access_key_id": served.ak, "secret_access_key": served.sk}
    token = httpx.post(f"{base}/tokens", json=pair).json()["token"]
    seen = set()
    # A stream has no end, a probe takes its time, and any bytes are an upload: these have tests of their own.
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json").exclude(path=["/events/stream", "/probe"])
    schema = schema.exclude(path_regex="^/library")
    headers = {"Authorization": f"Bearer {token}"}
    with requests.Session() as session:
        for found in schema.get_all_operations():
            operation = found.ok()
            seen.add(operation.label)

            @given(case=operation.as_strategy(generation_mode=GenerationMode(mode)))
            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                phases=(Phase.explicit, Phase.generate),
                suppress_health_check=list(HealthCheck),
            )
            def ask(case: schemathesis.Case) -> None:
                # The framework knows no path with a line's end in it, wherever it leads.
                assume("\n" not in unquote(case.formatted_path))
                # What frames the request is judged by the HTTP library, before any of our code.
                assume(not FRAMING & {name.lower() for name in case.headers or {}})
                case.call_and_validate(base_url=base, session=session, headers=headers, checks=checks_of_answers)

            # Against the document of some operations there is one request only, and it may be one of these.
            with suppress(Unsatisfiable):
                ask()
    assert len(seen) > 15
