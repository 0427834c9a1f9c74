//! Tests neither wait for real time nor are switched off.
//!
//! A sleep in virtual time is fine where the line, or the one above it, says so in a comment with `virtual time`.

use crate::tidy::lexer::is_word;
use crate::tidy::tree::{File, Finding, Tree};

const SLEEPS: &[&str] = &["sleep", "sleep_until", "sleep_ms"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_in("") {
        for (index, line) in file.views.code.lines().enumerate() {
            let number = index + 1;
            if line.contains("#[ignore") {
                findings.push(Finding::new(file, number, "an ignored test proves nothing: mend it or delete it"));
            }
            if file.is_test_line(number) && sleeps(line) && !is_virtual(file, number) {
                let advice = "a test that sleeps is slow or flaky: wait for the event, or move a paused clock";
                findings.push(Finding::new(file, number, advice));
            }
        }
    }
    findings
}

/// Whether a line calls a function that sleeps. A method of that name belongs to somebody else.
fn sleeps(line: &str) -> bool {
    SLEEPS.iter().any(|name| {
        line.match_indices(name).any(|(place, _)| {
            let before = line[..place].bytes().next_back();
            let starts = before.is_none_or(|byte| !is_word(byte) && byte != b'.');
            starts && line[place + name.len()..].starts_with('(') && !line[..place].ends_with("fn ")
        })
    })
}

fn is_virtual(file: &File, number: usize) -> bool {
    let comments = file.views.comments.lines().skip(number.saturating_sub(2));
    comments.take(if number == 1 { 1 } else { 2 }).any(|line| line.contains("virtual time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::finds;

    #[test]
    fn tests_do_not_sleep() {
        let code = "fn a() { sleep(x); }\n#[cfg(test)]\nmod tests {\n fn b() { std::thread::sleep(x); }\n \
                    async fn c() { tokio::time::sleep(x).await; clock.sleep(x); }\n}";
        finds(check, &[("a/src/a.rs", code)], &["a/src/a.rs:4", "a/src/a.rs:5"]);
        finds(check, &[("a/tests/a.rs", "fn a() { thread::sleep(x); }")], &["a/tests/a.rs:1"]);
    }

    #[test]
    fn a_sleep_in_virtual_time_says_so() {
        let code = "// virtual time: the paused runtime skips it\nsleep(x);\nsleep(y);\nsleep(z); // virtual time\n";
        finds(check, &[("a/tests/a.rs", code)], &["a/tests/a.rs:3"]);
    }

    #[test]
    fn tests_are_not_switched_off() {
        finds(check, &[("a/tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn a() {}")], &["a/tests/a.rs:2"]);
        finds(check, &[("a/tests/a.rs", "let text = \"#[ignore]\";")], &[]);
    }
}
