"""The law: the policy language and the library of terms."""

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
