//! How many more hops a request may make that asks what is on its way (`Max-Forwards`, RFC 9110, section 7.6.2).
//!
//! Of OPTIONS alone: TRACE is served by nobody here, and to every other method the field means nothing.

use http::HeaderValue;

use crate::http1::decimal;
use crate::request_fields::{KnownName, RequestFields};

/// Whether it ends here; else one hop is taken off. What is no number means nothing.
#[cold]
pub(super) fn is_last(headers: &mut RequestFields) -> bool {
    let Some(left) = headers.get(KnownName::MAX_FORWARDS).and_then(|value| decimal(value.as_bytes())) else {
        return false;
    };
    if let Some(left) = left.checked_sub(1) {
        headers.insert(KnownName::MAX_FORWARDS, HeaderValue::from(left));
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use http::header::MAX_FORWARDS;

    use super::*;

    #[test]
    fn one_hop_is_taken_off_until_there_is_none() {
        for (told, is_at_its_end, passed_on) in
            [("0", true, "0"), ("1", false, "0"), ("070", false, "69"), ("-1", false, "-1"), ("", false, "")]
        {
            let mut headers = RequestFields::new();
            headers.insert(&MAX_FORWARDS, HeaderValue::from_static(told));
            assert_eq!(is_last(&mut headers), is_at_its_end, "{told}");
            assert_eq!(headers.get(&MAX_FORWARDS).unwrap(), passed_on, "{told}");
        }
        assert!(!is_last(&mut RequestFields::new()));
    }
}
