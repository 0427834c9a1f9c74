//! Whatever a file holds, the loader answers, with bounded time and stack.

use std::path::Path;

use gateway::config::{Purpose, load_text};
use proptest::prelude::*;

/// Loads, and shows what was found: both must go through.
fn survives(text: &str) -> usize {
    match load_text(text, Path::new("gateway.toml"), Purpose::Run) {
        Ok(loaded) => loaded.warnings.iter().map(|warning| warning.render(true).len()).sum(),
        Err(problems) => {
            assert!(!problems.is_empty());
            let json = serde_json::to_string(&problems).expect("problems are JSON");
            problems.render(true).len() + problems.to_string().len() + json.len()
        }
    }
}

const REFERENCE: &str = include_str!("../../docs/contract/reference.toml");

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn text_that_looks_like_a_configuration(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "[server]\n", "[[routes]]\n", "[upstreams.a]\n", "[defaults.route]\n", "[policies.a]\n", "policies = [\"a\"]\n", "path", "upstream", " = ", "\"", "'",
            "\"/{*rest}\"", "\"/{a}\"", "\"http://b\"", "\n", "{ ", " }", "[", "]", "${", "}", "~(", "\"10s\"", "1e9", "-1",
            ",", ".", "retry", "rewrite", "endpoints", "balance", "true", "#", "\\", "\u{202e}", "\t", "ä", "\r\n", "\u{0}",
        ]), 0..60),
    ) {
        survives(&pieces.concat());
    }

    #[test]
    fn the_contract_with_a_wound(at in 0usize..REFERENCE.len(), length in 0usize..40, put in ".{0,6}") {
        let from = (0..=at).rev().find(|&i| REFERENCE.is_char_boundary(i)).unwrap_or(0);
        let end = (from + length).min(REFERENCE.len());
        let to = (end..=REFERENCE.len()).find(|&i| REFERENCE.is_char_boundary(i)).unwrap_or(REFERENCE.len());
        survives(&format!("{}{put}{}", &REFERENCE[..from], &REFERENCE[to..]));
    }
}

#[test]
fn deep_nesting_is_refused() {
    let deep = 100_000;
    survives(&format!("a = {}", "[".repeat(deep)));
    survives(&format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)));
    survives(&format!("a = {}", "{ b = ".repeat(deep)));
    survives(&format!("{} = 1", vec!["a"; deep].join(".")));
    survives(&format!("[{}]\nb = 1", vec!["a"; deep].join(".")));
    // Brackets and dotted keys, each just within the parser's own bounds.
    let dotted = vec!["a"; 79].join(".");
    let nested = format!("{{ {dotted} = ").repeat(79);
    survives(&format!("[{dotted}]\n{dotted} = {nested}1{}", " }".repeat(79)));
}

#[test]
fn large_files_are_read_or_refused() {
    survives(&format!("a = [{}]", "1,".repeat(500_000)));
    survives(&"x".repeat(9 << 20));
    let keys: String = (0..20_000).map(|n| format!("k{n} = 1\n")).collect();
    let Err(problems) = load_text(&keys, Path::new("gateway.toml"), Purpose::Check) else { panic!("unknown keys") };
    assert_eq!(problems.len(), 20_000, "those beyond what is kept are counted");
    assert_eq!(problems.iter().count(), 10_000);
}

#[test]
fn ten_thousand_routes_load() {
    let route = |n| format!("[[routes]]\npath = \"/r{n}/{{id}}\"\nupstream = \"http://127.0.0.1:{}\"\n", 1 + n % 100);
    let text: String = (0..10_000).map(route).collect();
    let loaded = load_text(&text, Path::new("gateway.toml"), Purpose::Run).expect("loads");
    assert_eq!((loaded.config.routes.len(), loaded.config.upstreams.len()), (10_000, 100));
}

#[test]
fn a_file_cannot_speak_to_the_terminal() {
    let text = "\"\\u001b[31m\" = 1\nb = '\u{202e}'";
    let Err(problems) = load_text(text, Path::new("a\u{1b}b.toml"), Purpose::Check) else { panic!("unknown keys") };
    let shown = problems.render(false);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    assert!(!shown.contains('\u{202e}'));
}
