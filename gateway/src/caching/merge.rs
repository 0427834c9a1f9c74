//! The head of an answer as it is kept: of one that came, and of one that was confirmed (RFC 9111, sections 3.1, 3.2
//! and 4.3.4).

use http::HeaderName;

use crate::context::remove_from_response;
use crate::exchange::Exchange;
use crate::http1::Fields;
use crate::network::Network;

/// What a 304 says of a body that it does not have is not believed.
const OF_THE_BODY: [&str; 4] = ["content-length", "content-encoding", "content-type", "content-range"];

fn is(name: &[u8], known: &str) -> bool {
    name.eq_ignore_ascii_case(known.as_bytes())
}

/// An answer's head less what belongs to its connection, and what no other client must see.
fn end_to_end<N: Network>(exchange: &Exchange<N>, fields: &Fields) -> Fields {
    let passport = exchange.snapshot.passport.as_ref().map(|office| office.header().clone());
    let passport = passport.as_ref().map(HeaderName::as_str);
    let mut fields = fields.clone();
    remove_from_response(&mut fields, |name| passport.is_some_and(|passport| is(name, passport)));
    fields
}

/// As it is kept: dated, and without an age, which changes.
pub(super) fn to_keep<N: Network>(exchange: &Exchange<N>, fields: &Fields) -> Option<Box<Fields>> {
    let (fields, today) = (end_to_end(exchange, fields), today(exchange));
    let date = fields.get("date").is_none().then_some((&b"date"[..], &today[..]));
    Fields::gathered(fields.iter().filter(|(name, _)| !is(name, "age")).chain(date))
}

/// What was kept, with what a confirmation says anew.
pub(super) fn confirmed<N: Network>(exchange: &Exchange<N>, kept: &Fields, newer: &Fields) -> Option<Box<Fields>> {
    let (newer, today) = (end_to_end(exchange, newer), today(exchange));
    // A weak tag says that bodies of it may differ, as compressed ones do (nginx). What a confirmation names then may
    // be another one's strong tag, by which a client would join pieces of both (RFC 9111, section 4.3.4).
    let is_weak = kept.get("etag").is_some_and(|tag| tag.trim_ascii_start().starts_with(b"W/"));
    let is_kept = |name: &[u8]| OF_THE_BODY.iter().any(|known| is(name, known)) || (is_weak && is(name, "etag"));
    let date = newer.get("date").is_none().then_some((&b"date"[..], &today[..]));
    let is_told_anew = |name: &[u8]| {
        is(name, "date") || newer.iter().any(|(other, _)| !is_kept(other) && other.eq_ignore_ascii_case(name))
    };
    let stays = kept.iter().filter(|(name, _)| !is_told_anew(name));
    Fields::gathered(stays.chain(newer.iter().filter(|(name, _)| !is_kept(name))).chain(date))
}

fn today<N: Network>(exchange: &Exchange<N>) -> crate::http1::Date {
    exchange.shard.shared.clock.http_date(exchange.now())
}

/// What a 304 leaves out: it speaks of what the client has (RFC 9110, section 15.4.5).
pub(super) fn without_body(fields: &mut Fields) {
    let is_tagged = fields.get("etag").is_some();
    fields.retain(|name| {
        let is_of_body = name.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case(b"content-"));
        let stays = is(name, "content-location") || is(name, "content-security-policy");
        (!is_of_body || stays) && !(is_tagged && is(name, "last-modified"))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_304_says_what_a_cache_needs_and_nothing_of_the_body() {
        let mut fields = Fields::of_lines(&[
            ("Content-Type", "text/html"),
            ("Content-Length", "3"),
            ("Content-Location", "/a"),
            ("Content-Security-Policy", "default-src 'self'"),
            ("ETag", "\"a\""),
            ("Last-Modified", "then"),
            ("Vary", "accept"),
            ("Cache-Control", "max-age=1"),
            ("Date", "now"),
        ]);
        without_body(&mut fields);
        let names: Vec<_> = fields.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(names, ["Content-Location", "Content-Security-Policy", "ETag", "Vary", "Cache-Control", "Date"]);
    }
}
