"""Until which birthday what a parent or guardian may do for a child lasts: by country, or earlier as a pharmacy says.

Sources: 18 is the age at which childhood ends by article 1 of the Convention on the Rights of the Child and by the
civil codes of the countries named; where parts of a country differ (Alabama, some provinces of Canada), the lowest. 16
stands where a law on health care lets the young decide from then on: Family Law Reform Act 1969, section 8, and Age of
Legal Capacity (Scotland) Act 1991 (GB); Non-Fatal Offences against the Person Act 1997, section 23 (IE); Ley 41/2002,
article 9 (ES); Burgerlijk Wetboek 7:447 (NL); pasient- og brukerrettighetsloven, section 4-3 (NO). Written down in
November 2026 without opening the laws themselves, so whoever runs a portal looks once (docs/operations.md). An access
that ends too early is given again by the young person; one that ends too late cannot be taken back.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.pharmacies import care
from portal.pharmacies.tables import Pharmacy

# Below this nobody speaks for oneself anywhere.
YOUNGEST = 12

_BY_COUNTRY: dict[str, int] = {
    **dict.fromkeys(("GB", "IE", "ES", "NL", "NO"), 16),
    **dict.fromkeys(
        ("US", "PR", "CA", "MX", "FR", "DE", "AT", "IT", "PT", "BE", "PL", "SE", "DK", "FI", "CZ", "GR"), 18
    ),
    **dict.fromkeys(("HU", "RO", "CH", "AU", "NZ", "AR", "CL", "CO", "CR", "DO", "EC", "PE"), 18),
}


def of_country(country: str, otherwise: int) -> int:
    """The age in a country (ISO 3166-1 alpha-2); `otherwise`, the server's setting, for one that is not here."""
    return _BY_COUNTRY.get(country.upper(), otherwise)


def is_known(country: str) -> bool:
    """Whether the table holds a country (ISO 3166-1 alpha-2)."""
    return country.upper() in _BY_COUNTRY


def can_be(age: int, country: str) -> bool:
    """Whether a pharmacy may say that it ends at `age`: never later than its country does."""
    return YOUNGEST <= age <= min(of_country(country, otherwise=21), 21)


def of_pharmacy(country: str, chosen: int | None, otherwise: int) -> int:
    """The age that counts at a pharmacy: its own, where it has said one, never above that of its country."""
    ours = of_country(country, otherwise)
    return ours if chosen is None else min(chosen, ours)


def of_patient(session: Session, patient_id: str, otherwise: int) -> int:
    """The age that counts for a patient: the lowest of the pharmacies that care for them; without one, `otherwise`."""
    caring = care.pharmacies_of(session, [patient_id])[patient_id]
    rows = session.execute(select(Pharmacy.country, Pharmacy.parents_until_age).where(Pharmacy.id.in_(caring)))
    return min((of_pharmacy(country, chosen, otherwise) for country, chosen in rows), default=otherwise)
