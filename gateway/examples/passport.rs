//! A service in axum that checks by itself who asks: it verifies the gateway's passport.
//!
//! ```text
//! cargo run --example passport           # listens on 127.0.0.1:9001
//! ```
//!
//! The gateway needs `[identity] passport = { key = "passport.pem" }`; its admin publishes the public keys.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use tokio::sync::RwLock;

/// The upstream's name in the gateway's configuration: what `aud` must be.
const SERVICE: &str = "orders";
const KEYS: &str = "http://127.0.0.1:9901/jwks.json";

#[derive(Default)]
struct Keys(RwLock<Option<JwkSet>>);

impl Keys {
    /// The key of this name; one that is not known yet is asked for.
    async fn find(&self, kid: &str) -> Option<DecodingKey> {
        let known = |keys: Option<&JwkSet>| DecodingKey::from_jwk(keys?.find(kid)?).ok();
        if let Some(key) = known(self.0.read().await.as_ref()) {
            return Some(key);
        }
        let mut keys = self.0.write().await;
        *keys = Some(reqwest::get(KEYS).await.ok()?.json().await.ok()?);
        known(keys.as_ref())
    }
}

/// Who asks; `None` without a passport that holds.
async fn who_asks(keys: &Keys, headers: &HeaderMap) -> Option<String> {
    let passport = headers.get("x-auth-passport")?.to_str().ok()?;
    let header = decode_header(passport).ok()?;
    let key = keys.find(header.kid.as_deref()?).await?;
    // The gateway signs with one of these; the key decides which.
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[SERVICE]);
    validation.set_issuer(&["gateway"]);
    validation.set_required_spec_claims(&["exp", "aud", "iss"]);
    let claims = decode::<serde_json::Value>(passport, &key, &validation).ok()?.claims;
    claims["sub"].as_str().map(str::to_owned)
}

async fn orders(State(keys): State<Arc<Keys>>, headers: HeaderMap) -> (StatusCode, String) {
    match who_asks(&keys, &headers).await {
        Some(subject) => (StatusCode::OK, format!("orders of {subject}\n")),
        None => (StatusCode::UNAUTHORIZED, "no passport\n".to_owned()),
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new().route("/{*path}", get(orders)).with_state(Arc::default());
    axum::serve(tokio::net::TcpListener::bind("127.0.0.1:9001").await?, app).await
}
