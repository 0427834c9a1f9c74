//! The stage: gives what is kept, or says what the upstream is asked.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::sync::watch;

use super::asked::Asked;
use super::conditions;
use super::freshness::Serve;
use super::key::Key;
use super::lease::{Lease, Leased, Progress};
use super::merge;
use super::refresh::Refresh;
use super::route::RouteCache;
use super::state::{Asking, Caching, Told};
use super::store::{Found, Place, Stamp, Store, Stored};
use super::wait::{Patience, Waited};
use crate::exchange::Exchange;
use crate::http1::{Fields, ResponseHead};
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::request_target::PathQuery;
use crate::telemetry::metrics::CacheUse;
use crate::timer::Wait;

/// An answer that was kept, as a client gets it.
pub(super) type Kept = (ResponseHead, Bytes);

/// What was found for a request.
pub enum Looked {
    /// It is given this.
    Kept(Kept),
    /// The same, and meanwhile the upstream is asked for a new one.
    Meanwhile(Kept, Box<Refresh>),
    /// Nothing, and it wants nothing else.
    Absent,
    /// The upstream is asked.
    Ask,
}

/// What a request looks for.
struct Search<'a> {
    store: Arc<Store>,
    route: Arc<RouteCache>,
    key: Key,
    place: Place,
    asked: Asked,
    headers: &'a RequestFields,
    is_get: bool,
}

/// How far it has come with that.
#[derive(Default)]
struct Course {
    /// It asks on behalf of all.
    lease: Option<Lease>,
    /// Who did so was given nothing for others.
    in_vain: bool,
    /// It has waited for somebody else's answer.
    has_waited: bool,
}

/// What it comes to next.
enum Step {
    /// This is given.
    Give(Arc<Stored>, Told),
    /// The same, and the upstream is asked on behalf of all.
    Meanwhile(Arc<Stored>, Lease, Stamp),
    /// The upstream is to be asked, for this reason; what is kept may be confirmed.
    Ask(Option<Arc<Stored>>, Stamp, &'static str),
    /// Somebody else asks.
    Wait(watch::Receiver<Progress>),
    /// It is looked once more.
    Again,
}

impl Search<'_> {
    /// What is kept for it: for anybody, or for its subject.
    fn find(&self, now_ms: u64) -> Found {
        let is_it = |stored: &Stored| stored.keeping.may_answer(&self.asked, self.headers);
        if let Some(common) = self.key.common().filter(|_| self.route.shares) {
            let is_for_all = |stored: &Stored| stored.keeping.is_for_all && is_it(stored);
            let found = self.store.find((common, self.place), now_ms, is_for_all);
            if let Found::It(_) = found {
                return found;
            }
        }
        self.store.find((self.key.bytes(), self.place), now_ms, is_it)
    }

    fn step(&self, course: &mut Course, now_ms: u64) -> Step {
        // Before it is looked, and long before anybody is asked.
        let stamp = self.store.stamp(self.place);
        let (kept, forward) = match self.find(now_ms) {
            Found::Nothing => (None, "uri-miss"),
            Found::Others => (None, "vary-miss"),
            Found::It(kept) => {
                let (freshness, age) = (&kept.keeping.freshness, kept.age(now_ms));
                match freshness.serve(age, &self.asked.control, self.route.obeys) {
                    Serve::Fresh | Serve::Stale => return Step::Give(kept, Told::default()),
                    Serve::StaleMeanwhile => return self.meanwhile(kept, course, (stamp, now_ms)),
                    // Who asked for all of them was given none.
                    Serve::Confirm if course.in_vain && freshness.may_stand_in(age) => {
                        return Step::Give(kept, Told { forward: Some("stale"), ..Told::default() });
                    }
                    Serve::Confirm => (Some(kept), "stale"),
                    Serve::ConfirmForClient => (Some(kept), "request"),
                }
            }
        };
        // What is not to be kept, or is confirmed for one client alone, is nobody else's matter.
        // So is what a client knows already of which nothing is kept, and, to who has waited once, what was asked for
        // another variant: else each would wait for all before it.
        let knows_it = kept.is_none() && conditions::are_there(self.headers);
        let is_apart = course.has_waited && forward == "vary-miss";
        let is_for_itself = !self.is_get || self.asked.control.no_store || forward == "request" || knows_it || is_apart;
        if is_for_itself || course.in_vain || course.lease.is_some() || self.asked.control.only_if_cached {
            return Step::Ask(kept, stamp, forward);
        }
        match self.store.lease((self.key.bytes(), self.place), now_ms) {
            None => Step::Ask(kept, stamp, forward),
            Some(Leased::Taken(lease)) => {
                // Another worker may have kept it meanwhile.
                course.lease = Some(lease);
                Step::Again
            }
            Some(Leased::ByAnother(under_way)) => Step::Wait(under_way),
        }
    }

    fn meanwhile(&self, kept: Arc<Stored>, course: &mut Course, (stamp, now_ms): (Stamp, u64)) -> Step {
        if !self.is_get {
            return Step::Give(kept, Told::default());
        }
        let taken = course.lease.take().map(Leased::Taken);
        match taken.or_else(|| self.store.lease((self.key.bytes(), self.place), now_ms)) {
            Some(Leased::Taken(lease)) => Step::Meanwhile(kept, lease, stamp),
            Some(Leased::ByAnother(_)) | None => Step::Give(kept, Told::default()),
        }
    }

    fn asking(self, (kept, stamp): (Option<Arc<Stored>>, Stamp), lease: Option<Lease>) -> Asking {
        let Self { route, key, place, asked, headers, .. } = self;
        Asking { route, key, place, stamp, asked, headers: headers.clone(), kept, confirms: false, lease }
    }
}

/// Looks for what is kept for this request. What the upstream is to be asked, if it is, is in `headers` then.
pub async fn look<N: Network>(exchange: &mut Exchange<N>, headers: &mut RequestFields, target: &PathQuery) -> Looked {
    let Some(route) = exchange.route().and_then(|route| route.cache.clone()) else { return Looked::Ask };
    let mut asked = Asked::of(headers);
    if let Some(identity) = &exchange.identity {
        let auth = exchange.route().and_then(|route| route.auth.as_deref());
        asked.is_proven(|name| auth.is_some_and(|auth| auth.passes_on(&identity.provider, name)));
    }
    asked.loses(&route.unseen);
    if passes_by(exchange, &asked, &route) {
        // What wants nothing but what is kept wants nothing of the upstream, whatever else it says.
        let is_absent = asked.control.only_if_cached && !exchange.is_grpc;
        return if is_absent { Looked::Absent } else { Looked::Ask };
    }
    let key = Key::of(exchange, (route.tag, target), (&asked, headers));
    let (place, store) = (Place::of(&key), Arc::clone(&exchange.shard.shared.cache));
    let is_get = exchange.method == Method::GET;
    let search = Search { store, route, key, place, asked, headers, is_get };
    let (mut course, mut patience) = (Course::default(), None);
    let (asking, forward) = loop {
        match search.step(&mut course, exchange.shard.shared.clock.ticks_ms(exchange.now())) {
            Step::Give(kept, told) => return Looked::Kept(give(exchange, headers, &kept, told)),
            Step::Meanwhile(kept, lease, stamp) => {
                let given = give(exchange, headers, &kept, Told::default());
                let store = Arc::clone(&search.store);
                return match Refresh::new(&store, search.asking((Some(kept), stamp), Some(lease))) {
                    Some(refresh) => Looked::Meanwhile(given, Box::new(refresh)),
                    None => Looked::Kept(given),
                };
            }
            Step::Ask(kept, stamp, forward) => break (search.asking((kept, stamp), course.lease), forward),
            Step::Wait(under_way) => {
                let patience = patience.get_or_insert_with(|| Patience::of(exchange));
                course.in_vain = patience.wait(exchange, under_way).await == Waited::InVain;
                course.has_waited = true;
            }
            Step::Again => {}
        }
    };
    ask(exchange, headers, asking, forward)
}

/// Whether the request is not for a cache.
fn passes_by<N: Network>(exchange: &mut Exchange<N>, asked: &Asked, route: &RouteCache) -> bool {
    let no_store = (asked.control.no_store && route.obeys).then_some("no-store");
    let why = asked.passes_by.or(no_store).or(exchange.is_grpc.then_some("grpc"));
    if why.is_some() {
        let told = Told { forward: Some("bypass"), detail: why, ..Told::default() };
        exchange.cache = Some(Box::new(Caching { came_by: Some(CacheUse::Bypass), told, ..Caching::default() }));
    }
    why.is_some()
}

/// The upstream is to be asked, unless the client wants nothing of it.
fn ask<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
    mut asking: Asking,
    forward: &'static str,
) -> Looked {
    let is_absent = asking.asked.control.only_if_cached;
    let told = Told { forward: Some(forward), detail: is_absent.then_some("only-if-cached"), ..Told::default() };
    let mut caching = Caching { came_by: Some(CacheUse::Miss), told, ..Caching::default() };
    if !is_absent {
        let kept = asking.kept.as_deref();
        asking.confirms = kept.is_some_and(|kept| conditions::ask_whether_it_holds(headers, &kept.fields));
        caching.asking = Some(Box::new(asking));
    }
    exchange.cache = Some(Box::new(caching));
    if is_absent { Looked::Absent } else { Looked::Ask }
}

/// What is kept, as the client gets it.
pub(super) fn give<N: Network>(exchange: &mut Exchange<N>, headers: &RequestFields, kept: &Stored, told: Told) -> Kept {
    let age = kept.age(exchange.shard.shared.clock.ticks_ms(exchange.now()));
    let left = kept.keeping.freshness.left(age);
    let came_by = match told.status {
        Some(304) => CacheUse::Revalidated,
        _ if left <= 0 => CacheUse::Stale,
        _ => CacheUse::Hit,
    };
    let told = Told { ttl: Some(left), ..told };
    let age = Some(age);
    exchange.cache = Some(Box::new(Caching { came_by: Some(came_by), age, told, ..Caching::default() }));
    exchange.connection.deadlines.clear(Wait::Exchange);
    as_asked(headers, kept.status, kept.fields.clone(), kept.body.clone())
}

/// The whole, or that the client has it.
pub(super) fn as_asked(headers: &RequestFields, status: StatusCode, mut fields: Box<Fields>, body: Bytes) -> Kept {
    if status == StatusCode::OK && conditions::has_it(headers, &fields) {
        merge::without_body(&mut fields);
        return (ResponseHead { status: StatusCode::NOT_MODIFIED, fields }, Bytes::new());
    }
    (ResponseHead { status, fields }, body)
}

/// What a request may have changed: what is kept by this route of what is asked for as this, of its host, goes, and
/// what is on its way (RFC 9111, section 4.4).
pub fn forget<N: Network>(exchange: &Exchange<N>, route: &RouteCache, target: &PathQuery) {
    exchange.shard.shared.cache.invalidate(&Key::of_uri(exchange, (route.tag, target)));
}
