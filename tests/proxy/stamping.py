"""A time-stamping authority for tests: OpenSSL's own (`openssl ts`), behind HTTP on loopback."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import override

import httpx

_CONFIG = """\
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[tsa]
extendedKeyUsage = critical,timeStamping
[stamp]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True, slots=True)
class StampingAuthority:
    """An authority in a folder: its root in `ca.pem`, its own certificate in `tsa.pem`."""

    folder: Path

    @property
    def ca(self) -> bytes:
        """The root's certificate, as PEM."""
        return (self.folder / "ca.pem").read_bytes()

    def answer(self, query: bytes) -> bytes:
        """The response to a request, in DER."""
        (self.folder / "query.tsq").write_bytes(query)
        _openssl(
            self.folder,
            *("ts", "-reply", "-queryfile", "query.tsq", "-out", "answer.tsr"),
            *("-config", "tsa.cnf", "-section", "stamp"),
        )
        return (self.folder / "answer.tsr").read_bytes()

    @property
    def transport(self) -> httpx.MockTransport:
        """The authority as what httpx asks."""
        return httpx.MockTransport(
            lambda request: httpx.Response(
                200,
                content=self.answer(request.content),
                headers={"content-type": "application/timestamp-reply"},
            )
        )


@cache
def _made(name: str) -> tuple[TemporaryDirectory[str], Path]:
    """The folder of an authority, made once a process; the first part keeps it alive."""
    holder: TemporaryDirectory[str] = TemporaryDirectory(prefix="inbond-tsa-")
    folder = Path(holder.name)
    (folder / "tsa.cnf").write_text(_CONFIG)
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "tsa.cnf")
    _openssl(
        folder,
        *("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem"),
        *("-subj", f"/CN={name} root", "-days", "2", "-extensions", "ca"),
    )
    _openssl(folder, "req", *new, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", f"/CN={name}")
    _openssl(
        folder,
        *("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2"),
        *("-CAcreateserial", "-extfile", "tsa.cnf", "-extensions", "tsa", "-out", "tsa.pem"),
    )
    return holder, folder


def stamping_authority(name: str = "Stamps") -> StampingAuthority:
    """The authority of this name; another name is another root."""
    return StampingAuthority(_made(name)[1])


@contextmanager
def stamping(authority: StampingAuthority) -> Iterator[str]:
    """The address of the authority, served on loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["content-length"]))
            answer = authority.answer(query)
            self.send_response(200)
            self.send_header("content-type", "application/timestamp-reply")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/tsr"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def openssl_verifies(authority: StampingAuthority, data: bytes, response: bytes) -> bool:
    """Whether `openssl ts -verify` believes a time-stamp."""
    (authority.folder / "data").write_bytes(data)
    (authority.folder / "given.tsr").write_bytes(response)
    command = [
        _program(),
        "ts",
        "-verify",
        "-data",
        "data",
        "-in",
        "given.tsr",
        "-CAfile",
        "ca.pem",
    ]
    done = subprocess.run(command, cwd=authority.folder, capture_output=True, check=False)
    return done.returncode == 0


def _openssl(folder: Path, *words: str) -> None:
    done = subprocess.run([_program(), *words], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def _program() -> str:
    found = shutil.which("openssl")
    assert found is not None, "these tests need the program `openssl`: apt-get install openssl"
    return found
