//! Hosts to path trees: exact names, wildcards from the longest, then any host.

use std::collections::HashMap;

use ahash::RandomState;

use crate::config::settings::route::HostPattern;

/// A hasher for maps whose keys come from the configuration alone. A client can only look up, never insert, so that
/// fixed keys give it nothing to attack, and the cost of a look-up is the same in each process.
pub(super) fn fixed_hasher() -> RandomState {
    RandomState::with_seeds(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89)
}

/// For each host pattern, the root of its tree.
#[derive(Debug)]
pub(super) struct HostTable {
    exact: HashMap<Box<str>, u32, RandomState>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, u32, RandomState>,
    /// The lengths that wildcards have: other suffixes of a host are not looked up.
    shortest: usize,
    longest: usize,
    any: Option<u32>,
}

impl HostTable {
    pub(super) fn new() -> Self {
        Self {
            exact: HashMap::with_hasher(fixed_hasher()),
            wildcard: HashMap::with_hasher(fixed_hasher()),
            shortest: usize::MAX,
            longest: 0,
            any: None,
        }
    }

    /// The root for a pattern (`None` is any host); made by `make` where it is new.
    pub(super) fn root(&mut self, host: Option<&HostPattern>, make: impl FnOnce() -> u32) -> u32 {
        match host {
            None => *self.any.get_or_insert_with(make),
            Some(HostPattern::Exact(name)) => *self.exact.entry(name.as_str().into()).or_insert_with(make),
            Some(HostPattern::Wildcard(suffix)) => {
                self.shortest = self.shortest.min(suffix.len());
                self.longest = self.longest.max(suffix.len());
                *self.wildcard.entry(suffix.as_str().into()).or_insert_with(make)
            }
        }
    }

    /// Calls `visit` with the root of each pattern that this host fits, the most specific first.
    #[inline]
    pub(super) fn each(&self, host: &str, mut visit: impl FnMut(u32)) {
        if !self.exact.is_empty()
            && let Some(&root) = self.exact.get(host)
        {
            visit(root);
        }
        if !self.wildcard.is_empty() {
            self.each_wildcard(host, &mut visit);
        }
        if let Some(root) = self.any {
            visit(root);
        }
    }

    fn each_wildcard(&self, host: &str, visit: &mut impl FnMut(u32)) {
        for dot in memchr::memchr_iter(b'.', host.as_bytes()) {
            let suffix = &host[dot + 1..];
            // One label or more stands before the dot: `.example.com` is no host.
            if dot > 0
                && (self.shortest..=self.longest).contains(&suffix.len())
                && let Some(&root) = self.wildcard.get(suffix)
            {
                visit(root);
            }
        }
    }
}

/// Whether a host fits a pattern.
pub(super) fn fits(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Exact(name) => name == host,
        HostPattern::Wildcard(suffix) => {
            host.strip_suffix(suffix.as_str()).is_some_and(|label| label.len() > 1 && label.ends_with('.'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_host_comes_first() {
        let patterns = [
            None,
            Some(HostPattern::Wildcard("example.com".into())),
            Some(HostPattern::Wildcard("b.example.com".into())),
            Some(HostPattern::Exact("a.b.example.com".into())),
        ];
        let mut table = HostTable::new();
        for (number, pattern) in (0..).zip(&patterns) {
            assert_eq!(table.root(pattern.as_ref(), || number), number);
        }
        let roots = |host: &str| {
            let mut seen = Vec::new();
            table.each(host, |root| seen.push(root));
            let fitting = (0..4).rev().filter(|&n| patterns[n].as_ref().is_none_or(|pattern| fits(pattern, host)));
            assert_eq!(seen, fitting.map(|n| n as u32).collect::<Vec<_>>(), "{host}");
            seen
        };
        assert_eq!(roots("a.b.example.com"), [3, 2, 1, 0]);
        assert_eq!(roots("x.y.b.example.com"), [2, 1, 0]);
        assert_eq!(roots("b.example.com"), [1, 0]);
        for host in ["example.com", ".example.com", "xexample.com", "", "com", "..."] {
            assert_eq!(roots(host), [0], "{host}");
        }
    }
}
