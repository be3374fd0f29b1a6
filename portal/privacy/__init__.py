"""Reading the audit record: a patient's "who looked", and the privacy officer's search."""
