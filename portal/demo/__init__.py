"""The demo: embedded identity provider, FHIR sandbox, demo world, control room."""
