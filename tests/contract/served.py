"""What a client from outside is told of a served API."""

from dataclasses import dataclass
from pathlib import Path

from kit.shared_service import KEY_ID, SECRET


@dataclass(frozen=True)
class Served:
    """Where the service is, its data folder, and the key to it."""

    host: str
    data: Path
    ak: str = KEY_ID
    sk: str = SECRET
