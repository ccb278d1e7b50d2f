"""How a preparation reaches origins: through which proxy, trusting whom. Light, because the child imports it."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Route:
    """``proxy``: address of an egress proxy, empty for none. ``authorities``: PEM, trusted beside the system's."""

    proxy: str = ""
    authorities: str = ""

    def to_json(self) -> dict[str, Any]:
        """As part of a job."""
        return asdict(self)

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments for a client of httpx. Reads the system's authorities: 20 ms."""
        import ssl

        context = ssl.create_default_context()
        if self.authorities:
            context.load_verify_locations(cadata=self.authorities)
        return {"proxy": self.proxy or None, "verify": context}


#: Straight, trusting the system's authorities.
STRAIGHT = Route()
