"""Writes realm.json beside this file: the portal's client, its claims and the people of the tests."""

import json
from pathlib import Path

PASSWORD = "demo"
# Who they are is told in docs/demo.md: login, given name, family name, role, pharmacy, FHIR id of the patient.
PEOPLE = (
    ("alice", "Alice", "Larkin", "patient", None, "alice"),
    ("dave", "Dave", "Larsen", "patient", None, "dave"),
    ("bob", "Bob", "Miller", "pharmacist", "riverside", None),
    ("erin", "Erin", "Walsh", "pharmacist", "riverside", None),
    ("frank", "Frank", "Osei", "technician", "riverside", None),
    ("grace", "Grace", "Kim", "supervisor", "riverside", None),
    ("heidi", "Heidi", "Vogel", "privacy", "riverside", None),
    ("carol", "Carol", "Reyes", "pharmacist", "harbor", None),
    ("ivan", "Ivan", "Petrov", "operator", None, None),
    # Signs in, but has a role the portal does not know: gets nothing.
    ("mallory", "Mallory", "Stone", "astronaut", "riverside", None),
)
ROLES = ("patient", "pharmacist", "technician", "supervisor", "privacy", "operator", "astronaut")
EVERYWHERE = {"id.token.claim": "true", "access.token.claim": "true", "userinfo.token.claim": "true"}


def user(
    login: str, given: str, family: str, role: str, pharmacy: str | None, patient: str | None
) -> dict[str, object]:
    """One account with its role and attributes."""
    attributes = {"pharmacy": [pharmacy] if pharmacy else [], "patient": [patient] if patient else []}
    return {
        "username": login,
        "enabled": True,
        "emailVerified": True,
        "email": f"{login}@example.test",
        "firstName": given,
        "lastName": family,
        "attributes": {name: values for name, values in attributes.items() if values},
        "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
        "realmRoles": [role],
    }


def attribute_claim(name: str) -> dict[str, object]:
    """A claim taken from a user's attribute of the same name."""
    config = {"claim.name": name, "user.attribute": name, "jsonType.label": "String", **EVERYWHERE}
    mapper = "oidc-usermodel-attribute-mapper"
    return {"name": name, "protocol": "openid-connect", "protocolMapper": mapper, "config": config}


def realm() -> dict[str, object]:
    """The whole realm. http://portal.invalid is replaced by the portal's address when Keycloak starts."""
    roles_config = {"claim.name": "roles", "jsonType.label": "String", "multivalued": "true", **EVERYWHERE}
    client = {
        "clientId": "portal",
        "enabled": True,
        "protocol": "openid-connect",
        "publicClient": False,
        "secret": "portal-test-secret",
        "standardFlowEnabled": True,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        # Tests start portals on free ports. Keycloak takes a star at the end only, so it covers port and path.
        "redirectUris": ["http://127.0.0.1:*", "http://localhost:*"],
        "attributes": {
            "pkce.code.challenge.method": "S256",
            "post.logout.redirect.uris": "http://127.0.0.1:*##http://localhost:*",
            "backchannel.logout.url": "http://portal.invalid/login/backchannel",
            "backchannel.logout.session.required": "true",
        },
        "protocolMappers": [
            {
                "name": "roles",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-usermodel-realm-role-mapper",
                "config": roles_config,
            },
            attribute_claim("pharmacy"),
            attribute_claim("patient"),
        ],
    }
    return {
        "realm": "pharmacy",
        "enabled": True,
        "sslRequired": "none",
        "registrationAllowed": False,
        "bruteForceProtected": True,
        "accessTokenLifespan": 300,
        "roles": {"realm": [{"name": role} for role in ROLES]},
        "clients": [client],
        "users": [user(*person) for person in PEOPLE],
        "components": {
            "org.keycloak.userprofile.UserProfileProvider": [
                {
                    "providerId": "declarative-user-profile",
                    "config": {"kc.user.profile.config": [json.dumps(profile())]},
                }
            ]
        },
    }


def profile() -> dict[str, object]:
    """The attributes an account may have; Keycloak drops what it does not know."""
    names = ("username", "email", "firstName", "lastName", "pharmacy", "patient")
    may = {"view": ["admin", "user"], "edit": ["admin"]}
    return {"attributes": [{"name": name, "permissions": may, "validations": {}} for name in names]}


if __name__ == "__main__":
    path = Path(__file__).parent / "realm.json"
    path.write_text(json.dumps(realm(), indent=1) + "\n", "utf-8")
