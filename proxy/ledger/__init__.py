"""The tamper-evident ledger as pure functions: canonical bytes, Merkle tree, entries, seals, notes."""
