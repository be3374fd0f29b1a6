"""Pharmacies: profile, hours, teams and their keys, patients in care."""
