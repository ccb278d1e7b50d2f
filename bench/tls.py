"""TLS in front of the sink: HAProxy on the load's core takes RTMPS and hands the bytes to the sink.

One cipher for every contender, TLS 1.3 with AES-256-GCM, so that no row is cheaper by its choice. ``CERTIFICATE`` is
made once, for 127.0.0.1; a program that checks its peer is told to trust it by ``SSL_CERT_FILE``.
"""

import subprocess
from contextlib import ExitStack

from programs import BUILD, Sink, cores, start_server, unused_port

CERTIFICATE = BUILD / "tls.pem"

_CONFIG = """
global
  maxconn 8192
  nbthread 1
  ssl-default-bind-ciphersuites TLS_AES_256_GCM_SHA384
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen front
  bind 127.0.0.1:{port} ssl crt {certificate}
  server sink 127.0.0.1:{sink}
"""


def certificate() -> None:
    """Make it if it is not there: a self-signed one of 127.0.0.1, and its key, in one file."""
    if CERTIFICATE.exists():
        return
    BUILD.mkdir(exist_ok=True)
    key, cert = BUILD / "tls.key", BUILD / "tls.crt"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-days", "3650", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*words, "-keyout", key, "-out", cert], check=True, capture_output=True)
    CERTIFICATE.write_text(cert.read_text() + key.read_text())


def put_in_front(sink: Sink, stack: ExitStack) -> None:
    """From here on the sink's addresses are rtmps."""
    certificate()
    port = unused_port()
    config = _CONFIG.replace("{port}", str(port)).replace("{certificate}", str(CERTIFICATE))
    start_server(stack, ["haproxy", "-db", "-f"], config.replace("{sink}", str(sink.port)), port, cores()[1])
    sink.tls_port = port
