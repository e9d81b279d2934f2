"""Tests of proxy.authority."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from mitmproxy.certs import CertStore

from proxy.authority import ensure_authority, write_trust_bundle
from proxy.clock import utc_now
from proxy.errors import SettingsError

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def trusted(path: Path) -> list[str]:
    """The subjects of all authorities that a TLS client trusts by a file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    return [str(authority["subject"]) for authority in context.get_ca_certs()]


def test_the_authority_is_made_once(tmp_path: Path) -> None:
    """The second start finds the authority of the first, private and valid for two years."""
    first = ensure_authority(tmp_path, organisation="Acme", now=NOW)
    content = first.pem.read_bytes()
    second = ensure_authority(tmp_path, organisation="Acme", now=NOW + timedelta(days=1))
    assert second == first
    assert second.pem.read_bytes() == content
    assert first.pem.stat().st_mode & 0o077 == 0
    assert first.not_after == NOW + timedelta(days=730)
    assert b"PRIVATE" not in first.cert.read_bytes()


def test_the_engine_signs_leaves_that_clients_accept(tmp_path: Path) -> None:
    """Mitmproxy loads the authority, and a strict TLS client that trusts it accepts its leaves."""
    authority = ensure_authority(tmp_path, organisation="Ä" * 100, now=utc_now())
    store = CertStore.from_store(tmp_path, "mitmproxy", 2048)
    name = "api.example.com"
    entry = store.get_cert(name, [x509.DNSName(name)])
    chain = tmp_path / "chain.pem"
    chain.write_bytes(entry.cert.to_pem() + authority.pem.read_bytes())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, authority.pem)
    client = ssl.create_default_context(cafile=authority.cert)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert handshake(client, server, name)


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> bool:
    """Whether a client and a server agree, in memory."""
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(a, b, server_hostname=name),
        server.wrap_bio(b, a, server_side=True),
    ]
    done = [False, False]
    for _ in range(8):
        for n, end in enumerate(ends):
            try:
                end.do_handshake()
                done[n] = True
            except ssl.SSLWantReadError:
                pass
    return all(done)


def test_the_trust_bundle_holds_public_roots_and_ours(tmp_path: Path) -> None:
    """A child trusts the public roots, what its user trusted before, and us."""
    authority = ensure_authority(tmp_path, organisation="Acme", now=NOW)
    (tmp_path / "other").mkdir()
    other = ensure_authority(tmp_path / "other", organisation="Corporate", now=NOW)
    plain = trusted(write_trust_bundle(authority))
    with_other = trusted(write_trust_bundle(authority, other.cert))
    assert len(plain) > 100
    assert len(with_other) == len(plain) + 1
    assert any("Corporate" in subject for subject in with_other)
    assert all(any("Acme" in subject for subject in each) for each in (plain, with_other))


def test_the_trust_bundle_does_not_grow(tmp_path: Path) -> None:
    """Where SSL_CERT_FILE names our bundle already, it is made anew, not added to itself."""
    authority = ensure_authority(tmp_path, organisation="Acme", now=NOW)
    bundle = write_trust_bundle(authority)
    size = bundle.stat().st_size
    assert write_trust_bundle(authority, bundle).stat().st_size == size


def test_a_bad_certificate_file_is_named(tmp_path: Path) -> None:
    """What SSL_CERT_FILE names and cannot be read is refused, not dropped."""
    authority = ensure_authority(tmp_path, organisation="Acme", now=NOW)
    bad = tmp_path / "bad.pem"
    for prepare in (lambda: None, lambda: bad.write_text("nonsense")):
        prepare()
        with pytest.raises(SettingsError) as caught:
            write_trust_bundle(authority, bad)
        assert caught.value.where == str(bad)


def test_an_expired_authority_is_not_used(tmp_path: Path) -> None:
    """After two years the authority is refused with what to do about it."""
    ensure_authority(tmp_path, organisation="Acme", now=NOW)
    with pytest.raises(SettingsError, match="expired on 2028-11-23"):
        ensure_authority(tmp_path, organisation="Acme", now=NOW + timedelta(days=731))


def test_a_damaged_authority_is_not_replaced(tmp_path: Path) -> None:
    """A file that is no authority, or of another's key, is refused and left alone."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = ensure_authority(tmp_path / "a", organisation="A", now=NOW).pem
    second = ensure_authority(tmp_path / "b", organisation="B", now=NOW).pem
    key = first.read_text().partition("-----BEGIN CERTIFICATE")[0]
    certificate = second.read_text().partition("-----BEGIN CERTIFICATE")[2]
    for content in ("nonsense", f"{key}-----BEGIN CERTIFICATE{certificate}"):
        first.write_text(content)
        with pytest.raises(SettingsError, match="not a certificate with its key"):
            ensure_authority(tmp_path / "a", organisation="A", now=NOW)
        assert first.read_text() == content


def test_an_authority_open_to_others_is_not_used(tmp_path: Path) -> None:
    """Whoever could read its key could pose as any host."""
    ensure_authority(tmp_path, organisation="A", now=NOW).pem.chmod(0o644)
    with pytest.raises(SettingsError) as caught:
        ensure_authority(tmp_path, organisation="A", now=NOW)
    assert caught.value.code == "open-to-others"


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Where the authority cannot be written, or its bundle, the reason of the system is given."""
    with pytest.raises(SettingsError, match="no such file"):
        ensure_authority(tmp_path / "gone", organisation="A", now=NOW)
    authority = ensure_authority(tmp_path, organisation="A", now=NOW)
    (tmp_path / "trust.pem").mkdir()
    with pytest.raises(SettingsError, match="is a directory"):
        write_trust_bundle(authority)
