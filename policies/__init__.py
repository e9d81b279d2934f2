"""The law: the policy language and the library of terms.

A name is loaded when it is first asked for: whoever reads YAML alone loads no engine (style §3.12).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policies.bundle import Bundle, bundle_of, load_bundle
    from policies.decision import Decision, Moment
    from policies.diagnostics import Diagnostic, PolicyError
    from policies.engine import decide
    from policies.model import Effect, Gate

__all__ = [
    "Bundle",
    "Decision",
    "Diagnostic",
    "Effect",
    "Gate",
    "Moment",
    "PolicyError",
    "bundle_of",
    "decide",
    "load_bundle",
]

_HOMES = {
    "Bundle": "bundle",
    "Decision": "decision",
    "Diagnostic": "diagnostics",
    "Effect": "model",
    "Gate": "model",
    "Moment": "decision",
    "PolicyError": "diagnostics",
    "bundle_of": "bundle",
    "decide": "engine",
    "load_bundle": "bundle",
}


def __getattr__(name: str) -> object:
    """A public name, from the module that defines it (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
