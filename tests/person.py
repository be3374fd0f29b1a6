"""A person with a browser and no JavaScript: follows redirects, fills in login forms, keeps cookies."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import urljoin, urlsplit

import httpx


@dataclass
class Form:
    """A form of a page."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)


class Forms(HTMLParser):
    """All forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(named.get("action", "")))
        elif tag in ("input", "button") and self.found and "name" in named:
            self.found[-1].fields[named["name"]] = named.get("value", "")
            self.found[-1].kinds[named["name"]] = named.get("type", "text")


class PersonAtBrowser:
    """Cookies are kept per host, not per port, as browsers do; Secure ones also go to http on loopback."""

    def __init__(self) -> None:
        self._client = httpx.Client(timeout=20, trust_env=False)
        self._cookies: dict[str, dict[str, str]] = {}
        self.page = httpx.Response(200, request=httpx.Request("GET", "http://nowhere.test"))

    def go(self, url: str, *, follow: bool = True) -> httpx.Response:
        """Open an address, and follow where it leads."""
        self.page = self._send("GET", url, None)
        while follow and self.page.is_redirect:
            self.page = self._send("GET", urljoin(str(self.page.url), self.page.headers["Location"]), None)
        return self.page

    def sign_in_here(self, login: str, password: str) -> httpx.Response:
        """Fill in the login form of the page shown, and follow where that leads."""
        form = next(form for form in self._forms() if "password" in form.kinds.values())
        return self._submit(form, login, password)

    def asked_to_sign_in(self) -> bool:
        """Whether the page shown wants a password."""
        return any("password" in form.kinds.values() for form in self._forms())

    def press(self, url: str, fields: dict[str, str]) -> httpx.Response:
        """Send a form to an address, and follow where that leads."""
        self.page = self._send("POST", url, fields)
        while self.page.is_redirect:
            self.page = self._send("GET", urljoin(str(self.page.url), self.page.headers["Location"]), None)
        return self.page

    def fill_in(self, action: str, fields: dict[str, str]) -> httpx.Response:
        """Fill in the form of the page shown that is sent to `action`, and follow where that leads."""
        form = next(form for form in self._forms() if form.action == action)
        return self.press(urljoin(str(self.page.url), action), {**form.fields, **fields})

    def cookie(self, url: str, name: str) -> str:
        """What the site of `url` has set under `name`."""
        return self._cookies[urlsplit(url).hostname or ""][name]

    def press_first_form(self) -> httpx.Response:
        """Send the first form of the page shown as it is."""
        form = self._forms()[0]
        return self.press(urljoin(str(self.page.url), form.action), form.fields)

    def close(self) -> None:
        """Close the browser."""
        self._client.close()

    def _forms(self) -> list[Form]:
        parser = Forms()
        parser.feed(self.page.text)
        return parser.found

    def _submit(self, form: Form, login: str, password: str) -> httpx.Response:
        fields = dict(form.fields)
        for name, kind in form.kinds.items():
            if kind == "password":
                fields[name] = password
            elif kind in ("text", "email") and name in ("login", "username"):
                fields[name] = login
        return self.press(urljoin(str(self.page.url), form.action), fields)

    def _send(self, method: str, url: str, fields: dict[str, str] | None) -> httpx.Response:
        parts = urlsplit(url)
        kept = self._cookies.setdefault(parts.hostname or "", {})
        headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
        if kept:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in kept.items())
        if method == "POST":
            headers["Origin"] = f"{parts.scheme}://{parts.netloc}"
        answer = self._client.request(method, url, data=fields, headers=headers)
        self._client.cookies.clear()
        for header in answer.headers.get_list("Set-Cookie"):
            for name, morsel in SimpleCookie(header).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    kept.pop(name, None)
                else:
                    kept[name] = morsel.value
        return answer
