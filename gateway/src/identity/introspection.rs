//! Opaque tokens: their issuer is asked about each (RFC 7662), and its answer is believed for a while.
//!
//! The issuer is asked on the control runtime, and each question goes on to its end there, whoever has left: so many
//! are open at once, and what they come to is what the issuer is judged by. A worker asks about one token once, whoever
//! else brings it meanwhile; and an issuer that does not answer is left alone by a breaker, so that a request waits for
//! it once, and not each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::asked::Asked;
use super::claims::{self, Claims};
use super::remote;
use crate::algorithms::breaker::{Breaker, Policy, Ticket, Verdict, WHOLE};
use crate::clock::Clock;
use crate::config::settings::identity::Introspection;
use crate::jws::parse_json;
use crate::telemetry::metrics::AuthResult;

/// Questions that may be open at once; more are refused, as if the issuer were down.
const MAX_OPEN: usize = 256;
/// The largest answer.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Failures in a row after which the issuer is left alone, and for how long.
const FAILURES: u32 = 5;
const OPEN_FOR: Duration = Duration::from_secs(1);
const MAX_OPEN_FOR: Duration = Duration::from_secs(30);

/// An issuer that is asked.
pub(super) struct Issuer {
    settings: Introspection,
    breaker: Mutex<Breaker>,
    open: Arc<Semaphore>,
    /// Tokens that are being asked about.
    pub(super) asked: Arc<Asked>,
}

/// A question that may be put: it has a place among those that are open, and leave to be asked.
pub(super) struct Question {
    issuer: Arc<Issuer>,
    request: reqwest::RequestBuilder,
    ticket: Ticket,
    clock: Clock,
    _place: OwnedSemaphorePermit,
}

impl Issuer {
    pub(super) fn new(settings: Introspection, workers: usize, now: Instant) -> Self {
        let policy = Policy {
            window: Duration::from_secs(10),
            min_requests: u32::MAX,
            failure_share: WHOLE,
            consecutive_failures: Some(FAILURES),
            slow_share: None,
            open_for: OPEN_FOR,
            max_open_for: MAX_OPEN_FOR,
            probes: 1,
            probe_timeout: settings.timeout + Duration::from_secs(1),
        };
        Self {
            settings,
            breaker: Mutex::new(Breaker::new(policy, now)),
            open: Arc::new(Semaphore::new(MAX_OPEN)),
            asked: Asked::new(workers),
        }
    }

    /// How long a refusal is remembered, seconds.
    pub(super) fn negative(&self) -> i64 {
        i64::try_from(self.settings.negative.as_secs()).unwrap_or(0)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A question about a token.
    ///
    /// # Errors
    /// It is no token, or the issuer cannot be asked now.
    pub(super) fn question(
        self: &Arc<Self>,
        client: &reqwest::Client,
        token: &[u8],
        clock: &Clock,
    ) -> Result<Question, AuthResult> {
        let text = std::str::from_utf8(token).map_err(|_| AuthResult::Malformed)?;
        let place = Arc::clone(&self.open).try_acquire_owned().map_err(|_| AuthResult::Unavailable)?;
        let ticket = self.breaker().admit(clock.now()).0.ok_or(AuthResult::Unavailable)?;
        let request = client
            .post(&*self.settings.url)
            .basic_auth(form(&self.settings.client_id), Some(form(self.settings.client_secret.expose())))
            .timeout(self.settings.timeout)
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("token={}&token_type_hint=access_token", form(text)));
        Ok(Question { issuer: Arc::clone(self), request, ticket, clock: clock.clone(), _place: place })
    }
}

impl Question {
    /// Asks. To be run to its end, whoever waits for it: only then the issuer is judged by it.
    ///
    /// # Errors
    /// The token does not hold, or the issuer gives no answer.
    pub(super) async fn ask(self) -> Result<Claims, AuthResult> {
        let Self { issuer, request, ticket, clock, _place } = self;
        let answer = remote::read(request, MAX_ANSWER_BYTES).await;
        let verdict = if answer.is_ok() { Verdict::Success } else { Verdict::Failure };
        let now = clock.now();
        issuer.breaker().settle(ticket, verdict, now);
        let positive = i64::try_from(issuer.settings.positive.as_secs()).unwrap_or(0);
        read(&answer.map_err(|_| AuthResult::Unavailable)?.body, positive, clock.unix_seconds(now))
    }
}

/// As a form has it (RFC 6749, appendix B): also for the two halves of the credentials (section 2.3.1).
fn form(text: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');
    utf8_percent_encode(text, KEPT).to_string()
}

/// Reads an answer (RFC 7662, section 2.2). What is active is believed for `positive` seconds, and not beyond its
/// `exp`.
fn read(body: &[u8], positive: i64, now: i64) -> Result<Claims, AuthResult> {
    let Ok(Value::Object(all)) = parse_json(body) else { return Err(AuthResult::Unavailable) };
    match all.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Err(AuthResult::Inactive),
        _ => return Err(AuthResult::Unavailable),
    }
    claims::of_introspection(all, positive, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_believed_for_a_while_and_within_its_own_time() {
        let read = |text: &str| read(text.as_bytes(), 30, 1000).map(|claims| (claims.subject, claims.until));
        assert_eq!(read(r#"{"active":true,"sub":"ada"}"#), Ok((Some("ada".into()), 1030)));
        assert_eq!(read(r#"{"active":true,"sub":"ada","exp":1010}"#), Ok((Some("ada".into()), 1010)));
        assert_eq!(read(r#"{"active":true,"exp":5000}"#), Ok((None, 1030)));
        assert_eq!(read(r#"{"active":true,"exp":1000}"#), Err(AuthResult::Expired));
        assert_eq!(read(r#"{"active":true,"nbf":1001}"#), Err(AuthResult::NotYet));
        assert_eq!(read(r#"{"active":false,"sub":"ada"}"#), Err(AuthResult::Inactive));
        for odd in
            ["{}", "[]", "", "<html>", r#"{"active":"true"}"#, r#"{"active":1}"#, r#"{"active":false,"active":true}"#]
        {
            assert_eq!(read(odd), Err(AuthResult::Unavailable), "{odd}");
        }
    }

    #[test]
    fn a_form_holds_anything() {
        assert_eq!(form("a b&c=d+ü-._*"), "a%20b%26c%3Dd%2B%C3%BC-._*");
    }
}
