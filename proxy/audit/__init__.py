"""Audits: bundles made for a reader, that a stranger verifies offline."""
