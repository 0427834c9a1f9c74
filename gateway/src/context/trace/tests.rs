//! The rules of the module above, one story each.

use proptest::prelude::*;

use super::super::names::{TRACEPARENT, TRACESTATE};
use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const RANDOM: [u64; 3] = [0x1111_1111_1111_1111, 0x2222_2222_2222_2222, 0x3333_3333_3333_3333];
const FRESH: &str = "11111111111111112222222222222222";

fn policy(trust_incoming: TrustTrace, sample_ratio: f64) -> TracePolicy {
    TracePolicy::new(&Tracing { sample_ratio, trust_incoming, export: None })
}

fn headers(parents: &[&str], states: &[&str]) -> RequestFields {
    let mut headers = RequestFields::new();
    for parent in parents {
        headers.append(&TRACEPARENT, parent);
    }
    for state in states {
        headers.append(&TRACESTATE, state);
    }
    headers
}

#[test]
fn only_strict_traceparents_are_continued() {
    let cases = [
        (GIVEN, true),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", true),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-brings", true),
        ("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-", true),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x", false),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-", false),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
        ("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319c-B7ad6b7169203331-01", false),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false),
        ("0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g", false),
        ("00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01", false),
        ("00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", false),
        ("", false),
        ("00", false),
    ];
    for (given, continued) in cases {
        let found = TraceContext::continue_or_start(
            &headers(&[given], &["a=1"]),
            &policy(TrustTrace::Always, 0.0),
            true,
            RANDOM,
        );
        assert_eq!(found.trace_id_text() == TRACE.as_bytes(), continued, "{given}");
        assert_eq!(found.trace_id_text() == FRESH.as_bytes(), !continued, "{given}");
        assert_eq!(found.tracestate.is_some(), continued, "{given}");
        assert_eq!(found.parent_id.is_some(), continued, "{given}");
        assert_eq!(found.span_id_text(), b"3333333333333333", "{given}");
    }
}

#[test]
fn what_goes_out_is_version_00_with_our_own_span() {
    let future = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-more";
    let found =
        TraceContext::continue_or_start(&headers(&[future], &[]), &policy(TrustTrace::Always, 0.0), true, RANDOM);
    assert_eq!(found.to_header_value(), "00-0af7651916cd43dd8448eb211c80319c-3333333333333333-01");
    assert_eq!(found.parent_id, Some([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]));
}

#[test]
fn a_repeated_traceparent_starts_a_new_trace() {
    let twice = headers(&[GIVEN, GIVEN], &["a=1"]);
    let found = TraceContext::continue_or_start(&twice, &policy(TrustTrace::Always, 1.0), true, RANDOM);
    assert_eq!((found.trace_id_text(), &found.tracestate), (FRESH.as_bytes(), &None));
}

#[test]
fn a_tracestate_without_a_trace_is_dropped() {
    let found =
        TraceContext::continue_or_start(&headers(&[], &["a=1"]), &policy(TrustTrace::Always, 1.0), true, RANDOM);
    assert_eq!(found.tracestate, None);
}

#[test]
fn trust_decides_what_goes_on() {
    // trust, peer trusted, ratio, the peer's bit -> continued, sampled
    let cases = [
        (TrustTrace::Always, true, 0.0, "01", true, true),
        (TrustTrace::Always, true, 1.0, "00", true, false),
        (TrustTrace::Always, false, 0.0, "01", true, false),
        (TrustTrace::Always, false, 1.0, "00", true, true),
        (TrustTrace::Trusted, true, 0.0, "01", true, true),
        (TrustTrace::Trusted, false, 0.0, "01", false, false),
        (TrustTrace::Trusted, false, 1.0, "00", false, true),
        (TrustTrace::Never, true, 0.0, "01", false, false),
        (TrustTrace::Never, true, 1.0, "00", false, true),
    ];
    for (trust, trusted, ratio, bit, continued, sampled) in cases {
        let given = format!("{}{bit}", &GIVEN[..53]);
        let found = TraceContext::continue_or_start(&headers(&[&given], &[]), &policy(trust, ratio), trusted, RANDOM);
        let case = format!("{trust:?} trusted={trusted} ratio={ratio} bit={bit}");
        assert_eq!(found.trace_id_text() == TRACE.as_bytes(), continued, "{case}");
        assert_eq!(found.sampled(), sampled, "{case}");
        assert_eq!(found.to_header_value().as_bytes()[54], b'0' + u8::from(sampled), "{case}");
    }
}

#[test]
fn ids_are_never_zero() {
    let found = TraceContext::continue_or_start(&RequestFields::new(), &policy(TrustTrace::Always, 0.0), false, [0; 3]);
    assert_eq!(found.to_header_value(), "00-00000000000000000000000000000001-0000000000000001-00");
}

#[test]
fn the_ratio_is_kept_and_two_gateways_agree() {
    let one_percent = policy(TrustTrace::Always, 0.01);
    let mut id = 0x9e37_79b9_7f4a_7c15_u64;
    let sampled = (0..100_000)
        .filter(|_| {
            id = id.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // The low bits of this generator are poor; a rotation puts the good ones where the decision looks.
            let random = [0, id.rotate_right(32), 1];
            let here = TraceContext::continue_or_start(&RequestFields::new(), &one_percent, false, random);
            let next = headers(&[here.to_header_value().to_str().unwrap()], &[]);
            let there = TraceContext::continue_or_start(&next, &one_percent, false, [7, 7, 7]);
            assert_eq!(here.sampled(), there.sampled());
            here.sampled()
        })
        .count();
    assert!((850..1150).contains(&sampled), "{sampled}");
}

proptest! {
    #[test]
    fn what_goes_out_is_accepted_by_the_next(random in any::<[u64; 3]>(), sampled in any::<bool>()) {
        let ratio = f64::from(u8::from(sampled));
        let policy = policy(TrustTrace::Always, ratio);
        let here = TraceContext::continue_or_start(&RequestFields::new(), &policy, false, random);
        let sent = here.to_header_value();
        let read = Incoming::parse(sent.as_bytes()).unwrap();
        prop_assert_eq!(read, Incoming { trace_id: here.trace_id, parent_id: here.span_id, sampled });
    }

    #[test]
    fn any_bytes_are_parsed_without_harm(text in proptest::collection::vec(any::<u8>(), 0..80)) {
        if Incoming::parse(&text).is_some() {
            prop_assert!(text.len() >= LEN);
        }
    }
}

#[test]
fn a_head_that_tells_of_the_trace_names_another_span_and_any_other_stays_as_it_is() {
    let ours = TraceContext::new([0xab; 16], [1; 8], None, true, None);
    let span = NonZeroU64::new(0x0123_4567_89ab_cdef).unwrap();
    let told = format!("00-{}-0123456789abcdef-01", "ab".repeat(16));
    let other = "00-cccccccccccccccccccccccccccccccc-1111111111111111-01";
    let head = |lines: &[u8], field: Option<&str>| {
        let mut headers = RequestFields::new();
        headers.extend(field.map(|value| (&TRACEPARENT, value)));
        let target = crate::request_target::PathQuery::from_static("/");
        RequestHead { method: http::Method::GET, target, headers, lines: lines.to_vec(), names: None }
    };
    let own = std::str::from_utf8(ours.as_bytes()).unwrap();

    let line = |value: &str| format!("x-request-id: traceparent\r\ntraceparent: {value}\r\nx-a: 1\r\n").into_bytes();
    let mut lines = head(&line(own), None);
    // Once more for the next attempt.
    ours.name_parent(&mut lines, NonZeroU64::MAX);
    ours.name_parent(&mut lines, span);
    assert_eq!(lines.lines, line(&told));

    let mut field = head(b"", Some(own));
    ours.name_parent(&mut field, NonZeroU64::MAX);
    ours.name_parent(&mut field, span);
    assert_eq!(field.headers.get(&TRACEPARENT).unwrap(), told);

    for mut untouched in [head(&line(other), None), head(b"", Some(other)), head(b"", None)] {
        let (lines, headers) = (untouched.lines.clone(), untouched.headers.clone());
        ours.name_parent(&mut untouched, span);
        assert_eq!((untouched.lines, untouched.headers), (lines, headers));
    }
}
