"""Seal: encrypts the secrets in the store. Addresses contain stream keys, so they are sealed like access keys.

Fernet (AES-128-CBC and HMAC-SHA256) of the ``cryptography`` package. Values that have to be found without being opened
also have a keyed digest.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken


class SealBroken(ValueError):
    """A sealed value cannot be opened: it was sealed under another key, or it is damaged."""

    def __init__(self, words: str = "the store was sealed under another key; give the right one as seal-key") -> None:
        super().__init__(words)


class Seal:
    """Seals and opens under one key, 32 bytes in URL-safe base64. Raises ValueError for a malformed one.

    Signatures use this key and become invalid with it. Digests have their own key, which outlives the seal key: the
    store keeps it (``sealing``); until it has been read, it is the one that a new store would get.
    """

    def __init__(self, key: str) -> None:
        try:
            self._fernet = Fernet(key)
        except ValueError:
            raise ValueError("the seal key must be 32 bytes in URL-safe base64") from None
        self._key = key.encode()
        self._sign_key = hashlib.sha256(b"streamferry signature " + self._key).digest()
        self._digest_key = hashlib.sha256(b"streamferry digest " + self._key).digest()

    @property
    def fingerprint(self) -> str:
        """16 hex digits that tell one seal key from another and reveal nothing of the key."""
        return hmac.new(self._key, b"streamferry seal key", hashlib.sha256).hexdigest()[:16]

    def reveal(self) -> str:
        """The key itself, for a backup only."""
        return self._key.decode()

    @property
    def digest_key(self) -> str:
        """What digests are keyed with, in hex."""
        return self._digest_key.hex()

    def adopt(self, digest_key: str) -> None:
        """Use the store's key of digests. Raises ValueError."""
        self._digest_key = bytes.fromhex(digest_key)

    def seal(self, text: str) -> bytes:
        """The text, encrypted and authenticated."""
        return self._fernet.encrypt(text.encode())

    def open(self, sealed: bytes) -> str:
        """The text again. Raises SealBroken."""
        try:
            return self._fernet.decrypt(bytes(sealed)).decode()
        except (InvalidToken, TypeError, ValueError):
            # Not a token at all: SQLite keeps a value of any type in any column.
            raise SealBroken from None

    def digest(self, text: str) -> str:
        """32 hex digits, equal for equal texts, that reveal nothing without the key: for finding, not for proof."""
        return hmac.new(self._digest_key, text.encode(), hashlib.sha256).hexdigest()[:32]

    def sign(self, text: str) -> str:
        """32 hex digits that only the owner of this key can make: a rotation invalidates all of them."""
        return hmac.new(self._sign_key, text.encode(), hashlib.sha256).hexdigest()[:32]


def load_or_make_key(path: Path, first: str | None = None) -> str:
    """The key in a file that only its owner may read; the first call writes a new or the given one. Raises OSError."""
    while True:
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            pass
        # Linked into place complete, so that nobody reads half a key, and never over an existing one.
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write((first.encode() if first else Fernet.generate_key()) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            except FileExistsError:
                continue
        finally:
            draft.unlink()
