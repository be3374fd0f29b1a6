"""Where a login may lead: never off this portal, never in circles."""

import pytest

from portal.web.auth.next import safe_next

# The forms that other portals have let through, and their cousins.
HOSTILE = (
    "https://evil.test/",
    "//evil.test/",
    "///evil.test/",
    "/\\evil.test",
    "\\/evil.test",
    "/\t/evil.test",
    "\thttps://evil.test",
    "/\n/evil.test",
    " //evil.test",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "https:evil.test",
    "http:///evil.test",
    "evil.test",
    "/%2F/evil.test",
    "/%5Cevil.test",
    "/%09/evil.test",
    "/a%0d%0aSet-Cookie:x=y",
    "/a\r\nSet-Cookie: x=y",
    "/\u2028/evil.test",
    "/\uff0fevil.test",
    "/a//evil.test",
    "/a/../../evil",
    "/..//evil.test",
    "/@evil.test:80/\x00",
    "?next=//evil.test",
    "#//evil.test",
    "",
    None,
    "/" + "a" * 2000,
)
CIRCLES = ("/login", "/login?next=/", "/LOGIN", "/logout", "/unlock", "/step-up?next=/", "/api/session", "/events")
GOOD = ("/", "/messages", "/thread?id=0123456789abcdef0123456789abcdef", "/record?before=2026-11-24T10:00:00Z&page=2")


@pytest.mark.parametrize("wanted", HOSTILE)
def test_a_hostile_next_leads_home(wanted: str | None) -> None:
    assert safe_next(wanted) == "/"


@pytest.mark.parametrize("wanted", CIRCLES)
def test_a_login_never_leads_back_to_itself(wanted: str) -> None:
    assert safe_next(wanted) == "/"


@pytest.mark.parametrize("wanted", GOOD)
def test_a_path_of_the_portal_is_kept_as_it_is(wanted: str) -> None:
    assert safe_next(wanted) == wanted


def test_the_table_has_the_32_forms() -> None:
    assert len(set(HOSTILE)) == 32
