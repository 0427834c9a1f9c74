//! What a refusal (429) tells its client: whose request it was, and when to come back.

/// Bytes of a problem document that are looked at.
const MOST: usize = 4096;
/// The finer figure of a problem document.
const FINER: &[u8] = b"\"retry_after_ms\":";

/// An answer that says when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// `x-request-id`, a UUID.
    pub request_id: u128,
    /// For how long to wait: `retry_after_ms` of the problem document, which is finer than `retry-after`; 0 where it
    /// says neither.
    pub wait_ns: u64,
}

impl Refusal {
    /// What a head says; `None` of another status, and where nobody could tell whose request it was.
    pub(crate) fn of(status: u16, request_id: Option<&[u8]>, seconds: Option<&[u8]>) -> Option<Self> {
        let request_id = (status == 429).then_some(request_id?).and_then(request_id_of)?;
        let seconds = seconds.and_then(super::parse_number).unwrap_or(0);
        Some(Self { request_id, wait_ns: seconds.saturating_mul(1_000_000_000) })
    }

    /// Keeps what is looked at of its body.
    pub(crate) fn keep(problem: &mut Vec<u8>, piece: &[u8]) {
        let room = MOST.saturating_sub(problem.len());
        problem.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// The same with what the body says; `None` where there is none, as behind a HEAD: whole seconds alone are no word
    /// to hold anybody to.
    pub(crate) fn with(self, problem: &[u8]) -> Option<Self> {
        (!problem.is_empty()).then(|| Self { wait_ns: finer_wait_ns(problem).unwrap_or(self.wait_ns), ..self })
    }
}

/// `retry_after_ms` of a problem document that these bytes hold.
#[must_use]
pub fn finer_wait_ns(problem: &[u8]) -> Option<u64> {
    let at = problem.windows(FINER.len()).position(|window| window == FINER)? + FINER.len();
    let number = problem[at..].trim_ascii_start();
    let end = number.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(number.len());
    super::parse_number(&number[..end])?.checked_mul(1_000_000)
}

/// The number of a UUID (RFC 9562, section 4).
#[must_use]
pub fn request_id_of(text: &[u8]) -> Option<u128> {
    let mut digits = text.iter().filter(|byte| **byte != b'-');
    let number = digits
        .by_ref()
        .take(32)
        .try_fold(0_u128, |number, byte| Some(number << 4 | u128::from(char::from(*byte).to_digit(16)?)))?;
    (text.len() == 36 && text.iter().filter(|byte| **byte == b'-').count() == 4 && digits.next().is_none())
        .then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &[u8] = b"1ae8e66f-ab13-4619-9aa4-9238b53017af";

    #[test]
    fn a_refusal_is_told_apart_by_its_request() {
        let of = |status, id| Refusal::of(status, id, Some(b"2")).map(|refusal| refusal.wait_ns);
        assert_eq!(of(429, Some(ID)), Some(2_000_000_000));
        assert_eq!([of(503, Some(ID)), of(429, None), of(429, Some(b"mine"))], [None; 3]);
        assert_eq!(request_id_of(ID), Some(0x1ae8_e66f_ab13_4619_9aa4_9238_b530_17af));
        for wrong in [&b"1ae8e66f-ab13-4619-9aa4-9238b53017a"[..], b"1ae8e66fab1346199aa49238b53017af", b"----", b""] {
            assert_eq!(request_id_of(wrong), None);
        }
    }

    #[test]
    fn the_document_is_finer_than_the_header() {
        let told = |problem: &[u8]| Refusal { request_id: 1, wait_ns: 5 }.with(problem).map(|refusal| refusal.wait_ns);
        assert_eq!(told(b"{\"a\":1,\"retry_after_ms\":70}"), Some(70_000_000));
        assert_eq!(told(b"{\"retry_after_ms\": 70"), Some(70_000_000));
        assert_eq!(told(b""), None, "the answer to a HEAD");
        for other in [&b"{\"retry_after_ms\":\"soon\"}"[..], b"{\"retry_after_ms\":", b"{}"] {
            assert_eq!(told(other), Some(5));
        }
    }

    #[test]
    fn no_more_is_kept_than_is_looked_at() {
        let mut problem = Vec::new();
        (0..5).for_each(|_| Refusal::keep(&mut problem, &[b' '; 1_000]));
        assert_eq!(problem.len(), MOST);
    }
}
