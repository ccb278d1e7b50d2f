"""The shared service as a client from outside is told of it."""

import pytest
from served import Served

from kit.service_program import ServiceProgram


@pytest.fixture
def served(shared_service: ServiceProgram) -> Served:
    """It may reach the loopback, reads the clips and limits no rate."""
    return Served(shared_service.url.removeprefix("http://").rstrip("/"), shared_service.data)
