"""The ledger in SQL: tables, append, bodies, checkpoints, recovery and every read."""
