"""SMART Backend Services: our signature, the one token that everybody shares, and where it may be fetched."""

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import parse_qs

import pytest
from ehr_answers import fhir
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from portal.core import clock
from portal.ehr.client import EhrClient, EhrConnection
from portal.ehr.errors import EhrProtocolError, EhrRefused, EhrUnavailable, ProtocolFault
from portal.ehr.smart import Algorithm, BackendServices, ClientKey, origin

Answer = Callable[..., None]
ALICE = {"resourceType": "Patient", "id": "alice"}
KEYS = {
    Algorithm.RS384: ClientKey(RSAKey.generate_key(2048).as_pem(private=True).decode(), "rsa-1", Algorithm.RS384),
    Algorithm.ES384: ClientKey(ECKey.generate_key("P-384").as_pem(private=True).decode(), "ec-1", Algorithm.ES384),
}


class TokenServer:
    """Counts and checks what it is asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.assertions: list[str] = []
        self.answer: dict[str, object] = {"access_token": "t-1", "token_type": "bearer", "expires_in": 300}
        self.status = 200

    def __call__(self, request: Request) -> Response:
        form = parse_qs(request.get_data(as_text=True))
        assert form["grant_type"] == ["client_credentials"]
        assert form["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
        assert form["scope"] == ["system/*.rs"]
        self.assertions.append(form["client_assertion"][0])
        return Response(json.dumps(self.answer), self.status, content_type="application/json")


@pytest.fixture
def tokens(httpserver: HTTPServer) -> TokenServer:
    server = TokenServer(httpserver.url_for("/auth/token"))
    httpserver.expect_request("/auth/token", method="POST").respond_with_handler(server)
    return server


@pytest.fixture
def discovered(answer: Answer, tokens: TokenServer) -> TokenServer:
    answer("/.well-known/smart-configuration", fhir({"token_endpoint": tokens.url}))
    return tokens


@pytest.fixture(params=list(Algorithm))
def key(request: pytest.FixtureRequest) -> ClientKey:
    found: ClientKey = KEYS[request.param]
    return found


@pytest.fixture
def signed_in(httpserver: HTTPServer) -> Iterator[EhrClient]:
    auth = BackendServices(client_id="portal", key=KEYS[Algorithm.ES384])
    client = EhrClient(EhrConnection(httpserver.url_for("/fhir"), auth=auth), pause=lambda seconds: None)
    yield client
    client.close()


def test_the_assertion_says_who_we_are_briefly_and_once(key: ClientKey) -> None:
    first, second = (key.assertion("portal", "https://ehr.example/token") for _ in range(2))
    public = (RSAKey if key.algorithm is Algorithm.RS384 else ECKey).import_key(key.public_jwk())
    one, other = (jwt.decode(text, public, algorithms=[str(key.algorithm)]) for text in (first, second))
    assert one.header == {"alg": str(key.algorithm), "kid": key.kid, "typ": "JWT"}
    assert (one.claims["iss"], one.claims["sub"], one.claims["aud"]) == (
        "portal",
        "portal",
        "https://ehr.example/token",
    )
    assert 0 < one.claims["exp"] - one.claims["iat"] <= 300
    assert abs(one.claims["iat"] - clock.now().timestamp()) < 5
    assert one.claims["jti"] != other.claims["jti"]


def test_the_public_key_holds_no_secret(key: ClientKey) -> None:
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.public_jwk().keys()
    assert key.pem not in repr(key)


def test_a_key_of_the_wrong_curve_is_refused() -> None:
    wrong = ClientKey(ECKey.generate_key("P-256").as_pem(private=True).decode(), "ec-2", Algorithm.ES384)
    with pytest.raises(ValueError, match="P-384"):
        BackendServices(client_id="portal", key=wrong)


def test_a_token_is_fetched_once_and_used_until_it_ends(
    signed_in: EhrClient, discovered: TokenServer, answer: Answer, httpserver: HTTPServer
) -> None:
    answer("/Patient/alice", fhir(ALICE))
    for _ in range(3):
        signed_in.read("Patient", "alice")
    assert len(discovered.assertions) == 1
    assert httpserver.log[-1][0].headers["Authorization"] == "Bearer t-1"
    clock.shift(timedelta(seconds=271))
    signed_in.read("Patient", "alice")
    assert len(discovered.assertions) == 2


def test_twenty_threads_with_no_token_make_one_token_call(
    signed_in: EhrClient, discovered: TokenServer, answer: Answer
) -> None:
    for name in range(20):
        answer(f"/Patient/p{name}", fhir({"resourceType": "Patient", "id": f"p{name}"}))
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda name: signed_in.read("Patient", f"p{name}"), range(20)))
    assert len(discovered.assertions) == 1


def test_a_token_that_the_ehr_ended_early_is_renewed_once(
    signed_in: EhrClient, discovered: TokenServer, answer: Answer
) -> None:
    def serve(request: Request) -> Response:
        return fhir(ALICE) if request.headers["Authorization"] == "Bearer t-2" else fhir({}, 401)

    answer("/Patient/alice", serve)
    with pytest.raises(EhrRefused):
        signed_in.read("Patient", "alice")
    discovered.answer["access_token"] = "t-2"
    assert signed_in.read("Patient", "alice") == ALICE
    jtis = [json.loads(base64.urlsafe_b64decode(one.split(".")[1] + "=="))["jti"] for one in discovered.assertions]
    assert len(set(jtis)) == len(jtis)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://evil.example/token",
        "javascript:alert(1)",
        7,
        None,
        "http://user@localhost/token",
        "http://localhost:1/t",
    ],
)
def test_a_token_address_on_another_origin_is_refused(
    signed_in: EhrClient, answer: Answer, httpserver: HTTPServer, endpoint: object
) -> None:
    answer("/.well-known/smart-configuration", fhir({"token_endpoint": endpoint}))
    with pytest.raises(EhrProtocolError) as caught:
        signed_in.read("Patient", "alice")
    assert caught.value.fault is ProtocolFault.DISCOVERY
    assert [request.path for request, _ in httpserver.log] == ["/fhir/.well-known/smart-configuration"]


def test_a_foreign_token_address_is_used_once_an_operator_named_it(
    httpserver: HTTPServer, tokens: TokenServer, answer: Answer
) -> None:
    other_name = tokens.url.replace("localhost", "127.0.0.1")
    answer("/.well-known/smart-configuration", fhir({"token_endpoint": other_name}))
    answer("/Patient/alice", fhir(ALICE))
    origins = frozenset({origin(other_name)})
    auth = BackendServices(client_id="portal", key=KEYS[Algorithm.RS384], token_origins=origins)
    client = EhrClient(EhrConnection(httpserver.url_for("/fhir"), auth=auth))
    assert client.read("Patient", "alice") == ALICE
    client.close()


@pytest.mark.parametrize(
    "said",
    [
        {"token_type": "bearer"},
        {"access_token": "t\r\nX: y", "token_type": "bearer"},
        {"access_token": "t", "token_type": "mac"},
        {"access_token": 5, "token_type": "bearer"},
        {"access_token": "tö", "token_type": "bearer"},
    ],
)
def test_a_token_answer_that_makes_no_sense_is_refused(
    signed_in: EhrClient, discovered: TokenServer, said: dict[str, object]
) -> None:
    discovered.answer = said
    with pytest.raises(EhrProtocolError) as caught:
        signed_in.read("Patient", "alice")
    assert caught.value.fault is ProtocolFault.TOKEN


def test_a_token_server_that_is_down_or_says_no(signed_in: EhrClient, discovered: TokenServer) -> None:
    discovered.status = 503
    with pytest.raises(EhrUnavailable):
        signed_in.read("Patient", "alice")
    discovered.status = 400
    with pytest.raises(EhrRefused):
        signed_in.read("Patient", "alice")


def test_no_secret_is_in_any_error(signed_in: EhrClient, discovered: TokenServer) -> None:
    discovered.status = 400
    with pytest.raises(EhrRefused) as caught:
        signed_in.read("Patient", "alice")
    said = repr(caught.value) + str(caught.value.extra)
    assert discovered.assertions[0] not in said
    assert "t-1" not in said
