"""The traffic and the record: proxy, ledger, datasets, audits and console of inbond."""
