"""The people and pharmacies of the demo world: who can sign in, who works where, who acts for whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from portal.accounts.roles import Kind, Role
from portal.demo.idp import DemoAccount
from portal.pharmacies.profiles import Profile

PASSWORD = "demo"  # noqa: S105  printed at every start; nothing of the demo exists in production
# Of everybody who is enrolled. No real portal knows a passphrase: it is shown by what is attached to a demo alone.
PASSPHRASE = "river lantern copper meadow violin"  # noqa: S105
WEEK = {day: [["08:00", "19:00"]] for day in ("mon", "tue", "wed", "thu", "fri")} | {"sat": [["09:00", "14:00"]]}
ALWAYS = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}


@dataclass(frozen=True)
class DemoPerson:
    """One login. `patients` maps the sandbox logins of the patients this person acts for to the kind of relation."""

    login: str
    name: str
    role: Role
    pharmacy: str | None = None
    language: str = "en"
    large_text: bool = False
    patients: Mapping[str, Kind] = field(default_factory=dict)
    enrolled: bool = True

    def account(self) -> DemoAccount:
        """The account at the identity provider."""
        second = ("pwd",) if self.role is Role.PATIENT else ("pwd", "otp")
        return DemoAccount(
            login=self.login,
            name=self.name,
            role=self.role.value,
            email=f"{self.login}@demo.example",
            pharmacy=self.pharmacy,
            language=self.language,
            acr="1" if self.role is Role.PATIENT else "2",
            amr=second,
        )


def _patient(login: str, name: str, **more: object) -> DemoPerson:
    return DemoPerson(login, name, Role.PATIENT, patients={login: Kind.SELF}, **more)  # type: ignore[arg-type]


PEOPLE: tuple[DemoPerson, ...] = (
    _patient("alice", "Alice Morgan"),
    _patient("dave", "Dave Novak"),
    _patient("alicia", "Alicia Morgan"),
    _patient("rosa", "Rosa Delgado", language="es", large_text=True, enrolled=False),
    DemoPerson("judy", "Judy Delgado", Role.PATIENT, patients={"judy": Kind.SELF, "rosa": Kind.CHILD}),
    _patient("walt", "Walt Brenner"),
    _patient("peggy", "Peggy Lindqvist"),
    _patient("trent", "Trent Osborne"),
    DemoPerson("nina", "Nina Castillo", Role.PATIENT, patients={"nina": Kind.SELF, "mia": Kind.PARENT}),
    _patient("pat", "Pat Sorensen", enrolled=False),
    DemoPerson("bob", "Bob Rivera", Role.PHARMACIST, "riverside"),
    DemoPerson("erin", "Erin Walsh", Role.PHARMACIST, "riverside"),
    DemoPerson("olivia", "Olivia Park", Role.PHARMACIST, "riverside", enrolled=False),
    DemoPerson("frank", "Frank Weber", Role.TECHNICIAN, "riverside"),
    DemoPerson("grace", "Grace Kim", Role.SUPERVISOR, "riverside"),
    DemoPerson("heidi", "Heidi Stone", Role.PRIVACY, "riverside"),
    DemoPerson("carol", "Carol Jones", Role.PHARMACIST, "harbor"),
    DemoPerson("ivan", "Ivan Petrov", Role.OPERATOR, enrolled=False),
)
# Known to the provider by name and address only: they are somebody here once a pharmacy has invited them.
NEWCOMERS: tuple[DemoAccount, ...] = (
    DemoAccount("oscar", "Oscar Bell", email="oscar@demo.example", acr="2", amr=("pwd", "otp")),
    DemoAccount("ruth", "Ruth Adler", email="ruth@demo.example", acr="2", amr=("pwd", "otp")),
    DemoAccount("luis", "Luis Castillo", Role.PATIENT.value, email="luis@demo.example"),
)
# Who is in whose care; the EHR names the pharmacy as dispenser.
CARE: Mapping[str, tuple[str, ...]] = {
    "alice": ("riverside",),
    "dave": ("riverside",),
    "alicia": ("riverside",),
    "rosa": ("riverside",),
    "judy": ("riverside",),
    "walt": ("riverside",),
    "peggy": ("riverside",),
    "trent": ("riverside",),
    "nina": ("riverside",),
    "mia": ("riverside",),
    "pat": ("riverside",),
    "merged": ("riverside",),
    "deceased": ("riverside",),
}


def pharmacies(today: date) -> tuple[Profile, ...]:
    """The pharmacies, with one holiday next week at Riverside."""
    holiday = today + timedelta(days=7 - today.weekday() + 2)
    return (
        Profile(
            id="riverside",
            name="Riverside Pharmacy",
            address="12 Mill Lane",
            phone="+1 555 0100",
            on_call_phone="+1 555 0101",
            country="US",
            time_zone="America/Chicago",
            languages=("en", "es"),
            week=WEEK,
            holidays={holiday: "Founders' Day"},
            licence={
                "number": "RX-10442",
                "authority": "State board of pharmacy",
                "url": "https://registers.example/pharmacies/RX-10442",
            },
        ),
        Profile(
            id="harbor",
            name="Harbor Pharmacy",
            address="1 Quay Street",
            phone="+1 555 0200",
            country="US",
            time_zone="America/New_York",
            languages=("en",),
            week=ALWAYS,
        ),
        Profile(
            id="newtown",
            name="Newtown Pharmacy",
            address="4 Station Road",
            phone="+1 555 0300",
            country="US",
            time_zone="America/Chicago",
            languages=("en",),
        ),
    )
