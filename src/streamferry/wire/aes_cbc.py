"""What HLS encrypts whole: AES-128 in CBC mode with PKCS7 padding. Specification: RFC 8216, 4.3.2.4."""

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

#: Size of a key and of a vector as well.
BLOCK_BYTES = 16


class Decryption:
    """Of one resource, front to back, in pieces of any size."""

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._decryptor = Cipher(AES128(key), CBC(iv)).decryptor()
        # The last block may be padding.
        self._held = b""

    def update(self, data: bytes) -> bytes:
        """What is known to be plain now; maybe nothing yet."""
        plain = self._held + self._decryptor.update(data)
        self._held = plain[-BLOCK_BYTES:]
        return plain[:-BLOCK_BYTES]

    def end(self) -> bytes:
        """The rest, without its padding; a last block that is not whole stays out, as players leave it."""
        held, self._held = self._held, b""
        padding = held[-1] if held else 0
        return held[:-padding] if 1 <= padding <= BLOCK_BYTES else held
