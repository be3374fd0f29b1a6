"""Jobs that follow from a transaction: leases, retry with back-off, dead letters."""
