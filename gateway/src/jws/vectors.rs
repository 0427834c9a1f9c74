//! Vectors that others made (RFC 7515, appendix A; RFC 8037, appendix A), and another library as oracle.

use serde_json::{Value, json};

use super::samples;
use super::{Algorithm, Key, KeySet, verify};

fn holds(jwk: &Value, token: &str) -> bool {
    let keys = KeySet::single(Key::from_jwk(jwk).expect("a key"));
    verify(token.as_bytes(), &keys, Algorithm::ALL, 8192).is_ok()
}

#[test]
fn the_examples_of_the_standards_hold() {
    // RFC 7515, A.3: with the private half, as it is printed there.
    let es256 = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    });
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert!(holds(&es256, &format!("eyJhbGciOiJFUzI1NiJ9.{payload}.{signature}")));
    // RFC 7515, A.5: not secured.
    assert!(!holds(&es256, &format!("eyJhbGciOiJub25lIn0.{payload}.")));
    // RFC 8037, A.4.
    let ed25519 = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let token = format!("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.{signature}");
    assert!(holds(&ed25519, &token));
}

#[test]
fn another_library_takes_what_we_take() {
    for algorithm in Algorithm::ALL {
        let Ok(theirs) = algorithm.as_str().parse::<jsonwebtoken::Algorithm>() else { continue };
        let mut jwk = samples::jwk(*algorithm);
        let token = samples::token(*algorithm, None, &json!({ "sub": "ada" }));
        jwk["alg"] = algorithm.as_str().into();
        let key: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk).expect("a key of theirs");
        let key = jsonwebtoken::DecodingKey::from_jwk(&key).expect("a key of theirs");
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        assert_eq!(jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, theirs), Ok(true), "{algorithm}");
        assert_eq!(jsonwebtoken::crypto::verify(signature, b"other", &key, theirs), Ok(false), "{algorithm}");
    }
}
