//! Opaque tokens: their issuer is asked about each (RFC 7662), and its answer is believed for a while.
//!
//! The issuer is asked on the control runtime, and each question goes on to its end there, whoever has left: so many
//! are open at once, so many more wait for that, and what they come to is what the issuer is judged by. A worker asks
//! about one token once, whoever else brings it meanwhile; and an issuer that does not answer is left alone by a
//! breaker, so that a request waits for it once, and not each. What it says of one token is no word about itself.

use std::fmt::Display;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::asked::Asked;
use super::claims::{self, Claims};
use super::issuer_health::{IssuerHealth, News, Outcome};
use super::remote::{self, Failed};
use super::turns::Waiter;
use crate::algorithms::breaker::{Breaker, Policy, Transition, Verdict, WHOLE};
use crate::clock::Clock;
use crate::config::settings::identity::Introspection;
use crate::fetch_failure::place;
use crate::jws::parse_json;
use crate::telemetry::events::{Event, Events};
use crate::telemetry::metrics::AuthResult;
use crate::telemetry::notice;

/// Questions that may be open at once; more wait, for this part of the time that an answer is waited for. What has got
/// its place has all of that time: an issuer is not held to have failed whoever came late.
const MAX_OPEN: usize = 256;
const WAITS: u32 = 2;
/// Questions that may wait to be put; more are refused, as if the issuer were down.
const MAX_WAITING: u32 = 4096;
/// The largest answer.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Failures in a row after which the issuer is left alone, and for how long: at last a question every few seconds asks,
/// which is no load, as all are refused until it does well.
const FAILURES: u32 = 5;
const OPEN_FOR: Duration = Duration::from_secs(1);
const MAX_OPEN_FOR: Duration = Duration::from_secs(5);
/// Of an answer that says neither that a token holds nor that it does not.
const NO_WORD: &str = "its answer is no JSON object with `active`, true or false";

/// An issuer that is asked.
pub(super) struct Issuer {
    /// The provider's name.
    provider: Arc<str>,
    settings: Introspection,
    breaker: Mutex<Breaker>,
    open: Arc<Semaphore>,
    /// Questions that are to be put when others have been answered.
    waiting: AtomicU32,
    /// What came of it lately.
    pub(super) health: IssuerHealth,
    /// Tokens that are being asked about.
    pub(super) asked: Arc<Asked>,
}

/// A question that may be put.
pub(super) struct Question {
    issuer: Arc<Issuer>,
    request: reqwest::RequestBuilder,
    clock: Clock,
    events: Arc<Events>,
}

impl Issuer {
    pub(super) fn new(provider: &Arc<str>, settings: Introspection, workers: usize, now: Instant) -> Self {
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
            provider: Arc::clone(provider),
            settings,
            breaker: Mutex::new(Breaker::new(policy, now)),
            open: Arc::new(Semaphore::new(MAX_OPEN)),
            waiting: AtomicU32::new(0),
            health: IssuerHealth::default(),
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

    /// A question about a token, of this text.
    ///
    /// # Errors
    /// The issuer is left alone now.
    pub(super) fn question(
        self: &Arc<Self>,
        client: &reqwest::Client,
        text: &str,
        (clock, events): (&Clock, &Arc<Events>),
    ) -> Result<Question, AuthResult> {
        self.listens(clock.now())?;
        let request = client
            .post(&*self.settings.url)
            .basic_auth(form(&self.settings.client_id), Some(form(self.settings.client_secret.expose())))
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("token={}&token_type_hint=access_token", form(text)));
        Ok(Question { issuer: Arc::clone(self), request, clock: clock.clone(), events: Arc::clone(events) })
    }

    /// Whether it would be asked now: nobody need wait for what would be refused.
    fn listens(&self, now: Instant) -> Result<(), AuthResult> {
        let mut breaker = self.breaker();
        breaker.tick(now);
        if breaker.has_room() { Ok(()) } else { Err(AuthResult::Unavailable) }
    }

    /// A place among the open questions.
    async fn place(&self) -> Result<OwnedSemaphorePermit, AuthResult> {
        if let Ok(place) = Arc::clone(&self.open).try_acquire_owned() {
            return Ok(place);
        }
        let _waits = Waiter::join_below(&self.waiting, MAX_WAITING).ok_or_else(|| self.crowded())?;
        let waits = self.settings.timeout / WAITS;
        let place = tokio::time::timeout(waits, Arc::clone(&self.open).acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or_else(|| self.crowded())
    }

    #[cold]
    fn crowded(&self) -> AuthResult {
        let what = "its answers come too slowly for as many questions";
        self.health.note_again(what, || self.there(what));
        AuthResult::Unavailable
    }

    /// What is said of it, with where it is asked.
    #[cold]
    fn there(&self, what: impl Display) -> String {
        format!("{}: {what}", place(&self.settings.url))
    }

    /// Keeps what a question came to, and says when the issuer begins to fail, fails for another reason than before,
    /// and is well again.
    fn tell(&self, outcome: Outcome, turned: Option<Transition>, (events, at): (&Events, u64)) {
        let Some(news) = self.health.ended(outcome, turned.map(|turned| turned.to), at) else { return };
        let failed = match news {
            News::Fails(why) => Some(why),
            News::IsWell => None,
        };
        notice::issuer(events.voice(), &self.provider, failed.as_deref());
        events.report(at, Event::Issuer { provider: Arc::clone(&self.provider), failed });
    }
}

impl Question {
    /// Asks. To be run to its end, whoever waits for it: only then the issuer is judged by it.
    ///
    /// # Errors
    /// The token does not hold, or the issuer gives no answer, or cannot be asked.
    pub(super) async fn ask(self) -> Result<Claims, AuthResult> {
        let Self { issuer, request, clock, events } = self;
        let _place = issuer.place().await?;
        // It may have failed others while this one waited.
        let ticket = issuer.breaker().admit(clock.now()).0.ok_or(AuthResult::Unavailable)?;
        let answer = remote::read(request.timeout(issuer.settings.timeout), MAX_ANSWER_BYTES).await;
        let now = clock.now();
        let claims = answer.map(|answer| read(&answer.body, &issuer.settings, clock.unix_seconds(now)));
        let turned = issuer.breaker().settle(ticket, verdict(&claims), now);
        let outcome = match &claims {
            Err(failed) => Outcome::Nothing(issuer.there(failed)),
            Ok(Err(AuthResult::Unavailable)) => Outcome::Odd(issuer.there(NO_WORD)),
            Ok(_) => Outcome::Word,
        };
        issuer.tell(outcome, turned, (&events, clock.monotonic_ns(now)));
        claims.unwrap_or(Err(AuthResult::Unavailable))
    }
}

/// What an answer says of the issuer's health. Nothing, where it refuses what was asked: it, or what stands before it,
/// does not like this one token, which any client may send. 401 and 404 are about how it is asked at all, 408 and 429
/// about how it fares. One that says neither that the token holds nor that it does not says nothing either, whatever
/// its status: a page that the issuer is being mended is mostly a 200, but so is one that this token is not let
/// through.
fn verdict(answer: &Result<Result<Claims, AuthResult>, Failed>) -> Verdict {
    match answer {
        Ok(Err(AuthResult::Unavailable)) => Verdict::Neutral,
        Ok(_) => Verdict::Success,
        Err(Failed::Status(status @ 400..=499)) if ![401, 404, 408, 429].contains(status) => Verdict::Neutral,
        Err(_) => Verdict::Failure,
    }
}

/// As a form has it (RFC 6749, appendix B): also for the two halves of the credentials (section 2.3.1).
fn form(text: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');
    utf8_percent_encode(text, KEPT).to_string()
}

/// Reads an answer (RFC 7662, section 2.2). What is active is believed for a while, and not beyond its `exp`, where it
/// is a bearer token, and for us.
fn read(body: &[u8], rules: &Introspection, now: i64) -> Result<Claims, AuthResult> {
    let Ok(Value::Object(all)) = parse_json(body) else { return Err(AuthResult::Unavailable) };
    match all.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Err(AuthResult::Inactive),
        _ => return Err(AuthResult::Unavailable),
    }
    let is_bearer = |kind: &Value| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if all.get("token_type").is_some_and(|kind| !is_bearer(kind)) {
        return Err(AuthResult::Type);
    }
    let is_for_us = || all.get("aud").is_some_and(|aud| claims::names_us(aud, &rules.audiences));
    if !rules.audiences.is_empty() && !is_for_us() {
        return Err(AuthResult::Audience);
    }
    claims::of_introspection(all, rules, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::identity::Secret;

    /// What is configured, with these audiences.
    fn rules(audiences: &str) -> Introspection {
        Introspection {
            url: "https://idp.test".into(),
            client_id: "gateway".into(),
            client_secret: Secret::new(""),
            timeout: Duration::from_secs(1),
            capacity: 0,
            positive: Duration::from_secs(30),
            negative: Duration::ZERO,
            audiences: audiences.split_whitespace().map(Box::from).collect(),
            ignores_binding: false,
            token_from: Box::default(),
        }
    }

    #[test]
    fn an_answer_is_believed_for_a_while_and_within_its_own_time() {
        let read = |text: &str| read(text.as_bytes(), &rules(""), 1000).map(|claims| (claims.subject, claims.until));
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
    fn what_is_active_is_for_us_where_that_is_asked_for_and_is_a_bearer_token() {
        let read = |audiences: &str, members: &str| {
            read(format!("{{\"active\":true{members}}}").as_bytes(), &rules(audiences), 1000).map(drop)
        };
        for (audiences, members, expected) in [
            ("api web", r#","aud":"web""#, Ok(())),
            ("api", r#","aud":["x","api"]"#, Ok(())),
            ("api", r#","aud":"API""#, Err(AuthResult::Audience)),
            ("api", r#","aud":["api",1]"#, Err(AuthResult::Audience)),
            ("api", r#","aud":null"#, Err(AuthResult::Audience)),
            ("api", "", Err(AuthResult::Audience)),
            ("", r#","aud":"x""#, Ok(())),
            ("", r#","token_type":"bEARER""#, Ok(())),
            ("", r#","token_type":"DPoP""#, Err(AuthResult::Type)),
            ("", r#","token_type":"refresh_token""#, Err(AuthResult::Type)),
            ("", r#","token_type":null"#, Err(AuthResult::Type)),
            ("", r#","cnf":{"jkt":"x"}"#, Err(AuthResult::NotHolder)),
        ] {
            assert_eq!(read(audiences, members), expected, "{members}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_for_its_place_half_as_long_as_for_an_answer_and_is_the_issuers_failure_only_then() {
        let clock = Clock::starting_at(Duration::ZERO);
        let issuer = Arc::new(Issuer::new(&"opaque".into(), rules(""), 1, clock.now()));
        let mut all: Vec<_> =
            (0..MAX_OPEN).map(|_| Arc::clone(&issuer.open).try_acquire_owned().expect("a place")).collect();
        let began = clock.now();
        assert!(issuer.place().await.is_err(), "there is none");
        assert_eq!(clock.now() - began, Duration::from_millis(500), "an answer is waited for longer");
        let (place, ()) = tokio::join!(issuer.place(), async {
            // virtual time
            tokio::time::sleep(Duration::from_millis(400)).await;
            all.pop();
        });
        assert!(place.is_ok());
        assert_eq!(issuer.listens(clock.now()), Ok(()), "waiting is nobody's failure");
    }

    #[test]
    fn what_an_issuer_says_of_one_token_is_no_word_about_its_health() {
        let of = |status: u16| verdict(&Err(Failed::Status(status)));
        for about_the_token in [400, 403, 405, 413, 414, 415, 422, 431] {
            assert_eq!(of(about_the_token), Verdict::Neutral, "{about_the_token}");
        }
        for about_itself in [201, 302, 401, 404, 408, 429, 500, 503] {
            assert_eq!(of(about_itself), Verdict::Failure, "{about_itself}");
        }
        assert_eq!(verdict(&Err(Failed::Other(String::new()))), Verdict::Failure);
        for of_the_token in [AuthResult::Inactive, AuthResult::Audience, AuthResult::Expired, AuthResult::NotHolder] {
            assert_eq!(verdict(&Ok(Err(of_the_token))), Verdict::Success, "{of_the_token:?}");
        }
        assert_eq!(verdict(&Ok(Err(AuthResult::Unavailable))), Verdict::Neutral, "a page in its place");
    }

    #[test]
    fn a_form_holds_anything() {
        assert_eq!(form("a b&c=d+ü-._*"), "a%20b%26c%3Dd%2B%C3%BC-._*");
    }
}
