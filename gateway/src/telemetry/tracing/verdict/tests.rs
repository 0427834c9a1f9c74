//! What answers mean, as the specification has it.

use super::super::message::{Delay, PartialSuccess};
use super::*;

fn later(verdict: &Verdict) -> Option<Option<Duration>> {
    if let Verdict::Later { after, .. } = verdict { Some(*after) } else { None }
}

fn partial(rejected_spans: i64, error_message: &str) -> Vec<u8> {
    let partial_success = Some(PartialSuccess { rejected_spans, error_message: error_message.to_owned() });
    TracesAnswer { partial_success }.encode_to_vec()
}

fn delay(seconds: i64, nanos: i32) -> Vec<u8> {
    let value = RetryInfo { retry_delay: Some(Delay { seconds, nanos }) }.encode_to_vec();
    let other = Any { type_url: "type.googleapis.com/google.rpc.DebugInfo".to_owned(), value: vec![1] };
    let info = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value };
    Status { code: 8, message: String::new(), details: vec![other, info] }.encode_to_vec()
}

#[test]
fn over_http_four_statuses_are_worth_another_try_and_no_other_is() {
    let wait = Some(Duration::from_secs(7));
    for status in 200..600 {
        let verdict = Verdict::of_http(status, wait, b"");
        match status {
            200..300 => assert_eq!(verdict, Verdict::WHOLE, "{status}"),
            429 | 502 | 503 | 504 => assert_eq!(later(&verdict), Some(wait), "{status}"),
            _ => assert!(matches!(verdict, Verdict::Refused(_)), "{status}"),
        }
    }
    let body = Status { code: 3, message: "a span has\nno id".to_owned(), details: Vec::new() }.encode_to_vec();
    assert_eq!(Verdict::of_http(400, None, &body), Verdict::Refused("it answered 400: a span hasno id".to_owned()));
}

#[test]
fn over_grpc_what_may_pass_is_worth_another_try_and_exhaustion_only_with_a_time() {
    for status in 0..18 {
        let verdict = Verdict::of_grpc(status, "m", b"", b"");
        match status {
            0 => assert_eq!(verdict, Verdict::WHOLE),
            1 | 4 | 10 | 11 | 14 | 15 => assert_eq!(later(&verdict), Some(None), "{status}"),
            _ => assert_eq!(verdict, Verdict::Refused(format!("it answered with the status {status}: m"))),
        }
    }
    let wait = Duration::from_millis(2500);
    assert_eq!(later(&Verdict::of_grpc(8, "", &delay(2, 500_000_000), b"")), Some(Some(wait)));
    assert_eq!(later(&Verdict::of_grpc(14, "", &delay(0, 1), b"")), Some(Some(Duration::from_nanos(1))));
    assert_eq!(later(&Verdict::of_grpc(14, "", &delay(-1, 0), b"")), Some(None), "no time at all");
    assert_eq!(later(&Verdict::of_grpc(14, "", &delay(i64::MAX, 0), b"")), Some(Some(LONGEST)), "not for ever");
    assert_eq!(later(&Verdict::of_grpc(14, "", b"\xff\xff", b"")), Some(None), "what cannot be read says nothing");
}

#[test]
fn a_part_may_be_rejected_and_a_hint_is_none() {
    let rejected = Verdict::of_http(200, None, &partial(3, "too old"));
    assert_eq!(rejected, Verdict::Taken { rejected: 3, why: "it rejected 3 spans: too old".to_owned() });
    assert_eq!(Verdict::of_grpc(0, "", b"", &partial(3, "too old")), rejected);
    for none in [partial(0, "use another field"), partial(-1, ""), b"{}".to_vec(), b"\xff".to_vec()] {
        assert_eq!(Verdict::of_http(200, None, &none), Verdict::WHOLE);
    }
}

#[test]
fn reasons_are_one_bounded_line() {
    let Verdict::Later { why, .. } = Verdict::unanswered("a\nb".repeat(1000)) else { panic!() };
    assert!(why.len() == MOST_REASON && !why.contains('\n'), "{why}");
}

#[test]
fn what_went_wrong_is_told_with_where_that_was() {
    let at = |verdict: Verdict| verdict.at("http://127.0.0.1:4318/v1/traces");
    let why = "http://127.0.0.1:4318/v1/traces: no".to_owned();
    assert_eq!(at(Verdict::WHOLE), Verdict::WHOLE);
    assert_eq!(at(Verdict::Refused("no".to_owned())), Verdict::Refused(why.clone()));
    assert_eq!(at(Verdict::unanswered("no")), Verdict::Later { after: None, why: why.clone() });
    assert_eq!(at(Verdict::Taken { rejected: 2, why: "no".to_owned() }), Verdict::Taken { rejected: 2, why });
}
