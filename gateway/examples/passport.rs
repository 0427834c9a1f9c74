//! A service in axum that checks by itself who asks: it verifies the gateway's passport.
//!
//! ```text
//! cargo run --example passport           # listens on 127.0.0.1:9001
//! ```
//!
//! The gateway needs `[identity] passport = { key = "passport.pem" }`; its admin publishes the public keys.

#![expect(clippy::disallowed_methods, reason = "a service has a clock of its own")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use tokio::sync::{Mutex, RwLock};

/// The upstream's name in the gateway's configuration: what `aud` must be.
const SERVICE: &str = "orders";
const KEYS: &str = "http://127.0.0.1:9901/jwks.json";
/// Keys are asked for no more often, whatever keys passports name.
const COOLDOWN: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Keys {
    known: RwLock<JwkSet>,
    /// When they were asked for last. Held by who asks: others wait, and look again.
    asked: Mutex<Option<Instant>>,
}

impl Keys {
    async fn known(&self, kid: &str) -> Option<DecodingKey> {
        DecodingKey::from_jwk(self.known.read().await.find(kid)?).ok()
    }

    /// The key of this name; one that is not known yet is asked for.
    async fn find(&self, kid: &str) -> Option<DecodingKey> {
        if let Some(key) = self.known(kid).await {
            return Some(key);
        }
        let mut asked = self.asked.lock().await;
        let found = self.known(kid).await;
        if found.is_some() || asked.is_some_and(|asked| asked.elapsed() < COOLDOWN) {
            return found;
        }
        *asked = Some(Instant::now());
        let request = reqwest::Client::new().get(KEYS).timeout(Duration::from_secs(2));
        let fetched = request.send().await.ok()?.error_for_status().ok()?.json().await.ok()?;
        *self.known.write().await = fetched;
        self.known(kid).await
    }
}

/// Who asks; `None` without a passport that holds.
async fn who_asks(keys: &Keys, headers: &HeaderMap) -> Option<String> {
    let passport = headers.get("x-auth-passport")?.to_str().ok()?;
    let header = decode_header(passport).ok()?;
    // No other token of the gateway's key is a passport.
    if header.typ.as_deref() != Some("passport+jwt") {
        return None;
    }
    let key = keys.find(header.kid.as_deref()?).await?;
    // The gateway signs with one of these; the key decides which.
    let mut validation = Validation::new(header.alg);
    validation.leeway = 5;
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
