//! What becomes of an upstream's answer: it is kept, confirms what is kept, or is one that a kept answer stands in for.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, ETAG, LAST_MODIFIED};
use http::{Method, StatusCode};

use super::answer::{Keeping, judge};
use super::conditions;
use super::filling::{Destination, Filling, Room};
use super::freshness::Receipt;
use super::merge;
use super::stage::{Kept, as_asked, give};
use super::state::{Asking, Told};
use super::store::{Store, Stored};
use crate::exchange::Exchange;
use crate::http1::{Fields, ResponseHead};
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::response_body::Answer;
use crate::telemetry::metrics::CacheUse;

/// What is known of an answer beside its head.
struct About {
    /// How long its body is, where that is known.
    length: Option<u64>,
    /// Why it is not kept, whatever its head says.
    never: Option<&'static str>,
}

/// Judges an answer whose body is to stream to the client: whether a copy of it is kept. What is given in its place,
/// where it confirms what is kept, or is a failure that a kept one stands in for.
///
/// `read` is how much of its body has been read already.
pub fn answered<N: Network>(exchange: &mut Exchange<N>, answer: &Answer<N>, read: u64) -> Option<Kept> {
    let leg = &answer.source.leg;
    let is_open = !leg.is_over() && leg.length_left().is_none();
    // Where nothing but the connection's end is the body's, a cut one looks like a whole one.
    let ends_with_connection = is_open && !leg.is_shared() && answer.head.fields.get("transfer-encoding").is_none();
    let has_cookie = answer.source.selected.cookie(exchange.secure).is_some();
    let never = ends_with_connection.then_some("length").or(has_cookie.then_some("affinity")).or(joined(exchange));
    let length = if leg.is_over() { Some(read) } else { leg.length_left().map(|left| left + read) };
    judged(exchange, &answer.head, &About { length, never })
}

/// The same of an answer that is there as a whole.
pub fn given<N: Network>(exchange: &mut Exchange<N>, head: &ResponseHead, body: &Bytes) -> Option<Kept> {
    let never = joined(exchange);
    let instead = judged(exchange, head, &About { length: Some(body.len() as u64), never });
    if instead.is_none() {
        exchange.keep_part(body);
        exchange.keep_whole();
    }
    instead
}

/// Who joined another one's call does not keep what came of it: it was asked for with the other's headers, of which a
/// shared call leaves some out of account, and longer ago than is known here.
fn joined<N: Network>(exchange: &Exchange<N>) -> Option<&'static str> {
    let sharing = exchange.calls.as_ref().and_then(|calls| calls.sharing());
    (sharing == Some("joined")).then_some("shared")
}

fn judged<N: Network>(exchange: &mut Exchange<N>, head: &ResponseHead, about: &About) -> Option<Kept> {
    let asking = exchange.cache.as_mut()?.asking.take()?;
    let status = head.status;
    if status == StatusCode::NOT_MODIFIED
        && asking.confirms
        && let Some(kept) = asking.kept.clone()
    {
        return Some(confirmed(exchange, *asking, &kept, head));
    }
    if may_be_covered(status) {
        return stand_in(exchange, *asking, status);
    }
    keep(exchange, *asking, head, about);
    None
}

/// Whether an answer says of another one than is kept that it still holds (RFC 9111, section 4.3.4): it confirms
/// nothing, and there is nothing to give. The upstream is to be asked once more, with these headers, as if nothing were
/// kept; what has come is not to be judged.
#[cold]
pub fn asks_anew<N: Network>(exchange: &mut Exchange<N>, head: &ResponseHead) -> Option<RequestFields> {
    let asking = exchange.cache.as_mut()?.asking.as_mut()?;
    let kept = asking.kept.as_ref().filter(|_| asking.confirms && head.status == StatusCode::NOT_MODIFIED)?;
    if !speaks_of_another(kept, &head.fields) {
        return None;
    }
    asking.confirms = false;
    Some(asking.headers.clone())
}

/// Whether a confirmation names another tag than what is kept has.
fn speaks_of_another(kept: &Stored, newer: &Fields) -> bool {
    let tags = kept.fields.get(ETAG.as_str()).zip(newer.get(ETAG.as_str()));
    tags.is_some_and(|(own, told)| !conditions::is_same(own, told))
}

/// The upstream cannot be had, or answered so: a kept answer, where one may stand in.
pub fn instead<N: Network>(exchange: &mut Exchange<N>, status: StatusCode) -> Option<Kept> {
    let asking = exchange.cache.as_mut()?.asking.take()?;
    if may_be_covered(status) {
        return stand_in(exchange, *asking, status);
    }
    None
}

/// Whether a kept answer may stand in for one of this status (RFC 5861, section 4).
fn may_be_covered(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

fn stand_in<N: Network>(exchange: &mut Exchange<N>, mut asking: Asking, status: StatusCode) -> Option<Kept> {
    let now_ms = exchange.shard.shared.clock.ticks_ms(exchange.now());
    asking.is_in_vain(now_ms);
    let kept = asking.kept.take()?;
    // A client that wants it confirmed is told that it cannot be.
    let is_wanted = !(asking.route.obeys && asking.asked.control.no_cache);
    if !is_wanted || !kept.keeping.freshness.may_stand_in(kept.age(now_ms)) {
        return None;
    }
    let told = Told { forward: Some("stale"), status: Some(status.as_u16()), ..Told::default() };
    let given = give(exchange, &asking.headers, &kept, told);
    if let Some(cache) = &mut exchange.cache {
        cache.came_by = Some(CacheUse::Stale);
    }
    Some(given)
}

fn receipt<N: Network>(exchange: &Exchange<N>) -> (Receipt, u64) {
    let (now, clock) = (exchange.now(), &exchange.shard.shared.clock);
    let took = exchange.upstream_began.map_or(0, |began| now.saturating_duration_since(began.at).as_secs());
    (Receipt { at: clock.unix_seconds(now), delay: u32::try_from(took).unwrap_or(u32::MAX) }, clock.ticks_ms(now))
}

/// Where an answer is kept: for all subjects, where it says that it is anybody's, the route says so too, and it hangs
/// on no header in which the gateway names its subject.
fn destination<N: Network>(exchange: &Exchange<N>, asking: &Asking, keeping: &Keeping) -> Destination {
    let (config, passport) = (&exchange.snapshot.config.identity, exchange.snapshot.passport.as_ref());
    let own = [&config.subject_header, &config.scopes_header, &config.provider_header];
    let claims = config.claims.iter().map(|(header, _)| header);
    let mut own = own.into_iter().chain(claims).chain(passport.map(|office| office.header()));
    let is_for_all =
        asking.route.shares && keeping.is_for_all && !own.any(|name| keeping.secondary.names(name.as_str()));
    let Asking { route, key, place, stamp, headers, .. } = asking;
    let asked = exchange.path();
    let is_rewritten = exchange.route().is_some_and(|route| route.rewrite.is_some());
    Destination {
        key: key.common().filter(|_| is_for_all).unwrap_or(key.bytes()).to_vec(),
        place: *place,
        stamp: *stamp,
        path: is_rewritten.then(|| asked.into()),
        variants: route.variants,
        headers: headers.clone(),
    }
}

/// What is kept holds on: it is given, with what was said anew.
fn confirmed<N: Network>(exchange: &mut Exchange<N>, mut asking: Asking, kept: &Stored, head: &ResponseHead) -> Kept {
    let (receipt, now_ms) = receipt(exchange);
    let store = Arc::clone(&exchange.shard.shared.cache);
    let forward = exchange.cache.as_ref().and_then(|cache| cache.told.forward);
    let told = Told { forward, status: Some(304), ..Told::default() };
    let is_another = speaks_of_another(kept, &head.fields);
    let fields = merge::confirmed(exchange, &kept.fields, &head.fields).filter(|_| !is_another);
    let about = (&asking.asked, &asking.headers);
    let judge = |fields: &_| judge(kept.status.as_u16(), fields, about, (&asking.route, receipt));
    let keeping = fields.as_deref().ok_or("status").and_then(judge);
    let fresh = keeping.and_then(|keeping| {
        let fields = fields.as_deref().and_then(|fields| merge::to_keep(exchange, fields));
        Ok((keeping, fields.ok_or("size")?))
    });
    let lease = asking.lease.take();
    let (keeping, fields_kept) = match fresh {
        Ok(fresh) => fresh,
        Err(why) => {
            // It is this client's, and no other's any more.
            if !is_another && is_word_to_all(exchange, &asking, why) {
                forget(&store, &asking, (kept, exchange.identity.is_none()));
            }
            let mut given = give(exchange, &asking.headers, kept, told);
            if let Some(fields) = fields.and_then(|fields| merge::to_keep(exchange, &fields)) {
                given = as_asked(&asking.headers, kept.status, fields, kept.body.clone());
            }
            lease.into_iter().for_each(|lease| lease.ends(false, now_ms));
            return given;
        }
    };
    let (to, body) = (destination(exchange, &asking, &keeping), kept.body.clone());
    let stored = Stored { status: kept.status, fields: fields_kept, body, keeping, came_ms: now_ms };
    let given = give(exchange, &asking.headers, &stored, told);
    displace(&store, &asking, (kept, &to));
    let is_kept = to.put(&store, stored);
    if let Some(cache) = &mut exchange.cache {
        cache.told.stored = is_kept;
    }
    lease.into_iter().for_each(|lease| lease.ends(is_kept, now_ms));
    given
}

/// Whether an answer that is not kept, for this reason, was the upstream's word to all who ask, and not to one client:
/// to what that one shows or wants, or by what stands in for the upstream. A client that wants an answer anew chooses
/// the moment, and with its other headers the answer: were that everybody's, whoever provokes an error would throw out
/// what others are given.
fn is_word_to_all<N: Network>(exchange: &Exchange<N>, asking: &Asking, why: &str) -> bool {
    let is_forced = exchange.cache.as_ref().is_some_and(|cache| cache.told.forward == Some("request"));
    let is_askers = matches!(why, "asked-no-store" | "credentials" | "authorization" | "shared");
    !is_forced && !is_askers && !exchange.stands_in && !shows_who(asking)
}

/// Whether the client shows what may be the reason for its answer.
fn shows_who(asking: &Asking) -> bool {
    asking.asked.is_authorized || !asking.asked.credentials.is_empty()
}

/// Whether a status says what has become of the resource: it is another one, elsewhere, or gone. Every other, as 401,
/// 429 or 501, says something of a request, or of the moment, and a kept answer holds as long as it did.
fn is_of_the_resource(status: StatusCode) -> bool {
    match status {
        StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED => false,
        StatusCode::NOT_FOUND | StatusCode::GONE => true,
        other => other.is_success() || other.is_redirection(),
    }
}

/// Whether an answer to HEAD shows that GET would be answered with something else than is kept (RFC 9111, section
/// 4.3.5).
fn shows_another(kept: &Stored, head: &ResponseHead) -> bool {
    if (head.status, kept.status) != (StatusCode::OK, StatusCode::OK) {
        return false;
    }
    let dates = kept.fields.get(LAST_MODIFIED.as_str()).zip(head.fields.get(LAST_MODIFIED.as_str()));
    let length = head.fields.get(CONTENT_LENGTH.as_str()).map(<[u8]>::trim_ascii);
    speaks_of_another(kept, &head.fields)
        || dates.is_some_and(|(own, told)| own != told)
        || length.is_some_and(|told| told != kept.body.len().to_string().as_bytes())
}

/// What is kept is to be confirmed before it is given again.
fn outdate(store: &Store, asking: &Asking, kept: &Stored, now_ms: u64) {
    let is_it = |stored: &Stored| std::ptr::eq(stored, kept);
    let keys = asking.key.common().into_iter().chain([asking.key.bytes()]);
    keys.for_each(|key| store.outdate((key, asking.place), now_ms, is_it));
}

/// What is kept goes: of the asker, and where nobody had to be proven to be told this, of all.
fn forget(store: &Store, asking: &Asking, (kept, is_of_all): (&Stored, bool)) {
    let is_it = |stored: &Stored| std::ptr::eq(stored, kept);
    store.remove((asking.key.bytes(), asking.place), is_it);
    if let Some(common) = asking.key.common().filter(|_| is_of_all) {
        store.remove((common, asking.place), is_it);
    }
}

/// What is kept for all subjects goes, where its successor is one subject's: it would be found first.
fn displace(store: &Store, asking: &Asking, (kept, to): (&Stored, &Destination)) {
    if asking.key.common().is_some_and(|common| *common != *to.key) {
        let is_it = |stored: &Stored| std::ptr::eq(stored, kept);
        asking.key.common().into_iter().for_each(|common| store.remove((common, asking.place), is_it));
    }
}

/// Begins a copy of an answer, where it may be kept.
fn keep<N: Network>(exchange: &mut Exchange<N>, mut asking: Asking, head: &ResponseHead, about: &About) {
    let (receipt, now_ms) = receipt(exchange);
    let (status, store) = (head.status, Arc::clone(&exchange.shard.shared.cache));
    let is_get = exchange.method == Method::GET;
    let judged = match about.never {
        _ if !is_get => Err("method"),
        _ if exchange.stands_in => Err("fallback"),
        Some(why) => Err(why),
        None if about.length.is_some_and(|length| length > asking.route.max_body as u64) => Err("size"),
        None => judge(status.as_u16(), &head.fields, (&asking.asked, &asking.headers), (&asking.route, receipt)),
    };
    let judged = judged.and_then(|keeping| Ok((keeping, merge::to_keep(exchange, &head.fields).ok_or("size")?)));
    let kept = asking.kept.take();
    let (keeping, fields) = match judged {
        Ok(judged) => judged,
        Err(why) => {
            match kept {
                Some(kept) if is_get && is_of_the_resource(status) && is_word_to_all(exchange, &asking, why) => {
                    forget(&store, &asking, (&kept, exchange.identity.is_none()));
                }
                // It costs those who come next no more than a question whether it holds.
                Some(kept) if !is_get && !shows_who(&asking) && !exchange.stands_in && shows_another(&kept, head) => {
                    outdate(&store, &asking, &kept, now_ms);
                }
                _ => {}
            }
            asking.is_in_vain(now_ms);
            if let Some(cache) = &mut exchange.cache {
                cache.told.detail = Some(why);
            }
            return;
        }
    };
    let to = destination(exchange, &asking, &keeping);
    kept.into_iter().for_each(|kept| displace(&store, &asking, (&kept, &to)));
    let ttl = Some(keeping.freshness.left(keeping.freshness.age));
    let (lease, most) = (asking.lease, asking.route.max_body);
    lease.iter().for_each(|lease| lease.comes());
    let (came_ms, room, body, expected) = (now_ms, Room::new(&store), Vec::new(), about.length);
    let filling = Filling { to, status, fields, keeping, came_ms, expected, most, body, room, lease };
    if let Some(cache) = &mut exchange.cache {
        cache.filling = Some(Box::new(filling));
        (cache.told.stored, cache.told.ttl) = (true, ttl);
    }
}
