"""Who is let in by what a load balancer says, and who is not by what somebody else says."""

import base64
import json
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from charging.service.settings import SettingError
from operations import people
from operations.console.app import create_app
from operations.console.balancer_sign_in import HEADERS, BalancerSignIn, Vouched
from operations.console.services import services
from operations.console.settings import Settings
from operations.people import NotAllowedError, Role
from tests.operations.console.visitor import TESTER, Visitor

REGION = "eu-central-1"
SIGNER = f"arn:aws:elasticloadbalancing:{REGION}:111122223333:loadbalancer/app/console/0123"
ISSUER = f"https://cognito-idp.{REGION}.amazonaws.com/{REGION}_Pool"
CLIENT = "client0"
KEY_ID = "01234567-89ab-cdef-0123-456789abcdef"
SETTINGS = Settings(
    oidc_signer=SIGNER,
    oidc_issuer=ISSUER,
    oidc_client=CLIENT,
    oidc_sign_out="https://pool.example/logout?client_id=client0",
    secure=True,
)
BALANCERS_KEY = f"https://public-keys.auth.elb.{REGION}.amazonaws.com/{KEY_ID}"
ISSUERS_KEYS = f"{ISSUER}/.well-known/jwks.json"


@pytest.fixture(scope="module")
def keys():
    """The load balancer's, the issuer's, and somebody else's of both kinds."""
    return {
        "balancer": ec.generate_private_key(ec.SECP256R1()),
        "issuer": rsa.generate_private_key(65537, 2048),
        "other": ec.generate_private_key(ec.SECP256R1()),
        "another": rsa.generate_private_key(65537, 2048),
    }


def encoded(content, pad):
    text = base64.urlsafe_b64encode(content).decode()
    return text if pad else text.rstrip("=")


def jwt(key, header, claims, *, pad):
    """A token that a key signs: of the load balancer with padding, of others without."""
    parts = [encoded(json.dumps(part).encode(), pad) for part in (header, claims)]
    signed = ".".join(parts).encode()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    else:
        signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return ".".join([*parts, encoded(signature, pad)])


class Says:
    """What a load balancer says of somebody; each part can be another."""

    def __init__(self, keys):
        self.keys = keys
        self.signed_by, self.granted_by = "balancer", "issuer"
        self.header = {
            "typ": "JWT",
            "alg": "ES256",
            "kid": KEY_ID,
            "signer": SIGNER,
            "iss": ISSUER,
            "client": CLIENT,
            "exp": int(time.time()) + 120,
        }
        self.claims = {"sub": "s1", "email": "Anna@example.com", "email_verified": "true"}
        self.grants = {
            "sub": "s1",
            "iss": ISSUER,
            "client_id": CLIENT,
            "token_use": "access",
            "exp": int(time.time()) + 3600,
            "cognito:groups": ["developers", "observers"],
        }

    def headers(self):
        return {
            HEADERS[0]: jwt(self.keys[self.signed_by], self.header, self.claims, pad=True),
            HEADERS[1]: jwt(
                self.keys[self.granted_by],
                {"alg": "RS256", "kid": "k1+/="},
                self.grants,
                pad=False,
            ),
        }


@pytest.fixture
def says(keys):
    return Says(keys)


@pytest.fixture
def fetched():
    return []


@pytest.fixture
def fetch(keys, fetched):
    """What stands at the addresses of the load balancer's keys and of the issuer's."""
    numbers = keys["issuer"].public_key().public_numbers()
    issuers = {
        "kid": "k1+/=",
        "kty": "RSA",
        "e": encoded(numbers.e.to_bytes(3, "big"), False),
        "n": encoded(numbers.n.to_bytes(256, "big"), False),
    }
    pages = {
        BALANCERS_KEY: keys["balancer"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        ISSUERS_KEYS: json.dumps({"keys": [{"kid": "k0", "kty": "EC"}, issuers]}).encode(),
    }

    def get(address):
        fetched.append(address)
        if address not in pages:
            raise OSError(address)
        return pages[address]

    return get


@pytest.fixture
def sign_in(fetch):
    return BalancerSignIn(SETTINGS, fetch)


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["observers"], Role.OBSERVER),
        (["observers", "developers"], Role.OPERATOR),
        (["others", "administrators", "observers"], Role.ADMINISTRATOR),
    ],
)
def test_the_groups_of_the_provider_are_roles(sign_in, says, fetched, groups, role):
    says.grants["cognito:groups"] = groups
    assert sign_in.person(*says.headers().values()) == Vouched("anna@example.com", role)
    sign_in.person(*says.headers().values())
    assert fetched == [BALANCERS_KEY, ISSUERS_KEYS]


def changed(where, **values):
    return lambda says: getattr(says, where).update(values)


def without(where, name):
    return lambda says: getattr(says, where).pop(name)


WRONG = {
    "signed by somebody": lambda says: setattr(says, "signed_by", "other"),
    "granted by somebody": lambda says: setattr(says, "granted_by", "another"),
    "another load balancer": changed("header", signer=SIGNER[:-1] + "4"),
    "another issuer": changed("header", iss=ISSUER + "x"),
    "another client": changed("header", client="client1"),
    "no signature asked for": changed("header", alg="none"),
    "another algorithm": changed("header", alg="HS256"),
    "ended": changed("header", exp=int(time.time()) - 60),
    "without an end": without("header", "exp"),
    "an end that is none": changed("header", exp=True),
    "a key elsewhere": changed("header", kid="../../evil"),
    "a key that is not there": changed("header", kid=KEY_ID.replace("0", "f")),
    "without a key": without("header", "kid"),
    "of two people": changed("grants", sub="s2"),
    "of nobody": lambda says: (says.claims.pop("sub"), says.grants.pop("sub")),
    "granted elsewhere": changed("grants", iss="https://evil.example"),
    "granted to another": changed("grants", client_id="client1"),
    "an identity, no grant": changed("grants", token_use="id"),
    "a grant that ended": changed("grants", exp=int(time.time()) - 60),
    "in no group": without("grants", "cognito:groups"),
    "in another group": changed("grants", **{"cognito:groups": "administrators"}),
    "an address that nobody verified": changed("claims", email_verified="false"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_certain_lets_nobody_in(sign_in, says, wrong):
    WRONG[wrong](says)
    with pytest.raises(NotAllowedError):
        sign_in.person(*says.headers().values())


@pytest.mark.parametrize("junk", ["", "a", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "x" * 20_000])
def test_what_is_no_token_lets_nobody_in(sign_in, says, junk):
    good = says.headers()
    for headers in ({**good, HEADERS[0]: junk}, {**good, HEADERS[1]: junk}):
        with pytest.raises(NotAllowedError):
            sign_in.person(*headers.values())


def test_a_changed_claim_is_noticed(sign_in, says):
    headers = says.headers()
    parts = headers[HEADERS[0]].split(".")
    parts[1] = encoded(json.dumps({**says.claims, "email": "eve@example.com"}).encode(), True)
    with pytest.raises(NotAllowedError, match="not signed by the load balancer"):
        sign_in.person(".".join(parts), headers[HEADERS[1]])


def test_a_key_that_is_not_there_is_not_fetched_for_each_request(sign_in, says, fetched):
    says.header["kid"] = KEY_ID.replace("0", "f")
    for _ in range(3):
        with pytest.raises(NotAllowedError):
            sign_in.person(*says.headers().values())
    assert len(fetched) == 1


@pytest.mark.parametrize(
    "settings",
    [
        Settings(oidc_signer="arn:aws:elasticloadbalancing:x"),
        Settings(oidc_signer=SIGNER),
        Settings(oidc_signer=SIGNER, oidc_issuer="http://plain.example", oidc_client="c"),
    ],
)
def test_settings_that_do_not_go_together(settings):
    with pytest.raises(SettingError):
        BalancerSignIn(settings)


# --- the console behind it ------------------------------------------------------------------


@pytest.fixture
def behind(database_url, database, sign_in):
    """The console where a load balancer signs people in."""
    app = create_app(SETTINGS, database_url)
    services(app).balancer = sign_in
    yield app
    services(app).close()


def test_whom_it_has_signed_in_comes_in_without_a_password(behind, database, says):
    anna = Visitor(behind)
    led = anna.get("/charging-points", **says.headers())
    assert led.location == "/sign-in?next=/charging-points"
    entered = anna.get(led.location, **says.headers())
    assert entered.location == "/charging-points"
    # The request comes by way of the provider's site: with Strict the browser would be led around.
    assert "SameSite=Lax" in entered.headers["Set-Cookie"]
    cookie = entered.headers["Set-Cookie"].split(";")[0]
    page = anna.client.get("/charging-points", headers={**says.headers(), "Cookie": cookie})
    assert page.status_code == 200
    assert "anna@example.com" in page.text
    (row,) = database.execute("SELECT person, role, password_hash FROM people").fetchall()
    assert row == ("anna@example.com", "operator", None)

    # A cookie alone is nobody's, and neither is it another's.
    assert anna.client.get("/charging-points", headers={"Cookie": cookie}).status_code == 403
    says.claims |= {"sub": "s2", "email": "bob@example.com"}
    says.grants["sub"] = "s2"
    other = anna.client.get("/charging-points", headers={**says.headers(), "Cookie": cookie})
    assert other.status_code == 302

    # Who has another role now, comes in anew with that.
    says.claims |= {"sub": "s1", "email": "anna@example.com"}
    says.grants |= {"sub": "s1", "cognito:groups": ["observers"]}
    less = anna.client.get("/charging-points", headers={**says.headers(), "Cookie": cookie})
    assert less.status_code == 302
    anna.get("/sign-in", **says.headers())
    assert database.execute("SELECT role FROM people").fetchone() == ("observer",)


def test_nobody_else_comes_in(behind, database, says):
    password = people.add(database, "local", "administrator", by=TESTER)
    assert Visitor(behind).post("/sign-in", name="local", password=password).status_code == 403
    assert Visitor(behind).get("/sign-in").status_code == 403
    # Neither under the name of an account with a password, nor with one that was disabled.
    people.add(database, "anna@example.com", "observer", by=TESTER)
    assert Visitor(behind).get("/sign-in", **says.headers()).status_code == 403
    says.claims["email"] = "bob@example.com"
    assert Visitor(behind).get("/sign-in", **says.headers()).status_code == 302
    people.set_disabled(database, "bob@example.com", True, by=TESTER)
    assert Visitor(behind).get("/sign-in", **says.headers()).status_code == 403
    assert Visitor(behind).get("/health/live").status_code == 200


def test_signing_out_ends_the_load_balancers_session_too(behind, says):
    anna = Visitor(behind)
    cookie = anna.get("/sign-in", **says.headers()).headers["Set-Cookie"].split(";")[0]
    headers = {**says.headers(), "Cookie": cookie}
    page = anna._kept(anna.client.get("/", headers=headers))
    assert "form-action 'self' https://pool.example;" in page.headers["Content-Security-Policy"]
    left = anna.client.post("/sign-out", data={"form_token": anna.form_token}, headers=headers)
    assert left.location == SETTINGS.oidc_sign_out
    ended = [c for c in left.headers.getlist("Set-Cookie") if "Expires=Thu, 01 Jan 1970" in c]
    assert {c.split("=")[0] for c in ended} >= {"__Host-console", "AWSELBAuthSessionCookie-0"}
