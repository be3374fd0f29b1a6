"""The watch over the browser itself: what must fail a test is heard."""

from collections.abc import Iterator

import pytest
from complaints import Complaints
from patience import until
from playwright.sync_api import Browser, Page
from pytest_httpserver import HTTPServer

pytestmark = pytest.mark.browser
POLICY = {"Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'"}


@pytest.fixture
def heard() -> Complaints:
    """Complaints that are looked at instead of failing the test."""
    return Complaints()


@pytest.fixture
def page(browser: Browser, heard: Complaints) -> Iterator[Page]:
    """A page whose complaints go to `heard`."""
    context = browser.new_context()
    heard.listen(context)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<script>console.error('broken')</script>", "broken"),
        ("<script>throw new Error('thrown')</script>", "thrown"),
        ("<script>fetch('/data')</script>", "Content Security Policy"),
        ("<script>eval('1')</script>", "Content Security Policy"),
    ],
)
def test_what_goes_wrong_in_a_page_is_heard(
    page: Page, heard: Complaints, httpserver: HTTPServer, html: str, words: str
) -> None:
    httpserver.expect_request("/").respond_with_data(html, content_type="text/html", headers=POLICY)
    page.goto(httpserver.url_for("/"))
    until(page, lambda: any(words in complaint for complaint in heard.unexpected()), f"{words!r} is heard")
    heard.allow(".*")
    assert heard.unexpected() == []


def test_a_request_to_somebody_else_is_heard_and_goes_nowhere(
    page: Page, heard: Complaints, httpserver: HTTPServer
) -> None:
    html = "<img src='http://elsewhere.example/pixel.png'>"
    httpserver.expect_request("/").respond_with_data(html, content_type="text/html")
    page.goto(httpserver.url_for("/"))
    assert any(complaint.startswith("third party: http://elsewhere.example") for complaint in heard.heard)


def test_a_quiet_page_raises_no_complaint(page: Page, heard: Complaints, httpserver: HTTPServer) -> None:
    html = "<title>x</title><link rel=icon href='data:,'><p>hello"
    httpserver.expect_request("/").respond_with_data(html, content_type="text/html")
    page.goto(httpserver.url_for("/"))
    assert heard.heard == []
