"""A service that checks by itself who asks: it verifies the gateway's passport.

    pip install "pyjwt[crypto]"
    python service.py            # listens on 127.0.0.1:9001

The gateway needs `[identity] passport = { key = "passport.pem" }`; its admin publishes the public keys.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

# Asks again for a key that it does not know.
KEYS = jwt.PyJWKClient("http://127.0.0.1:9901/jwks.json", lifespan=60, timeout=2)
SERVICE = "orders"  # the upstream's name in the gateway's configuration: what `aud` must be


def who_asks(passport):
    """The claims of a passport that holds, or None."""
    try:
        if jwt.get_unverified_header(passport).get("typ") != "passport+jwt":
            return None  # another token, whoever signed it
        key = KEYS.get_signing_key_from_jwt(passport)
        return jwt.decode(
            passport,
            key.key,
            algorithms=["EdDSA", "ES256"],
            audience=SERVICE,
            issuer="gateway",
            leeway=5,
            options={"require": ["exp", "iat", "aud", "iss"]},
        )
    except jwt.PyJWTError:
        return None


class Orders(BaseHTTPRequestHandler):
    def do_GET(self):
        claims = who_asks(self.headers.get("x-auth-passport", ""))
        status, answer = (200, {"for": claims.get("sub")}) if claims else (401, {"error": "no passport"})
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 9001), Orders).serve_forever()
