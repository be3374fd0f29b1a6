"""Where somebody complains about how a pharmacy keeps data, by country: the authority that watches over privacy.

Each is the national authority under its own name, with its home page; for the United States the page for complaints
under HIPAA. Compared in November 2026 with public directories of these authorities; nobody has opened the pages
themselves, so whoever runs a portal looks once (docs/operations.md). A pharmacy that answers to another one (a state's,
a region's, a board of pharmacy) names that in its profile (`licence.complaints`). A country that is not here shows none
rather than a wrong one: in Germany and Canada the authority of the state or province answers for most pharmacies.
"""

AUTHORITIES: dict[str, str] = {
    "US": "HHS Office for Civil Rights, https://www.hhs.gov/hipaa/filing-a-complaint/index.html",
    "PR": "HHS Office for Civil Rights, https://www.hhs.gov/hipaa/filing-a-complaint/index.html",
    "ES": "Agencia Española de Protección de Datos, https://www.aepd.es",
    "FR": "Commission nationale de l'informatique et des libertés, https://www.cnil.fr",
    "AT": "Österreichische Datenschutzbehörde, https://www.dsb.gv.at",
    "IT": "Garante per la protezione dei dati personali, https://www.garanteprivacy.it",
    "PT": "Comissão Nacional de Proteção de Dados, https://www.cnpd.pt",
    "NL": "Autoriteit Persoonsgegevens, https://autoriteitpersoonsgegevens.nl",
    "BE": "Autorité de protection des données, Gegevensbeschermingsautoriteit, https://www.dataprotectionauthority.be",
    "IE": "Data Protection Commission, https://www.dataprotection.ie",
    "PL": "Urząd Ochrony Danych Osobowych, https://uodo.gov.pl",
    "SE": "Integritetsskyddsmyndigheten, https://www.imy.se",
    "DK": "Datatilsynet, https://www.datatilsynet.dk",
    "FI": "Tietosuojavaltuutetun toimisto, https://tietosuoja.fi",
    "CH": "Eidgenössischer Datenschutz- und Öffentlichkeitsbeauftragter, https://www.edoeb.admin.ch",
    "NO": "Datatilsynet, https://www.datatilsynet.no",
    "GB": "Information Commissioner's Office, https://ico.org.uk",
    "AU": "Office of the Australian Information Commissioner, https://www.oaic.gov.au",
    "NZ": "Office of the Privacy Commissioner, https://www.privacy.org.nz",
}


def authority(country: str) -> str | None:
    """Name and address of a country's authority (ISO 3166-1 alpha-2); None when the table does not know it."""
    return AUTHORITIES.get(country.upper())
