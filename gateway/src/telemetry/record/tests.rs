//! The rules of the module above, one story each.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// The contract's fields, in its order.
fn contract_fields() -> Vec<String> {
    let contract = include_str!("../../../../docs/contract/records.md");
    let paragraph = contract.lines().find(|line| line.starts_with("**Access record**")).unwrap();
    let (_, fields) = paragraph.split_once("null: ").unwrap();
    let (fields, _) = fields.split_once(". CR, LF").unwrap();
    let names = regex::Regex::new(r"(?:^|\), |, )`([a-z_]+)`").unwrap();
    // What stands in brackets are values, not fields.
    let bare = regex::Regex::new(r" \([^)]*\)").unwrap().replace_all(fields, "").into_owned();
    names.captures_iter(&bare).map(|found| found[1].to_owned()).collect()
}

fn full<'a>(hostile: &'a str) -> AccessRecord<'a> {
    AccessRecord {
        trace_id: Some(b"0af7651916cd43dd8448eb211c80319c"),
        span_id: Some(b"b7ad6b7169203331"),
        host: Some(hostile.as_bytes()),
        route: Some(hostile),
        subject: Some(hostile),
        code: Some(Code::UpstreamReset),
        fault: Some(Fault::Upstream),
        upstream: Some(hostile),
        endpoint: Some("127.0.0.1:9001"),
        attempts: 2,
        hedged: Some(false),
        breaker: Some("closed"),
        limit: Some(hostile),
        bytes_in: 1,
        bytes_out: u64::MAX,
        total_us: 1234,
        upstream_us: Some(1000),
        overhead_us: Some(234),
        ended: Ended::UpstreamCut,
        ..AccessRecord::new(1_795_443_296_123_456, b"0b6e7c1d", "192.0.2.1", "M-SEARCH", hostile, 502)
    }
}

fn line(record: &AccessRecord<'_>) -> String {
    let mut out = Vec::new();
    record.write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_full_record_has_the_contracts_fields_in_its_order() {
    let value: Value = serde_json::from_str(&line(&full("x"))).unwrap();
    let names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    let contract = contract_fields();
    assert_eq!(contract.len(), 27, "{contract:?}");
    assert_eq!(names, contract);
}

#[test]
fn what_is_absent_is_not_written() {
    let record = AccessRecord::new(0, b"id", "::1", "GET", "/", 404);
    assert_eq!(
        line(&record),
        "{\"ts\":\"1970-01-01T00:00:00.000000Z\",\"schema\":1,\"request_id\":\"id\",\"client\":\"::1\",\"method\":\"GET\",\
         \"path\":\"/\",\"protocol\":\"HTTP/1.1\",\"status\":404,\"code\":\"ok\",\"attempts\":0,\"bytes_in\":0,\
         \"bytes_out\":0,\"total_us\":0,\"ended\":\"complete\"}\n"
    );
}

#[test]
fn a_query_is_never_written() {
    let record = AccessRecord::new(0, b"id", "::1", "GET", "/a?token=secret?more", 200);
    assert!(line(&record).contains("\"path\":\"/a\","));
    assert!(!line(&record).contains("secret"));
}

#[test]
fn of_a_query_what_is_named_stands_behind_the_path_and_stays_in_its_field() {
    let record =
        AccessRecord { query: Some("page=2"), ..AccessRecord::new(0, b"id", "::1", "GET", "/a?token=s3", 200) };
    assert!(line(&record).contains("\"path\":\"/a?page=2\",\"protocol\""));
    let hostile = AccessRecord { query: Some("q=\",\"status\":500\r\n\u{1b}\u{202e}"), ..record };
    let written = line(&hostile);
    assert!(!written.trim_end_matches('\n').chars().any(|c| c.is_control() || c == '\u{202e}'), "{written}");
    let read: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(read["path"], "/a?q=\",\"status\":500\r\n\u{1b}\u{202e}");
    assert_eq!(read["status"], 200);
    let nothing = AccessRecord { path: "", ..record };
    assert!(!line(&nothing).contains("page"), "of what was no request, nothing is told");
}

#[test]
fn parts_and_batches_are_told_after_the_end() {
    let record = AccessRecord {
        parts: Some(3),
        parts_missing: Some("user, offers"),
        parts_results: Some("user: timeout, offers: unasked"),
        batch_size: Some(9),
        ..AccessRecord::new(0, b"i", "c", "GET", "/", 200)
    };
    assert!(line(&record).ends_with(
        "\"ended\":\"complete\",\"parts\":3,\"parts_missing\":\"user, offers\",\
         \"parts_results\":\"user: timeout, offers: unasked\",\"batch_size\":9}\n"
    ));
}

#[test]
fn how_an_answer_was_come_by_is_told_where_answers_are_kept() {
    let record = AccessRecord { cache: Some("hit"), ..AccessRecord::new(0, b"i", "c", "GET", "/", 200) };
    assert!(line(&record).ends_with("\"ended\":\"complete\",\"cache\":\"hit\"}\n"));
}

#[test]
fn headers_are_told_last_and_only_where_there_are_some() {
    let names = [http::HeaderName::from_static("user-agent")];
    let told = HeadFields::of(&names, |_| std::iter::once(&b"a \"b\""[..]));
    let none = HeadFields::default();
    let record = AccessRecord {
        batch_size: Some(9),
        request_headers: Some(&told),
        response_headers: Some(&none),
        ..AccessRecord::new(0, b"i", "c", "GET", "/", 200)
    };
    assert!(line(&record).ends_with(",\"batch_size\":9,\"request_headers\":{\"user-agent\":\"a \\\"b\\\"\"}}\n"));
    assert!(line(&AccessRecord { response_headers: Some(&told), ..record }).contains("},\"response_headers\":{\"user"));
}

proptest! {
    #[test]
    fn hostile_strings_stay_inside_their_fields(hostile in any::<String>(), ascii in "[\\x00-\\x7f]{0,30}") {
        // Not empty: an unknown method or path is not written at all.
        let hostile = format!("x{hostile}{ascii}");
        let written = line(&full(&hostile));
        prop_assert_eq!(written.matches('\n').count(), 1);
        prop_assert!(!written.trim_end_matches('\n').chars().any(char::is_control));
        let value: Value = serde_json::from_str(&written).unwrap();
        for field in ["host", "route", "subject", "upstream", "limit"] {
            prop_assert_eq!(&value[field], hostile.as_str());
        }
        prop_assert_eq!(&value["path"], hostile.split('?').next().unwrap());
        prop_assert_eq!(&value["bytes_out"], u64::MAX);
        prop_assert_eq!(value.as_object().unwrap().len(), 27);
    }
}
