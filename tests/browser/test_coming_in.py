"""How a patient comes in, from the pharmacy's counter to the first message read."""

import re

import pytest
from checks import NARROW
from demo_world import give_password
from passkeys import USE_IN_SPANISH, Authenticator, new_profile
from playwright.sync_api import Page, Request, expect
from stage import Stage
from talking import THREAD, ask, hears, say, sent
from tally import Tally

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", autouse=True)
def _founded(stage: Stage) -> None:
    stage.founded()


def away(stage: Stage, login: str) -> None:
    """No account acts for the patient of that name as herself."""
    stage.write(
        "UPDATE relation SET ends_at = starts_at WHERE account_id = (SELECT id FROM account WHERE subject = ?)", login
    )


def card_for_rosa(bob: Page) -> tuple[str, str]:
    """Bob finds Rosa by name and birth date, and prints her card: its code, and her birth date."""
    patients = bob.evaluate("fetch('/api/patients?pharmacy=riverside').then((answer) => answer.json())")["items"]
    born = next(one["birth_date"] for one in patients if one["name"] == "Rosa Delgado")
    bob.goto("/account")
    bob.get_by_role("link", name="Invite", exact=True).first.click()
    bob.get_by_role("link", name="Invite a patient").click()
    bob.locator("#name").fill("delgado")
    bob.locator("#born").fill(born)
    bob.get_by_role("button", name="Find", exact=True).click()
    bob.get_by_role("button", name="Print a card Rosa Delgado").click()
    card = bob.locator("article.handout")
    expect(card).to_have_attribute("lang", "es")
    expect(card).to_contain_text("Para Rosa Delgado")
    return card.locator(".handout__letters").inner_text(), born


def test_rosa_comes_in_by_card_and_passkey_and_reads_what_waits(stage: Stage) -> None:
    bob = stage.with_keys("bob", "/new")
    bob.locator("#find").fill("Rosa")
    bob.get_by_role("button", name=re.compile("^Rosa")).click()
    bob.get_by_text("Something else", exact=True).click()
    say(bob, "Su valor de INR es 2,4. Siga con la misma dosis.")
    bob.wait_for_url(THREAD)
    sent(bob, "Siga con la misma dosis.")
    away(stage, "rosa")
    path = bob.url
    code, born = card_for_rosa(bob)
    year, month, day = born.split("-")
    bob.goto(path)

    # Her telephone: 320 px, text of double size, in Spanish.
    tally = Tally()
    # She says herself whose telephone it is.
    phone = tally.watch("rosa", stage.page("rosa", asked=True, viewport=NARROW, has_touch=True, locale="es-MX"))
    phone.context.add_cookies([{"name": "portal_text", "value": "large", "url": stage.demo.url}])
    Authenticator(phone)
    told: list[str] = []

    def note(request: Request) -> None:
        told.append(f"{request.method} {request.url} {request.headers} {request.post_data or ''}")

    phone.on("request", note)
    phone.goto(f"/join?at=riverside&language=es#{code}")
    expect(phone.get_by_text("Leímos su código.")).to_be_visible()
    assert "#" not in phone.url
    phone.get_by_role("link", name="Iniciar sesión y seguir").click()
    phone.locator("#login").fill("rosa")
    phone.locator("#password").fill("demo")
    phone.locator("form").filter(has=phone.locator("#password")).get_by_role("button").click()
    expect(phone.locator("#code")).to_have_value(code)
    expect(phone.get_by_text("Su invitación es de Riverside Pharmacy.")).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    # Until now nobody but this browser has had the code.
    assert [one for one in told if code in one or code.replace("-", "") in one] == []
    for name, value in (("day", day), ("month", month), ("year", year)):
        phone.locator(f"#{name}").fill(value)
    phone.get_by_role("button", name="Unir", exact=True).click()
    expect(phone.get_by_text("Su cuenta está unida a su historia en Riverside Pharmacy.")).to_be_visible()
    phone.get_by_role("link", name="Ver sus mensajes").click()
    phone.get_by_role("button", name="Es mi propio dispositivo").click()
    # Her first keys lie under the lock of her telephone: one tap, and no secret is typed here.
    expect(phone.get_by_role("heading", name="Proteja sus mensajes")).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    assert phone.locator("main input").count() == 0
    phone.get_by_role("button", name=USE_IN_SPANISH).click()
    phone.locator(".queue__row").first.click()
    hears(phone, "Siga con la misma dosis.")
    say(phone, "Gracias, muy amable")
    hears(bob, "Gracias, muy amable")
    # Her login at the provider, her birth date, her words: no code, PIN or passphrase of this portal was typed.
    assert [field for path, field, _ in tally.fields("rosa") if path.startswith(("/join", "/invitation"))] == [
        "day",
        "month",
        "year",
    ]
    typed = {field for path, field, _ in tally.fields("rosa") if not path.startswith(("/join", "/invitation"))}
    assert not any("secret" in one or "pin" in one or one == "code" for one in typed)
    tally.step("Rosa comes in by card and passkey, reads and answers")
    print(tally.report())
    # On a new telephone the same tap brings everything back.
    new_profile(phone)
    phone.goto("/login?next=/messages")
    give_password(phone, "rosa")
    phone.get_by_role("button", name=USE_IN_SPANISH).click()
    phone.locator(".queue__row").first.click()
    hears(phone, "Siga con la misma dosis.")
    hears(phone, "Gracias, muy amable")
    bob.goto("/pharmacies/riverside/invitations")
    expect(bob.locator(".tag", has_text="Has come in")).to_be_visible()


def test_the_wrong_person_is_out_at_once_and_the_conversation_says_so(stage: Stage) -> None:
    alicia = stage.with_keys("alicia", "/home")
    path = ask(alicia, "Is this really my list?")
    bob = stage.with_keys("bob", path)
    hears(bob, "Is this really my list?")
    bob.goto("/pharmacies/riverside/invitations/find")
    found = bob.evaluate("fetch('/api/patients?pharmacy=riverside').then((answer) => answer.json())")["items"]
    bob.locator("#name").fill("Alicia")
    bob.locator("#born").fill(next(one["birth_date"] for one in found if one["name"] == "Alicia Morgan"))
    bob.get_by_role("button", name="Find", exact=True).click()
    bob.get_by_role("link", name="Wrong person? Undo Alicia Morgan").click()
    bob.get_by_label("Somebody else used the code").check()
    bob.get_by_role("button", name="Separate the account of Alicia Morgan now").click()
    expect(bob.get_by_text("The account was separated from the patient.")).to_be_visible()
    # Her open page loses the conversation without a reload.
    expect(alicia.get_by_text("Is this really my list?")).to_have_count(0)
    bob.goto(path)
    expect(bob.get_by_text("The wrong person was in this conversation")).to_be_visible()
    hears(bob, "Is this really my list?")
    stage.forget("alicia")
    again = stage.at("alicia", "/home")
    expect(
        again.get_by_role("link", name="Join your record").or_(again.locator("a[href='/invitation']")).first
    ).to_be_visible()
    # By hand too: the server knows no such conversation for her.
    read = again.evaluate("(path) => fetch('/api/threads/' + path.split('/').at(-1)).then((one) => one.status)", path)
    assert read == 404
