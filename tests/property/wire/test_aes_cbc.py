"""What HLS encrypts whole comes out as it went in, however it is cut."""

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given
from hypothesis import strategies as st

from streamferry.wire.aes_cbc import Decryption

KEY, IV = b"k" * 16, b"v" * 16


def encrypted(data: bytes) -> bytes:
    encryptor = Cipher(AES128(KEY), CBC(IV)).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def decrypted(data: bytes, piece_bytes: int) -> bytes:
    decryption = Decryption(KEY, IV)
    pieces = [decryption.update(data[at : at + piece_bytes]) for at in range(0, len(data), piece_bytes)]
    return b"".join(pieces) + decryption.end()


@given(st.binary(max_size=100), st.integers(1, 40))
def test_padding_is_taken_off_however_it_comes(data: bytes, piece_bytes: int) -> None:
    """Also where the data ends with what looks like padding, and where there is none at all."""
    padder = PKCS7(128).padder()
    assert decrypted(encrypted(padder.update(data) + padder.finalize()), piece_bytes) == data
    assert decrypted(b"", piece_bytes) == b""


@given(st.integers(0, 15), st.integers(17, 255), st.integers(1, 40))
def test_what_is_cut_or_not_padded_loses_no_whole_block(cut: int, last: int, piece_bytes: int) -> None:
    """Some packagers leave the padding out; a connection may end within a block, which is left out then."""
    data = bytes(31) + bytes([last])
    assert decrypted(encrypted(data + bytes(16))[: 32 + cut], piece_bytes) == data
