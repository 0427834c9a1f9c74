//! A batch, compiled: which part of a path is an item's id, and what a call for many of them asks for.
//!
//! Ids are data: in a path they are encoded down to unreserved characters, in a body they are JSON. One that could not
//! stand there is its own request's failure, and never that of those who share its call.

use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::aggregate::Parameters;
use super::target::{Piece, Unfit, fill};
use crate::algorithms::gathering::Terms;
use crate::config::settings::batch::{self as settings, BatchPiece};
use crate::error::{Code, GatewayError};
use crate::request_target::PathQuery;
use crate::telemetry::json::write_string;
use crate::telemetry::metrics::{BatchSeries, Registry};

/// The longest id, bytes.
const LONGEST: usize = 1024;
/// What ids come to in a path at most, encoded, bytes: with the rest of a head, what any server takes.
const MOST_IN_PATH: usize = 4 * 1024;
/// The same in a body.
const MOST_IN_BODY: usize = 256 * 1024;

/// One of `[[batches]]`.
pub struct Batch {
    /// As configured.
    pub settings: Arc<settings::Batch>,
    pub(super) terms: Terms,
    pub(super) series: Arc<BatchSeries>,
    /// The id's place among the parameters of the path.
    id: usize,
    /// Those of all others.
    others: Box<[usize]>,
    call: Box<[Compiled]>,
    body: Box<[Compiled]>,
    stands: Stands,
}

/// A piece of a call, its parameter looked up.
enum Compiled {
    Literal(Box<str>),
    Ids,
    Param(usize),
    Rest(usize),
}

/// Where ids stand in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Path,
    Query,
    Body,
}

impl Batch {
    /// Compiles the batch of this name, of whose path these are the parameters, each with whether it is the rest.
    /// `None` where it has no id, or uses what is no parameter, which validation refuses.
    pub fn new(
        name: &str,
        settings: &Arc<settings::Batch>,
        parameters: &[(&str, bool)],
        metrics: &Registry,
    ) -> Option<Self> {
        let place = |wanted: &str| parameters.iter().position(|(name, _)| *name == wanted);
        let compile = |piece: &BatchPiece| match piece {
            BatchPiece::Literal(text) => Some(Compiled::Literal(text.as_str().into())),
            BatchPiece::Ids => Some(Compiled::Ids),
            BatchPiece::Param(name) => {
                place(name).map(|at| if parameters[at].1 { Compiled::Rest(at) } else { Compiled::Param(at) })
            }
        };
        let id = place(&settings.id)?;
        let stands = where_ids_stand(&settings.call);
        let most_bytes = if stands == Stands::Body { MOST_IN_BODY } else { MOST_IN_PATH };
        Some(Self {
            terms: Terms { window: settings.window, most: settings.max_size, most_bytes, adaptive: settings.adaptive },
            series: metrics.batch(name),
            id,
            others: (0..parameters.len()).filter(|at| *at != id).collect(),
            call: settings.call.iter().map(compile).collect::<Option<_>>()?,
            body: settings.body.iter().map(compile).collect::<Option<_>>()?,
            stands,
            settings: Arc::clone(settings),
        })
    }

    /// The id that a request asks for.
    ///
    /// # Errors
    /// 400 and 414: it can be no id of a call for many.
    pub(super) fn id(&self, parameters: Parameters<'_>) -> Result<Arc<str>, GatewayError> {
        let bad = |detail: &'static str| Err(GatewayError::new(Code::BadRequest, detail));
        let Ok(id) = percent_decode_str(parameters.get(self.id)).decode_utf8() else {
            return bad("The id is not UTF-8.");
        };
        if id.len() > LONGEST {
            return Err(GatewayError::new(Code::UriTooLong, "The id is too long."));
        }
        if self.settings.numbers && !is_whole_number(&id) {
            return bad("The id is not a whole number.");
        }
        let is_fit = match self.stands {
            Stands::Body => true,
            // A service that decodes a list before it splits it would find two.
            Stands::Query => !id.contains(','),
            Stands::Path => !id.contains(',') && fill([Piece::Literal("/"), Piece::Value(&id)].into_iter()).is_ok(),
        };
        if is_fit { Ok(Arc::from(&*id)) } else { bad("The id cannot stand in a path.") }
    }

    /// What an id takes of a call, bytes: at least as many as are written.
    pub(super) fn weight(&self, id: &str) -> usize {
        let of = |byte: u8| match (self.stands, byte) {
            (Stands::Path | Stands::Query, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~') => 1,
            (Stands::Path | Stands::Query, _) => 3,
            (Stands::Body, b'"' | b'\\' | 0..=0x1f | 0x7f..) => 6,
            (Stands::Body, _) => 1,
        };
        id.bytes().map(of).sum::<usize>() + "\"\",".len()
    }

    /// The values of all parameters that are no id.
    pub(super) fn others<'p>(&self, parameters: Parameters<'p>) -> impl Iterator<Item = &'p str> {
        self.others.iter().map(move |at| parameters.get(*at))
    }

    /// What is asked for: the target, and the body, which may be none.
    pub(super) fn request(&self, parameters: Parameters<'_>, ids: &[Arc<str>]) -> Result<(PathQuery, Bytes), Unfit> {
        let mut pieces = Vec::with_capacity(self.call.len() + 2 * ids.len());
        for piece in &self.call {
            match piece {
                Compiled::Literal(text) => pieces.push(Piece::Literal(text)),
                Compiled::Param(at) => pieces.push(Piece::Param(parameters.get(*at))),
                Compiled::Rest(at) => pieces.push(Piece::Rest(parameters.get(*at))),
                Compiled::Ids => {
                    for (number, id) in ids.iter().enumerate() {
                        pieces.extend((number > 0).then_some(Piece::Literal(",")));
                        pieces.push(Piece::Value(id));
                    }
                }
            }
        }
        Ok((fill(pieces.into_iter())?, self.written(parameters, ids)?))
    }

    fn written(&self, parameters: Parameters<'_>, ids: &[Arc<str>]) -> Result<Bytes, Unfit> {
        let mut out = Vec::new();
        for piece in &self.body {
            match piece {
                Compiled::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Compiled::Param(at) | Compiled::Rest(at) => {
                    let value = percent_decode_str(parameters.get(*at)).decode_utf8().map_err(|_| Unfit)?;
                    write_string(&mut out, &value);
                }
                Compiled::Ids => {
                    out.push(b'[');
                    for (number, id) in ids.iter().enumerate() {
                        out.extend((number > 0).then_some(b','));
                        if self.settings.numbers {
                            out.extend_from_slice(id.as_bytes());
                        } else {
                            write_string(&mut out, id);
                        }
                    }
                    out.push(b']');
                }
            }
        }
        Ok(out.into())
    }
}

fn where_ids_stand(call: &[BatchPiece]) -> Stands {
    let mut stands = Stands::Path;
    for piece in call {
        match piece {
            BatchPiece::Literal(text) if text.contains('?') => stands = Stands::Query,
            BatchPiece::Ids => return stands,
            BatchPiece::Literal(_) | BatchPiece::Param(_) => {}
        }
    }
    Stands::Body
}

/// A number of JSON, in its one form.
fn is_whole_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Beyond 64 bits, services refuse the call of everybody.
    is_plain && (!digits.starts_with('0') || text == "0") && text.parse::<i64>().is_ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::batch_call;

    fn batch(path: &str, body: &str, numbers: bool) -> Batch {
        let parameters = ["shop", "id"];
        let settings = settings::Batch {
            window: Duration::from_millis(5),
            max_size: 50,
            adaptive: false,
            across_subjects: false,
            max_response: 1000,
            id: "id".into(),
            numbers,
            method: Method::POST,
            call: batch_call::target(path, &parameters).unwrap(),
            written: path.into(),
            body: batch_call::body(body, &parameters),
            items: Vec::new(),
            key: Vec::new(),
        };
        let parameters: Vec<_> = parameters.into_iter().map(|name| (name, false)).collect();
        Batch::new("b", &Arc::new(settings), &parameters, &Registry::new(1)).unwrap()
    }

    /// A path of a shop and an id.
    fn asked(shop: &str, id: &str) -> (String, [(u32, u32); 2]) {
        let end = |text: &str| u32::try_from(text.len()).unwrap();
        (format!("{shop}{id}"), [(0, end(shop)), (end(shop), end(shop) + end(id))])
    }

    fn id(batch: &Batch, written: &str) -> Result<String, Code> {
        let (path, ranges) = asked("s", written);
        let id = batch.id(Parameters { path: &path, ranges: &ranges });
        id.map(|id| id.to_string()).map_err(|error| error.code)
    }

    fn request(batch: &Batch, shop: &str, ids: &[&str]) -> Result<(String, String), Unfit> {
        let (path, ranges) = asked(shop, "x");
        let ids: Vec<Arc<str>> = ids.iter().map(|id| Arc::from(*id)).collect();
        let (target, body) = batch.request(Parameters { path: &path, ranges: &ranges }, &ids)?;
        Ok((target.to_string(), String::from_utf8(body.to_vec()).unwrap()))
    }

    #[test]
    fn ids_stand_where_the_call_wants_them() {
        let body = batch("/s/{shop}/i:batch", "{\"ids\": {ids}, \"of\": {shop}}", false);
        let expected = ("/s/a%2Fb/i:batch".to_owned(), "{\"ids\": [\"1\",\"x\\\"]}\"], \"of\": \"a/b\"}".to_owned());
        assert_eq!(request(&body, "a%2Fb", &["1", "x\"]}"]), Ok(expected));
        let numbers = batch("/{shop}", "{ids}", true);
        assert_eq!(request(&numbers, "s", &["1", "-7"]), Ok(("/s".into(), "[1,-7]".into())));
        let query = batch("/i?ids={ids}&of={shop}", "", false);
        assert_eq!(request(&query, "s&x", &["a&b=c", "é"]), Ok(("/i?ids=a%26b%3Dc,%C3%A9&of=s%26x".into(), "".into())));
        let path = batch("/{shop}/{ids}", "", false);
        assert_eq!(request(&path, "s", &["a b", "c"]), Ok(("/s/a%20b,c".into(), "".into())));
    }

    #[test]
    fn an_id_that_cannot_be_asked_for_is_refused_before_it_joins_others() {
        let (body, numbers) = (batch("/{shop}", "{ids}", false), batch("/{shop}", "{ids}", true));
        let (query, path) = (batch("/{shop}?ids={ids}", "", false), batch("/{shop}/{ids}", "", false));
        let long = "x".repeat(LONGEST + 1);
        for (batch, written, expected) in [
            (&body, "a%2Fb,%22", Ok("a/b,\"")),
            (&body, "%00", Ok("\0")),
            (&body, "%ff", Err(Code::BadRequest)),
            (&body, &*long, Err(Code::UriTooLong)),
            (&numbers, "42", Ok("42")),
            (&numbers, "-1", Ok("-1")),
            (&numbers, "0", Ok("0")),
            (&numbers, "007", Err(Code::BadRequest)),
            (&numbers, "-0", Err(Code::BadRequest)),
            (&numbers, "1.5", Err(Code::BadRequest)),
            (&numbers, "1],%22x%22:[2", Err(Code::BadRequest)),
            (&numbers, "9223372036854775807", Ok("9223372036854775807")),
            (&numbers, "9223372036854775808", Err(Code::BadRequest)),
            (&numbers, "-9223372036854775809", Err(Code::BadRequest)),
            (&numbers, "99999999999999999999", Err(Code::BadRequest)),
            (&query, "a%2Fb", Ok("a/b")),
            (&query, "1%2C2", Err(Code::BadRequest)),
            (&path, "a.b", Ok("a.b")),
            (&path, "a%2Fb", Err(Code::BadRequest)),
            (&path, "a;..", Err(Code::BadRequest)),
            (&path, "%2e%2e", Err(Code::BadRequest)),
        ] {
            assert_eq!(id(batch, written), expected.map(str::to_owned), "{written}");
        }
    }

    proptest! {
        #[test]
        fn ids_come_back_out_of_a_body_as_they_went_in(ids in prop::collection::vec("\\PC{0,6}|[\"\\\\\u{0}-\u{1f}]{0,4}", 1..5)) {
            let batch = batch("/", "{\"a\":{ids},\"b\":{shop}}", false);
            let all: Vec<&str> = ids.iter().map(String::as_str).collect();
            let (target, body) = request(&batch, "s%22", &all).unwrap();
            prop_assert_eq!(target, "/");
            prop_assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!({ "a": ids, "b": "s\"" }));
            let weight: usize = ids.iter().map(|id| batch.weight(id)).sum();
            let around = "{\"a\":[],\"b\":\"s\\\"\"}".len();
            prop_assert!(body.len() <= weight + around);
        }

        /// Whoever is let in fails nobody, and adds nothing to what is asked for.
        #[test]
        fn ids_come_back_out_of_a_path_as_they_went_in(
            ids in prop::collection::vec("(\\.|/|\\\\|%|[?#&=;+ ,]|é|\u{0}|[a-z]){0,6}", 1..5),
            in_query in any::<bool>(),
        ) {
            let batch = if in_query { batch("/a?ids={ids}&x=1", "", false) } else { batch("/a/{ids}/x", "", false) };
            let all = percent_encoding::NON_ALPHANUMERIC;
            let escape = |id: &str| percent_encoding::utf8_percent_encode(id, all).to_string();
            let ids: Vec<String> = ids.into_iter().filter(|one| id(&batch, &escape(one)).is_ok()).collect();
            prop_assume!(!ids.is_empty());
            let all: Vec<&str> = ids.iter().map(String::as_str).collect();
            let (target, _) = request(&batch, "s", &all).unwrap();
            let (before, after) = if in_query { ("/a?ids=", "&x=1") } else { ("/a/", "/x") };
            let list = target.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).unwrap();
            prop_assert!(!list.contains(['/', '?', '&', '#', '=', ';', '+']));
            let read: Vec<String> =
                list.split(',').map(|one| percent_decode_str(one).decode_utf8().unwrap().into_owned()).collect();
            prop_assert_eq!(&read, &ids);
            let weight: usize = ids.iter().map(|id| batch.weight(id)).sum();
            prop_assert!(list.len() <= weight);
        }
    }
}
