"""The EHR as FHIR R4: client, projection to small values, names of medicines."""
