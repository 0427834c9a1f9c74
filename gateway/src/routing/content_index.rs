//! Many routes on one path, told apart by the value of one header or query parameter: found by that value.
//!
//! Without it, ten thousand routes on one path (a tenant's name in a header, say) would be ten thousand comparisons.
//! A list of leaves keeps its order; the index says which of them can match at all. Short lists have no index.

use std::collections::HashMap;

use ahash::RandomState;
use http::HeaderName;

use super::content::Content;
use super::host::fixed_hasher;
use super::table::Ask;
use super::tree::Leaf;
use crate::config::settings::route::ValueMatch;
use crate::query::{decoded, pairs};

/// Lists up to this long are looked through: about what an indexed look-up costs.
const INDEX_ABOVE: usize = 8;

/// Leaves of one place, the best first, and perhaps an index.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    pub(super) list: Vec<Leaf>,
    index: Option<Box<ContentIndex>>,
}

#[derive(Debug)]
struct ContentIndex {
    key: Key,
    /// For each value, the places of the leaves that want it, in order.
    by_value: HashMap<Box<[u8]>, Vec<u32>, RandomState>,
    /// The leaves that do not say which value they want.
    others: Vec<u32>,
}

/// What is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Header(HeaderName),
    Query(String),
}

impl Leaves {
    /// Puts a leaf in its place: the higher priority, then more conditions, then the order of the file.
    pub(super) fn place(&mut self, leaf: Leaf) {
        let key = |leaf: &Leaf| (std::cmp::Reverse(leaf.priority), std::cmp::Reverse(leaf.conditions), leaf.route);
        let at = self.list.partition_point(|earlier| key(earlier) <= key(&leaf));
        self.list.insert(at, leaf);
    }

    /// Indexes a long list by what most of its routes want one value of.
    pub(super) fn index(&mut self, contents: &[Content]) {
        if self.list.len() <= INDEX_ABOVE {
            return;
        }
        let mut wanted: HashMap<Key, usize> = HashMap::new();
        for leaf in &self.list {
            for (key, _) in exact(&contents[leaf.route as usize]) {
                *wanted.entry(key).or_default() += 1;
            }
        }
        // Of two that are wanted as often, the first by name, so that each build gives the same index.
        let most = wanted.into_iter().max_by_key(|(key, count)| (*count, std::cmp::Reverse(key.name().to_owned())));
        let Some((key, _)) = most else { return };
        let mut by_value: HashMap<Box<[u8]>, Vec<u32>, RandomState> = HashMap::with_hasher(fixed_hasher());
        let mut others = Vec::new();
        for (place, leaf) in (0..).zip(&self.list) {
            match exact(&contents[leaf.route as usize]).find(|(own, _)| *own == key) {
                Some((_, value)) => by_value.entry(value.as_bytes().into()).or_default().push(place),
                None => others.push(place),
            }
        }
        self.index = Some(Box::new(ContentIndex { key, by_value, others }));
    }

    /// The best that `choose` finds in the lists in which a request's route can be; each is in order.
    #[inline]
    pub(super) fn best<'l>(
        &'l self,
        ask: &Ask<'_>,
        choose: impl Fn(&mut dyn Iterator<Item = &'l Leaf>) -> Option<&'l Leaf>,
        better: impl Fn(&'l Leaf, &'l Leaf) -> &'l Leaf,
    ) -> Option<&'l Leaf> {
        let Some(index) = &self.index else { return choose(&mut self.list.iter()) };
        let mut best = None;
        index.each(ask, |places| {
            let chosen = choose(&mut places.iter().map(|&place| &self.list[place as usize]));
            best = match (best, chosen) {
                (Some(one), Some(other)) => Some(better(one, other)),
                (one, other) => one.or(other),
            };
        });
        best
    }
}

impl ContentIndex {
    fn each<'l>(&'l self, ask: &Ask<'_>, mut visit: impl FnMut(&'l [u32])) {
        let mut value = |value: &[u8]| {
            if let Some(places) = self.by_value.get(value) {
                visit(places);
            }
        };
        match &self.key {
            // A route that wants one value wants it in each line, so in the first.
            Key::Header(name) => ask.headers.get(name).into_iter().for_each(|line| value(line.as_bytes())),
            Key::Query(name) => {
                for (key, text) in pairs(ask.query) {
                    if decoded(key).is_some_and(|key| *key == **name) {
                        decoded(text).iter().for_each(|text| value(text.as_bytes()));
                    }
                }
            }
        }
        visit(&self.others);
    }
}

impl Key {
    fn name(&self) -> &str {
        match self {
            Self::Header(name) => name.as_str(),
            Self::Query(name) => name,
        }
    }
}

/// The conditions that want one value.
fn exact(content: &Content) -> impl Iterator<Item = (Key, &str)> {
    let headers = content.headers.iter();
    let headers = headers.filter_map(|(name, wanted)| Some((Key::Header(name.clone()), value(wanted)?)));
    let query = content.query.iter();
    headers.chain(query.filter_map(|(name, wanted)| Some((Key::Query(name.clone()), value(wanted)?))))
}

fn value(wanted: &ValueMatch) -> Option<&str> {
    match wanted {
        ValueMatch::Exact(exact) => Some(exact),
        ValueMatch::Hidden(wanted) => value(wanted),
        ValueMatch::Present | ValueMatch::Pattern(_) => None,
    }
}
