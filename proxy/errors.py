"""What can go wrong in the proxy, as one tree.

ProxyError
├── SettingsError      settings cannot be read
├── IdentityError      a client key, project or provider key is not usable
├── RouteError         a request has no place to go
├── WireError          bytes are not what the wire format says
├── LedgerError        the ledger cannot be read or written
│   ├── CanonicalError     a value has no canonical form
│   ├── ProofError         a proof, seal or signature does not verify
│   ├── ForkError          the database does not extend the last checkpoint we signed
│   └── LedgerBusy         no room or no lock: try again (503)
├── BundleError        a bundle of files cannot be read or written
├── DatasetError       a dataset cannot be built
└── TermsError         a text of terms cannot be had or kept
"""

__all__ = [
    "BundleError",
    "CanonicalError",
    "DatasetError",
    "ForkError",
    "IdentityError",
    "LedgerBusy",
    "LedgerError",
    "ProofError",
    "ProxyError",
    "RouteError",
    "SettingsError",
    "TermsError",
    "WireError",
]


class ProxyError(Exception):
    """The base of every error this package raises on purpose.

    `code` is a stable slug, `where` names the file, path or field, and `help` says what to do.
    """

    code = "proxy-error"

    def __init__(
        self,
        message: str,
        *,
        help: str = "",  # noqa: A002 - the word users see in `help:` lines
        where: str = "",
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.help = help
        self.where = where
        if code is not None:
            self.code = code


class SettingsError(ProxyError):
    """Settings cannot be read."""

    code = "settings"


class IdentityError(ProxyError):
    """A client key, project or provider key is not usable."""

    code = "identity"


class RouteError(ProxyError):
    """A request has no place to go."""

    code = "route"


class WireError(ProxyError):
    """Bytes are not what the wire format says."""

    code = "wire"


class LedgerError(ProxyError):
    """The ledger cannot be read or written."""

    code = "ledger"


class CanonicalError(LedgerError):
    """A value has no canonical form (RFC 8785 as restricted by the ledger)."""

    code = "canonical"


class ProofError(LedgerError):
    """A proof, seal or signature does not verify."""

    code = "proof"


class ForkError(LedgerError):
    """The database does not extend the last checkpoint that was signed."""

    code = "fork"


class LedgerBusy(LedgerError):  # noqa: N818 - it is a state of the ledger, and callers retry
    """The ledger has no room or no lock at the moment."""

    code = "ledger-busy"


class BundleError(ProxyError):
    """A bundle of files cannot be read or written."""

    code = "bundle"


class DatasetError(ProxyError):
    """A dataset cannot be built."""

    code = "dataset"


class TermsError(ProxyError):
    """A text of terms cannot be had or kept."""

    code = "terms"
