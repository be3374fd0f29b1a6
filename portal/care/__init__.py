"""Medicines, orders and allergies of a patient, as the panel shows them."""
