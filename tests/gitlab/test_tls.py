"""Certificates: a server that cannot prove who it is gets no request, so no token."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from logminer.errors import ServerError, UsageError
from logminer.gitlab import Client, Settings, discover
from logminer.model import Project

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

OPENSSL = shutil.which("openssl")
TOKEN = "glpat-tls-secret"  # noqa: S105 -- opens nothing
PROJECT = b'{"id":1,"path_with_namespace":"g/p","version":"17.4.1"}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(PROJECT), PROJECT)
)

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="makes its certificate with openssl")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate for 127.0.0.1 that nobody signed but itself, its key in one file."""
    file = tmp_path / "server.pem"
    key = tmp_path / "key.pem"
    subprocess.run(  # noqa: S603 -- a fixed command, no input from outside
        [
            *(OPENSSL or "", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(file)),
        ],
        check=True,
        capture_output=True,
    )
    file.write_bytes(file.read_bytes() + key.read_bytes())
    return file


def against(certificate: Path, use: Callable[[str], Awaitable[None]]) -> list[bytes]:
    """Run `use` against a server with this certificate; return what the server was told."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ANSWER)
        writer.close()

    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        async with server:
            await use(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    asyncio.run(main())
    return heard


def test_untrusted(certificate: Path) -> None:
    """A certificate of an unknown issuer ends the run at once, before a byte is said."""

    async def use(url: str) -> None:
        settings = Settings(url=url, token=TOKEN)
        async with Client(settings) as client:
            with pytest.raises(ServerError, match="not trusted"):
                await client.version()
        with pytest.raises(ServerError, match="not trusted"):
            await asyncio.to_thread(discover, settings, projects=[1])

    assert against(certificate, use) == []


def test_trusted_bundle(certificate: Path) -> None:
    """A certificate of the CA bundle is trusted, by both libraries."""

    async def use(url: str) -> None:
        settings = Settings(url=url, token=TOKEN, verify=str(certificate))
        async with Client(settings) as client:
            assert await client.version() == "17.4.1"
        found = await asyncio.to_thread(discover, settings, projects=[1])
        assert found == [Project(id=1, path="g/p")]

    assert len(against(certificate, use)) == 3


def test_unverified_is_said(certificate: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who switches verification off gets an answer, and is told every time."""

    async def use(url: str) -> None:
        async with Client(Settings(url=url, token=TOKEN, verify=False)) as client:
            assert await client.version() == "17.4.1"

    against(certificate, use)

    assert "not verified" in caplog.text


def test_bad_bundle(tmp_path: Path) -> None:
    """A bundle that holds no certificate is a usage error; an empty folder trusts nobody."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")

    async def enter(verify: Path) -> None:
        settings = Settings(url="https://127.0.0.1:1", token=TOKEN, verify=str(verify))
        async with Client(settings):
            pass

    with pytest.raises(UsageError, match="cannot be read"):
        asyncio.run(enter(file))
    asyncio.run(enter(tmp_path))


def test_plain_http_loads_no_certificates(tmp_path: Path) -> None:
    """Where none is sent, none is looked for: loading them takes as long as many requests."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")

    async def enter() -> str:
        settings = Settings(url="http://127.0.0.1:1", token=TOKEN, verify=str(file))
        async with Client(settings) as client:
            return client.instance

    assert asyncio.run(enter()) == "127.0.0.1:1"
