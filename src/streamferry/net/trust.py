"""Whom clients trust in TLS: the system's authorities, and others beside them."""

import os
import ssl
from functools import cache
from typing import Any, Self

_NOWHERE = f"{os.devnull}/nowhere"


class Trust(ssl.SSLContext):
    """A TLS context of clients, as Python's default one, that reads the system's authorities before it judges a peer.

    They may be a file of 150 certificates, which takes 20 to 40 ms and a mebibyte. Most processes meet no such peer.
    """

    #: PEM of those beside the system's, empty for none.
    beside: str
    #: Whether the system's were read.
    is_read: bool

    def __new__(cls, *, ca_file: str | os.PathLike[str] | None = None, pem: str = "") -> Self:
        """``ca_file`` and ``pem``: those beside. Raises OSError where one of them is given and holds none."""
        self = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        # As the default has it, in which nothing is read of a folder that is not there.
        default = ssl.create_default_context(capath=_NOWHERE)
        self.verify_flags = default.verify_flags
        if default.keylog_filename:
            self.keylog_filename = default.keylog_filename
        if ca_file is not None or pem:
            self.load_verify_locations(cafile=ca_file, cadata=pem or None)
        self.beside, self.is_read = self._named(), False
        return self

    def read(self) -> None:
        """Read the system's, if that was not done. Other threads go on meanwhile."""
        if not self.is_read:
            self.load_default_certs()
            self.is_read = True

    def authorities(self) -> str:
        """PEM of all that are named in files, for programs that trust a file."""
        self.read()
        return self._named()

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """See ssl."""
        self.read()
        return super().wrap_socket(*arguments, **options)

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """See ssl."""
        self.read()
        return super().wrap_bio(*arguments, **options)

    def _named(self) -> str:
        return "".join(ssl.DER_cert_to_PEM_cert(der) for der in self.get_ca_certs(binary_form=True))


@cache
def client_context(extra_ca_file: str | os.PathLike[str] | None = None) -> Trust:
    """One that trusts the authorities in ``extra_ca_file`` (PEM) beside the system's, made once for each file.

    Raises OSError when the file cannot be read or holds no certificate.
    """
    return Trust(ca_file=extra_ca_file)
