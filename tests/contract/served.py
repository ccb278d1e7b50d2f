"""What a client from outside is told of a served API."""

from dataclasses import dataclass

KEY_ID, SECRET = "AKLTcontract", "secret-of-the-contract-tests"


@dataclass(frozen=True)
class Served:
    """Where the service is, and the key to it."""

    host: str
    ak: str = KEY_ID
    sk: str = SECRET
