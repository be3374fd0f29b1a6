"""Emergency and poison-information numbers by country. Reviewed by hand; a country not here shows only the phone.

Sources: 112 is the common emergency number of the European Union (Directive (EU) 2018/1972, article 109); 911 and the
poison line 1-800-222-1222 are those of the United States; the others are the national numbers their governments
publish. Where no single national poison line answers day and night, there is none here: the emergency number serves.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Numbers:
    """What to dial in an emergency, and the poison information line where a country has one for everybody."""

    emergency: str
    poison: str | None = None


_EU_112 = Numbers("112")

NUMBERS: dict[str, Numbers] = {
    "US": Numbers("911", "1-800-222-1222"),
    "PR": Numbers("911", "1-800-222-1222"),
    "CA": Numbers("911", "1-844-764-7669"),
    "MX": Numbers("911"),
    "ES": Numbers("112", "915 620 420"),
    "FR": _EU_112,
    "DE": _EU_112,
    "AT": Numbers("112", "01 406 43 43"),
    "IT": _EU_112,
    "PT": Numbers("112", "800 250 250"),
    "NL": _EU_112,
    "BE": Numbers("112", "070 245 245"),
    "IE": Numbers("112", "01 809 2166"),
    "PL": _EU_112,
    "SE": _EU_112,
    "DK": _EU_112,
    "FI": _EU_112,
    "CZ": _EU_112,
    "GR": _EU_112,
    "HU": _EU_112,
    "RO": _EU_112,
    "CH": Numbers("112", "145"),
    "NO": Numbers("113"),
    "GB": Numbers("999"),
    "AU": Numbers("000", "13 11 26"),
    "NZ": Numbers("111", "0800 764 766"),
    "AR": Numbers("911"),
    "CL": Numbers("131"),
    "CO": Numbers("123"),
    "CR": Numbers("911"),
    "DO": Numbers("911"),
    "EC": Numbers("911"),
    "PE": Numbers("106"),
}


def numbers(country: str) -> Numbers | None:
    """The numbers of a country (ISO 3166-1 alpha-2); None when the table does not know the country."""
    return NUMBERS.get(country.upper())
