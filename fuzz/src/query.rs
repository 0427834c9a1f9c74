//! Whatever the query is, a service that reads what is sent in its place finds nothing that goes, and what is written
//! as it is meant.

use gateway::config::settings::header_edits::ValuePiece;
use gateway::config::settings::query_edits::{self, Parameter};
use gateway::query_edits::QueryEdits;
use http::uri::PathAndQuery;

/// The bits of the first byte say what is edited; what follows is a value, and behind a line's end the query.
pub fn check(data: &[u8]) {
    let Some((bits, rest)) = data.split_first() else { return };
    let (value, query) = rest.split_at(rest.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let Ok(query) = std::str::from_utf8(query.strip_prefix(b"\n").unwrap_or(query)) else { return };
    // No other comes this far.
    if !query.is_ascii() || PathAndQuery::try_from(format!("/?{query}")).is_err() || query.contains('#') {
        return;
    }
    let settings = query_edits::QueryEdits {
        set: vec![Parameter { name: "b c".into(), value: [ValuePiece::Param(0)].into(), is_filled_in: false }],
        add: Vec::new(),
        remove: if bits & 1 != 0 { vec!["a".into()] } else { Vec::new() },
        keep: (bits & 2 != 0).then(|| vec!["a".into(), "k".into()]),
        lost: Vec::new(),
    };
    let Some(edits) = QueryEdits::new(&settings) else { return };
    let came = (bits & 4 == 0).then_some(query);
    let sent = edits.apply(came, |_, out| out.extend_from_slice(value));
    if let Some(sent) = &sent {
        let target = format!("/?{sent}");
        assert_eq!(PathAndQuery::try_from(target.as_str()).unwrap().as_str(), target);
    }
    let written = (b"b c".to_vec(), value.to_vec());
    for signs in [&['&'][..], &['&', ';']] {
        let mut found = read(sent.as_deref(), signs);
        if !value.is_empty() {
            assert_eq!(found.pop().as_ref(), Some(&written));
        }
        let goes = |name: &[u8]| name == b"b c" || settings.remove.iter().any(|gone| gone.as_bytes() == name);
        assert!(!found.iter().any(|(name, _)| goes(name)), "{sent:?}");
        if signs.len() == 2 {
            let is_kept = |name: &[u8]| bits & 2 == 0 || name == b"a" || name == b"k";
            let mut stays = read(came, signs);
            stays.retain(|(name, _)| is_kept(name) && !goes(name));
            assert_eq!(found, stays, "{sent:?}");
        }
    }
}

/// What a service finds that ends parameters at these signs, decoded.
fn read(query: Option<&str>, signs: &[char]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    query.unwrap_or("").split(signs).filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut out) = (text.as_bytes(), Vec::new());
    while let Some((first, rest)) = bytes.split_first() {
        let digit = |at: usize| rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                bytes = &rest[2..];
            }
            (byte, _, _) => {
                out.push(if *byte == b'+' { b' ' } else { *byte });
                bytes = rest;
            }
        }
    }
    out
}
