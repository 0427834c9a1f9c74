//! The paths that code names: each expression path, and each leaf of a `use` tree, written out in full.
//!
//! There is no name resolution: what was imported under another name is seen where it is imported.

use super::lexer::is_word;

/// A path as written, in full, and where it begins in the code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// The path's first byte; for a `use` tree that of the leaf.
    pub(crate) place: usize,
    /// Its segments, such as `["crate", "routing", "Table"]`.
    pub(crate) segments: Vec<String>,
}

impl NamedPath {
    /// Whether these segments, written `a::b`, stand next to one another somewhere in the path.
    pub(crate) fn contains(&self, part: &str) -> bool {
        let part: Vec<&str> = part.split("::").collect();
        self.segments.windows(part.len()).any(|window| window.iter().map(String::as_str).eq(part.iter().copied()))
    }

    /// Whether the path begins with these segments.
    pub(crate) fn starts_with(&self, part: &str) -> bool {
        let mut own = self.segments.iter();
        part.split("::").all(|segment| own.next().is_some_and(|own| own == segment))
    }

    /// As written in code.
    pub(crate) fn text(&self) -> String {
        self.segments.join("::")
    }
}

struct Scanner<'a> {
    code: &'a str,
    at: usize,
    found: Vec<NamedPath>,
}

/// All paths that code names, in its order. The code must be free of comments and literals.
pub(crate) fn named_paths(code: &str) -> Vec<NamedPath> {
    let mut scanner = Scanner { code, at: 0, found: Vec::new() };
    while scanner.at < code.len() {
        scanner.step();
    }
    scanner.found
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        self.code.get(self.at..).unwrap_or("")
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes a piece of text if it comes next.
    fn eat(&mut self, text: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn word(&mut self) -> Option<(usize, String)> {
        self.skip_space();
        let place = self.at;
        let raw = if self.rest().starts_with("r#") { 2 } else { 0 };
        let length = self.rest().bytes().skip(raw).take_while(|byte| is_word(*byte)).count();
        self.at += if length > 0 { raw + length } else { 0 };
        (length > 0).then(|| (place, self.code[place + raw..self.at].to_owned()))
    }

    fn step(&mut self) {
        self.skip_space();
        let Some((place, word)) = self.word() else {
            self.at += self.rest().chars().next().map_or(1, char::len_utf8);
            return;
        };
        if word == "use" {
            self.eat("::");
            self.use_tree(&[]);
            return;
        }
        let mut segments = vec![word];
        while self.rest().trim_start().starts_with("::") {
            self.eat("::");
            let Some((_, next)) = self.word() else { break };
            segments.push(next);
        }
        self.found.push(NamedPath { place, segments });
    }

    /// One branch of a `use` tree, up to the comma, brace or semicolon that ends it.
    fn use_tree(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        self.skip_space();
        let start = self.at;
        loop {
            if self.eat("{") {
                while !self.eat("}") && self.at < self.code.len() {
                    let before = self.at;
                    self.use_tree(&segments);
                    self.eat(",");
                    // Text that is no Rust must not hold us here.
                    self.at = self.at.max(before + 1);
                }
                return;
            }
            match self.word() {
                Some((_, word)) if word == "as" => {
                    self.word();
                    break;
                }
                Some((_, word)) if word == "self" && !segments.is_empty() => {}
                Some((_, word)) => segments.push(word),
                None if self.eat("*") => {}
                None => break,
            }
            if !self.eat("::") && !self.rest().trim_start().starts_with("as ") {
                break;
            }
        }
        if segments.len() > prefix.len() || !segments.is_empty() {
            self.found.push(NamedPath { place: start, segments });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, expected: &[&str]) {
        let texts: Vec<String> = named_paths(code).iter().map(NamedPath::text).collect();
        assert_eq!(texts, expected, "{code}");
    }

    #[test]
    fn use_trees_are_written_out() {
        check(
            "use std::{fs, net::{self, IpAddr}, env as e};",
            &["std::fs", "std::net", "std::net::IpAddr", "std::env"],
        );
        check("pub(crate) use crate::routing::*;", &["pub", "crate", "crate::routing"]);
        check("use ::std::fs; x", &["std::fs", "x"]);
        check("use super::super::{upstream::Pool}; ", &["super::super::upstream::Pool"]);
    }

    #[test]
    fn paths_in_code_are_read_as_they_stand() {
        check("let t = std::time::Instant::now();", &["let", "t", "std::time::Instant::now"]);
        check("Vec::<u8>::new()", &["Vec", "u8", "new"]);
        check("crate :: r#type :: X", &["crate::type::X"]);
    }

    #[test]
    fn parts_and_beginnings_are_whole_segments() {
        let path = &named_paths("std::network::Instant::now")[0];
        assert!(path.contains("Instant::now") && path.starts_with("std::network"));
        assert!(!path.starts_with("std::net") && !path.contains("now::Instant") && !path.contains("network::now"));
    }

    #[test]
    fn text_that_is_no_rust_ends_too() {
        for text in ["use {", "use a::{b", "use a::{;;", "use", "use ::", "a::", "use a::{{}}"] {
            named_paths(text);
        }
    }
}
