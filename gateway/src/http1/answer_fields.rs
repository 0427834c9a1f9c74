//! An answer's head of another form, judged and kept as if it had come over HTTP/1.

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::fields::{Fields, Known};
use super::response_head::{Body, MAX_FIELDS, MAX_HEAD_BYTES, ResponseHead, Seen};
use super::spare;

/// A line's bytes beside name and value.
const LINE: usize = 4;

/// Fields on their way into a head.
pub(crate) struct AnswerFields {
    block: BytesMut,
    fields: Box<Fields>,
    seen: Seen,
    count: usize,
}

impl AnswerFields {
    /// None yet, but as much room as these need.
    pub(crate) fn with_room_for(headers: &HeaderMap) -> Self {
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + LINE).sum();
        let block = BytesMut::with_capacity(bytes.min(MAX_HEAD_BYTES) + 2);
        Self { block, fields: spare::fields(), seen: Seen::default(), count: 0 }
    }

    /// One more.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn push(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), &'static str> {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes().trim_ascii());
        self.count += 1;
        if self.count > MAX_FIELDS {
            return Err("the head has too many fields");
        }
        let name_at = self.block.len();
        if name_at + name.len() + value.len() + LINE + 2 > MAX_HEAD_BYTES {
            return Err("the head is too large");
        }
        for part in [name, b": ", value, b"\r\n"] {
            self.block.put_slice(part);
        }
        match self.fields.note(name_at, name, name_at + name.len() + 2, value.len()) {
            Known::Connection | Known::TransferEncoding => Err("a field speaks of a connection of HTTP/1"),
            known => self.seen.see(known, value),
        }
    }

    /// The head, and what follows it.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn finish(mut self, status: StatusCode, request: &Method) -> Result<(ResponseHead, Body), &'static str> {
        self.block.put_slice(b"\r\n");
        let body = self.seen.body(status, request)?;
        self.fields.set_block(self.block.freeze());
        Ok((ResponseHead { status, fields: self.fields }, body))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(fields: &[(&str, &str)]) -> Result<(ResponseHead, Body), &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let mut taken = AnswerFields::with_room_for(&headers);
        for (name, value) in &headers {
            taken.push(name, value)?;
        }
        taken.finish(StatusCode::OK, &Method::GET)
    }

    #[test]
    fn a14_the_rules_of_http_1_hold() {
        let long = "a".repeat(MAX_HEAD_BYTES);
        for (fields, why) in [
            (&[("content-length", "1"), ("content-length", "1")][..], "repeated"),
            (&[("content-length", "1, 1")], "not a number"),
            (&[("content-length", "+1")], "not a number"),
            (&[("transfer-encoding", "chunked")], "connection"),
            (&[("connection", "close")], "connection"),
            (&[("x", &long)], "too large"),
        ] {
            let error = taken(fields).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let many: Vec<(String, &str)> = (0..=MAX_FIELDS).map(|at| (format!("x-{at}"), "")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, *value)).collect();
        assert_eq!(taken(&many).unwrap_err(), "the head has too many fields");
        assert!(taken(&many[1..]).is_ok());
    }

    #[test]
    fn it_is_written_like_any_other() {
        let (mut head, body) = taken(&[("x", "1"), ("server", "s"), ("content-length", "3"), ("y", " 2\t")]).unwrap();
        assert_eq!(body, Body::Length(3));
        head.fields.retain(|name| name != b"server");
        let mut lines = Vec::new();
        head.fields.write(&mut lines, false);
        assert_eq!(lines, b"x: 1\r\ny: 2\r\n");
        assert_eq!(head.fields.get("Y"), Some(&b"2"[..]));
    }

    proptest! {
        #[test]
        fn whatever_fields_come_the_same_come_out(
            given in proptest::collection::vec(("x-[a-z]{1,8}", "[!-~]([ -~]{0,20}[!-~])?"), 0..40),
        ) {
            let given: Vec<(&str, &str)> = given.iter().map(|(name, value)| (&**name, &**value)).collect();
            let (head, body) = taken(&given).unwrap();
            prop_assert_eq!(body, Body::UntilClose);
            let mut expected = HeaderMap::new();
            for (name, value) in given {
                expected.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            }
            prop_assert_eq!(head.fields.to_map(), expected);
        }
    }
}
