"""The provider as a Flask app of its own, with its own file, port, cookies and pages."""

# Authlib carries no types of its own.
# mypy: disable-error-code="no-untyped-call"

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from authlib.oauth2 import OAuth2Error
from authlib.oidc.core.errors import LoginRequiredError
from flask import Blueprint, Flask, Response, current_app, jsonify, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from portal.core import clock, ids, resources, texts
from portal.core.settings import Settings, UnsafeSettings
from portal.demo.idp.browsers import (
    BROWSER_COOKIE,
    BROWSER_LIFE,
    SESSION_COOKIE,
    SESSION_LIFE,
    Forms,
    Herald,
    Sessions,
    set_cookie,
)
from portal.demo.idp.keys import ALGORITHM, Keys
from portal.demo.idp.passwords import Passwords, TooSoon
from portal.demo.idp.people import DemoAccount, Person
from portal.demo.idp.server import SCOPES, Client, Server
from portal.demo.idp.store import open_store

blueprint = Blueprint("idp", __name__)
REQUEST_LIMIT = 64 * 1024
# The parameters of an authorization request that the login form carries on.
CARRIED = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "ui_locales",
    "acr_values",
    "login_hint",
)


@dataclass
class Idp:
    """Everything of the provider that outlives a request."""

    issuer: str
    people: dict[str, DemoAccount]
    keys: Keys
    passwords: Passwords
    sessions: Sessions
    forms: Forms
    herald: Herald
    server: Server
    portal_origin: str
    secure: bool
    password: str
    passphrase: str | None


def create_idp(
    settings: Settings,
    *,
    database_path: str,
    base_url: str,
    portal_origin: str,
    accounts: list[DemoAccount],
    password: str = "demo",  # noqa: S107  the demo prints it, and nothing of the demo exists in production
    passphrase: str | None = None,
) -> Flask:
    """Make the provider for one portal.

    `base_url` is its issuer, `portal_origin` where the portal's callback lies; client id and secret are the portal's
    own settings; `passphrase`, what opens the keys of the demo's people, is shown beside the
    password. Raises UnsafeSettings under PORTAL_ENV=production.
    """
    if settings.production:
        raise UnsafeSettings(["the embedded identity provider is for demonstrations only"])
    app = Flask("portal_idp", template_folder=str(resources.directory("templates")), static_folder=None)
    app.config.update(
        SECRET_KEY=ids.token(),
        MAX_CONTENT_LENGTH=REQUEST_LIMIT,
        OAUTH2_SCOPES_SUPPORTED=list(SCOPES),
        OAUTH2_TOKEN_EXPIRES_IN={"authorization_code": 300},
        TRUSTED_HOSTS=[urlsplit(base_url).hostname or "localhost", "127.0.0.1"],
    )
    store = open_store(database_path)
    issuer, people, keys = base_url.rstrip("/"), {one.login: one for one in accounts}, Keys(store)
    client = Client(
        client_id=settings.oidc_client_id,
        secret=settings.oidc_client_secret,
        redirect_uri=portal_origin + "/login/callback",
        post_logout_redirect_uri=portal_origin + "/logged-out",
        backchannel_logout_uri=portal_origin + "/login/backchannel",
    )
    server = Server(app, issuer=issuer, client=client, store=store, keys=keys)
    server.people = people
    app.extensions["idp"] = Idp(
        issuer=issuer,
        people=people,
        keys=keys,
        passwords=Passwords(store, frozenset(people), password),
        sessions=Sessions(store, people),
        forms=Forms(app.config["SECRET_KEY"]),
        herald=Herald(issuer=issuer, client_id=client.client_id, address=client.backchannel_logout_uri, keys=keys),
        server=server,
        portal_origin=portal_origin,
        secure=issuer.startswith("https://"),
        password=password,
        passphrase=passphrase,
    )
    app.register_blueprint(blueprint)
    app.register_error_handler(HTTPException, _plain_error)
    app.after_request(_put_headers)
    return app


def rotate_keys(app: Flask) -> None:
    """Sign with a new key; tokens under the old one stay good until they are old."""
    cast(Idp, app.extensions["idp"]).keys.rotate()


def withdraw_key(app: Flask) -> None:
    """The signing key was lost: it is published no more, and a new one signs."""
    keys = cast(Idp, app.extensions["idp"]).keys
    keys.withdraw(str(keys.signing().kid))


@blueprint.get("/.well-known/openid-configuration")
def discovery() -> ResponseReturnValue:
    """OpenID Connect Discovery 1.0."""
    idp = _idp()
    return jsonify(
        issuer=idp.issuer,
        authorization_endpoint=idp.issuer + "/authorize",
        token_endpoint=idp.issuer + "/token",
        userinfo_endpoint=idp.issuer + "/userinfo",
        jwks_uri=idp.issuer + "/jwks.json",
        end_session_endpoint=idp.issuer + "/logout",
        response_types_supported=["code"],
        response_modes_supported=["query"],
        grant_types_supported=["authorization_code"],
        subject_types_supported=["public"],
        scopes_supported=list(SCOPES),
        claims_supported=["sub", "name", "email", "email_verified", "locale", "roles", "pharmacy", "sid"],
        id_token_signing_alg_values_supported=[ALGORITHM],
        token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
        code_challenge_methods_supported=["S256"],
        prompt_values_supported=["none", "login", "select_account"],
        ui_locales_supported=list(texts.LANGUAGES),
        authorization_response_iss_parameter_supported=True,
        backchannel_logout_supported=True,
        backchannel_logout_session_supported=True,
        claims_parameter_supported=False,
        request_parameter_supported=False,
        request_uri_parameter_supported=False,
    )


@blueprint.get("/jwks.json")
def jwks() -> ResponseReturnValue:
    """The public keys."""
    return jsonify(_idp().keys.published().as_dict(private=False))


@blueprint.get("/authorize")
def authorize() -> ResponseReturnValue:
    """Answer at once for somebody signed in recently enough, else show the login page."""
    idp, person = _idp(), _idp().sessions.current()
    checked = _checked_request(person)
    if not isinstance(checked, _Grant):
        return checked
    if person is not None and not _must_sign_in(person):
        return _give_code(checked, person)
    if "none" in request.args.get("prompt", "").split():
        return _error_to_client(LoginRequiredError(), idp)
    return _login_page()


@blueprint.post("/authorize")
def signed_in() -> ResponseReturnValue:
    """The login form. The address still carries the authorization request."""
    idp, login = _idp(), request.form.get("login", "").strip().lower()[:64]
    browser = request.cookies.get(BROWSER_COOKIE, "")
    if not idp.forms.fits(request.form.get("form", ""), browser):
        return _login_page("idp.expired", status=400)
    checked = _checked_request(None)
    if not isinstance(checked, _Grant):
        return checked
    try:
        right = idp.passwords.check(login, request.form.get("password", ""), browser, request.remote_addr or "")
    except TooSoon as problem:
        page = _login_page("idp.slow", status=429, login=login, seconds=problem.seconds)
        page.headers["Retry-After"] = str(problem.seconds)
        return page
    if not right:
        return _login_page("idp.wrong", status=401, login=login)
    asked = _hinted()
    # Who is to show who they are stays signed in here, though somebody else did; the client decides what it means.
    beside = request.args.get("max_age") == "0" and asked is not None and asked.login != login
    # Where the client asks for the password anyway, several people may be signed in in one browser.
    several = "login" in request.args.get("prompt", "").split()
    cookie, person, ended = idp.sessions.begin(idp.people[login], beside=beside, several=several)
    if ended is not None:
        idp.herald.tell(ended)
    answer = _give_code(checked, person)
    if beside:
        return answer
    set_cookie(answer, SESSION_COOKIE, cookie, SESSION_LIFE, secure=idp.secure)
    return answer


@blueprint.post("/token")
def token() -> ResponseReturnValue:
    """Code for tokens."""
    return cast(Response, _idp().server.create_token_response())


@blueprint.get("/userinfo")
def userinfo() -> ResponseReturnValue:
    """The claims of whoever the access token is for."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    found = _idp().server.bearer(value) if kind.lower() == "bearer" and value else None
    if found is None:
        return jsonify(error="invalid_token"), 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    person, scope = found
    return jsonify(person.claims(scope))


@blueprint.route("/logout", methods=["GET", "POST"])
def logout() -> ResponseReturnValue:
    """RP-initiated logout: at once with a token of ours that names the session, else after a question."""
    idp, person = _idp(), _idp().sessions.current()
    try:
        asked: Any = idp.server.validate_endpoint_request("end_session")
    except OAuth2Error:
        return _bad_request()
    named = (asked.id_token_claims or {}).get("sid")
    if named is None and person is not None:
        browser = request.cookies.get(BROWSER_COOKIE, "")
        if request.method != "POST" or not idp.forms.fits(request.form.get("form", ""), browser):
            return _page("idp/logout.html", ask=True)
        named = person.sid
    ended = idp.sessions.end(named) if named else None
    if ended is not None:
        idp.herald.tell(ended)
    answer = redirect(asked.redirect_uri, 303) if asked.redirect_uri else _page("idp/logout.html", ask=False)
    answer.delete_cookie(SESSION_COOKIE, path="/")
    return answer


@blueprint.get("/idp.css")
def style() -> ResponseReturnValue:
    """The pages' looks."""
    answer = make_response(render_template("idp/style.css"))
    answer.content_type = "text/css; charset=utf-8"
    return answer


@dataclass(frozen=True)
class _Grant:
    """An authorization request that Authlib found right."""

    grant: Any


def _checked_request(person: Person | None) -> _Grant | AnyResponse:
    idp = _idp()
    repeated = [name for name in CARRIED if len(request.args.getlist(name)) > 1]
    # Nobody is sent anywhere before client and address are known to be registered (RFC 9700 section 4.11).
    if (
        repeated
        or request.args.get("client_id") != idp.server.client.client_id
        or not idp.server.client.check_redirect_uri(request.args.get("redirect_uri", ""))
    ):
        return _bad_request()
    if "request" in request.args or "request_uri" in request.args:
        return _error_to_client(OAuth2Error(error="request_not_supported"), idp)
    if not request.args.get("max_age", "0").isdigit() or len(request.args.get("max_age", "")) > 9:
        return _error_to_client(OAuth2Error(error="invalid_request"), idp)
    try:
        return _Grant(idp.server.get_consent_grant(end_user=person))
    except OAuth2Error as problem:
        return _error_to_client(problem, idp)


def _must_sign_in(person: Person) -> bool:
    prompts = request.args.get("prompt", "").split()
    max_age = request.args.get("max_age")
    too_old = max_age is not None and clock.now().timestamp() - person.auth_time > int(max_age)
    # max_age=0 always means now, also within the second of the last login.
    return "login" in prompts or "select_account" in prompts or too_old or max_age == "0"


def _give_code(checked: _Grant, person: Person) -> AnyResponse:
    answer = cast(Response, _idp().server.create_authorization_response(grant=checked.grant, grant_user=person))
    # 303, so that no browser posts the password on to the portal (RFC 9700 section 4.12).
    answer.status_code = 303
    return answer


def _error_to_client(problem: OAuth2Error, idp: Idp) -> AnyResponse:
    said = {"error": problem.error, "iss": idp.issuer}
    if request.args.get("state"):
        said["state"] = request.args["state"]
    return redirect(idp.server.client.redirect_uri + "?" + urlencode(said), 303)


def _login_page(problem: str | None = None, *, status: int = 200, login: str = "", **values: Any) -> Response:
    idp = _idp()
    hint, named = request.args.get("login_hint", ""), _hinted()
    return _page(
        "idp/login.html",
        status,
        problem=texts.get(problem, _language(), **values) if problem else None,
        login=login or (named.login if named is not None else hint[:64]),
        again=request.args.get("max_age") == "0",
        named=named.name if named is not None else None,
        passphrase=idp.passphrase,
        people=[(one, _role_key(one)) for one in idp.people.values()],
        password=idp.password,
        other_language="?" + urlencode(_carried() | {"ui_locales": _other_language()}),
    )


def _hinted() -> DemoAccount | None:
    """Whom the client means by login_hint: a login or an address."""
    hint = request.args.get("login_hint", "")
    return next((one for one in _idp().people.values() if hint and hint in (one.login, one.email)), None)


def _role_key(account: DemoAccount) -> str:
    key = f"idp.role.{account.role}"
    return key if key in texts.catalogue(texts.DEFAULT_LANGUAGE) else "idp.role.none"


def _page(template: str, status: int = 200, **values: Any) -> Response:
    idp = _idp()
    browser = request.cookies.get(BROWSER_COOKIE, "")
    fresh = len(browser) != 43
    if fresh:
        browser = ids.token(32)
    page = make_response(
        render_template(
            template,
            lang=_language(),
            t=lambda key, **given: texts.get(key, _language(), **given),
            form=idp.forms.token(browser),
            home=idp.portal_origin,
            **values,
        ),
        status,
    )
    if fresh:
        set_cookie(page, BROWSER_COOKIE, browser, BROWSER_LIFE, secure=idp.secure)
    return page


def _bad_request() -> AnyResponse:
    return _page("idp/bad.html", 400)


def _carried() -> dict[str, str]:
    return {name: request.args[name] for name in CARRIED if name in request.args}


def _language() -> str:
    asked = [one[:2].lower() for one in request.args.get("ui_locales", "").split()]
    known = next((one for one in asked if one in texts.LANGUAGES), None)
    return known or request.accept_languages.best_match(texts.LANGUAGES) or texts.DEFAULT_LANGUAGE


def _other_language() -> str:
    return next(one for one in texts.LANGUAGES if one != _language())


def _plain_error(problem: HTTPException) -> ResponseReturnValue:
    return Response(f"{problem.code} {problem.name}\n", problem.code or 500, content_type="text/plain; charset=utf-8")


def _put_headers(answer: Response) -> Response:
    # A browser holds a form's redirect to form-action too, so the portal stands beside ourselves.
    answer.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {_idp().portal_origin}"
    )
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["X-Frame-Options"] = "DENY"
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def _idp() -> Idp:
    return cast(Idp, current_app.extensions["idp"])
