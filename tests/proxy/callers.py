"""Client keys, the ring that knows them, and callers who show them: what tests of calls share."""

import base64

from proxy.identity import (
    AuthStyle,
    Caller,
    ClientKey,
    Credential,
    digest_of,
    identify,
    make_client_key,
)
from proxy.secret import Secret

FINGERPRINT_KEY = b"f" * 32
OURS = make_client_key(b"\x01" * 32).reveal()
OTHER = make_client_key(b"\x02" * 32).reveal()
REVOKED = make_client_key(b"\x03" * 32).reveal()
STRANGE = make_client_key(b"\x04" * 32).reveal()
CUSTODY = Credential(account="main", secret=Secret("sk-real-canary"))


class Ring:
    """Two good keys and a revoked one."""

    def find(self, digest: str) -> ClientKey | None:
        """The key with this digest."""
        known = {
            digest_of(Secret(OURS)): ClientKey(key="key:ours", project="p", student="s"),
            digest_of(Secret(OTHER)): ClientKey(key="key:other", project="q", student=None),
            digest_of(Secret(REVOKED)): ClientKey(
                key="key:revoked", project="p", student=None, is_revoked=True
            ),
        }
        return known.get(digest)


def basic(user: str, password: str = "") -> str:
    """A Basic credential."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def who(
    *headers: tuple[str, str],
    query: str = "",
    tunnel: str | None = None,
    custody: Credential | None = None,
    auth: AuthStyle = "bearer",
) -> Caller:
    """Who sends these headers."""
    return identify(
        headers,
        query=query,
        tunnel=tunnel,
        auth=auth,
        custody=custody,
        ring=Ring(),
        fingerprint_key=FINGERPRINT_KEY,
    )
