"""What leaves the portal is one short list of sentences that know nothing of anybody's health."""

import re
from pathlib import Path

import pytest

from portal.core import texts
from portal.notify import words
from portal.notify.words import TEMPLATES, Template, compose

LINK = "https://portal.test/login?next=/thread/" + "f" * 32
STOP = "https://portal.test/stop-notices/" + "f" * 60
WAITS = {"link": LINK, "stop": STOP}
TELLING = re.compile(
    "medic|pharma|farmac|pill|pastilla|tablet|presc|recet|dose|dosis|health|salud|symptom|síntoma|all?erg|doctor|"
    "médic|refill|order|pedido|urgent|patient|paciente"
)


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_every_sentence_that_leaves_uses_only_what_its_template_may(language: str) -> None:
    catalogue = texts.catalogue(language)
    leaving = {key for key in catalogue if key.startswith("mail.")}
    assert leaving == {f"mail.{template}.{part}" for template in Template for part in ("subject", "body")}
    for template in Template:
        assert texts.places(catalogue[f"mail.{template}.subject"]) == frozenset()
        assert texts.places(catalogue[f"mail.{template}.body"]) == TEMPLATES[template]


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_no_sentence_that_leaves_hints_at_health(language: str) -> None:
    for key, sentence in texts.catalogue(language).items():
        if key.startswith("mail."):
            said = sentence if isinstance(sentence, str) else " ".join(sentence.values())
            assert not TELLING.search(said.lower())


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_mail_says_that_something_waits_and_where(language: str) -> None:
    mail = compose(Template.MESSAGE_WAITS, language, to="alice@example.test", reference="job", values=WAITS)
    assert LINK in mail.text.split("\n")
    assert mail.language == language
    assert mail.subject == texts.get("mail.message-waits.subject", language)


def test_an_unknown_language_falls_back() -> None:
    mail = compose(Template.MESSAGE_WAITS, "tlh", to="alice@example.test", reference="job", values=WAITS)
    assert mail.language == texts.DEFAULT_LANGUAGE


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"link": LINK, "name": "Alice"},
        {"subject": "metformin"},
        {"link": LINK + "?subject=metformin"},
        {"link": LINK + "\n\nYour metformin is ready"},
        {"link": "https://portal.test/login?next=//evil.test"},
        {"link": "javascript:alert(1)"},
        {"link": LINK, "stop": "https://portal.test/stop-notices/"},
        {"link": LINK, "stop": STOP + "?subject=metformin"},
        {"link": LINK, "stop": STOP + "\nBcc: x"},
    ],
)
def test_nothing_else_can_be_put_into_a_mail(values: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        compose(Template.MESSAGE_WAITS, "en", to="alice@example.test", reference="job", values={"stop": STOP, **values})


INVITED = {
    "link": "https://portal.test/login?next=/team",
    "who": "Bob Rivera",
    "place": "St. Mary’s & Sons (Riverside)",
    "until": "2026-12-08 09:00 (America/Chicago)",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("who", "visit evil.test"),
        ("who", "https://evil.test/x"),
        ("who", "Bob\nBcc: x"),
        ("who", "bob@evil.test"),
        ("who", ""),
        ("place", "x" * 121),
        ("until", "soon"),
    ],
)
def test_a_name_in_a_mail_is_no_link_and_no_second_line(name: str, value: str) -> None:
    with pytest.raises(ValueError):
        compose(Template.STAFF_INVITED, "en", to="o@example.test", reference="job", values={**INVITED, name: value})
    harmless = {**INVITED, name: words.plain_name(value)} if name != "until" else INVITED
    assert compose(Template.STAFF_INVITED, "en", to="o@example.test", reference="job", values=harmless).text


def test_names_stay_as_people_write_them() -> None:
    for name in (
        "José-María O’Neill",
        "Dr. Lang",
        "St. Mary’s & Sons (Riverside)",
        "Аптека",
    ):
        assert words.plain_name(name) == name
    assert words.plain_name("visit  evil.test/now") == "visit evil test now"
    assert words.plain_name("\u200b\n") == "?"


def test_mails_are_made_in_one_place_only() -> None:
    package = Path(words.__file__).parents[1]
    makers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\bMail\(|EmailMessage\(|smtplib", path.read_text("utf-8"))
    }
    assert makers == {"notify/words.py", "notify/mail.py"}


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en", "Tuesday, December 8, 2026, 9:00 AM (America/Chicago)"),
        ("es", "martes 8 de diciembre de 2026, 9:00 (America/Chicago)"),
    ],
)
def test_a_time_in_a_mail_is_written_as_its_reader_writes_it(language: str, written: str) -> None:
    mail = compose(Template.STAFF_INVITED, language, to="o@example.test", reference="job", values=INVITED)
    assert written in mail.text
