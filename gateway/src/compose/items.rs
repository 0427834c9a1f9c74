//! The answer of a call for many, taken apart: each item as it stands there, byte for byte.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::values;
use crate::algorithms::json_items;
use crate::config::settings::batch::Batch;
use crate::held_bytes::Kept;

/// An item up to this size is copied, so that a client that reads slowly does not hold all the others' items.
const SMALL: usize = 16 * 1024;

/// The items of an answer, as far as somebody asked for them.
pub(super) struct Items {
    body: Bytes,
    ids: Vec<Arc<str>>,
    /// In the order of the ids.
    places: Vec<Place>,
}

#[derive(Debug, Clone)]
enum Place {
    Nowhere,
    At(Range<usize>),
    Twice,
}

/// What an answer holds of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Its item.
    Item(Bytes),
    /// Nothing.
    Missing,
    /// Two items: which is meant nobody can say.
    Twice,
}

impl Items {
    /// Takes an answer apart that is JSON; `ids` are those that were asked for, in order. `None` where there is no
    /// array of items where it should be. Items without an id, and those that nobody asked for, are passed over.
    pub(super) fn of((body, share): (Bytes, Kept), settings: &Batch, ids: Vec<Arc<str>>) -> Option<Self> {
        let mut places = vec![Place::Nowhere; ids.len()];
        let array = json_items::find(&body, &settings.items)?;
        for range in json_items::elements(&body, array.start)? {
            let Some(id) = values::find(&body[range.clone()], &settings.key) else { continue };
            let Ok(at) = ids.binary_search_by(|one| (**one).cmp(&*id)) else { continue };
            places[at] = match places[at] {
                Place::Nowhere => Place::At(range),
                Place::At(_) | Place::Twice => Place::Twice,
            };
        }
        Some(Self { body: share.hold(body), ids, places })
    }

    /// What it holds of this id.
    pub(super) fn get(&self, id: &str) -> Found {
        let place = self.ids.binary_search_by(|one| (**one).cmp(id)).ok().and_then(|at| self.places.get(at));
        match place {
            None | Some(Place::Nowhere) => Found::Missing,
            Some(Place::Twice) => Found::Twice,
            Some(Place::At(range)) if range.len() <= SMALL => {
                Found::Item(Bytes::copy_from_slice(&self.body[range.clone()]))
            }
            Some(Place::At(range)) => Found::Item(self.body.slice(range.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::held_bytes::{Gathered, HeldBytes};

    fn settings(items: &[&str], key: &[&str]) -> Batch {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Batch {
            window: Duration::ZERO,
            max_size: 1,
            adaptive: false,
            across_subjects: false,
            max_response: 1,
            id: "id".into(),
            numbers: false,
            method: Method::POST,
            call: Vec::new(),
            written: Box::default(),
            body: Vec::new(),
            items: names(items),
            key: names(key),
        }
    }

    fn items(held: &Arc<HeldBytes>, text: &str, settings: &Batch, ids: &[&str]) -> Option<Items> {
        let mut gathered = Gathered::new(held, 1 << 20);
        assert!(gathered.add(text.as_bytes()));
        Items::of(gathered.into_parts(), settings, ids.iter().map(|id| Arc::from(*id)).collect())
    }

    fn item(text: &str) -> Found {
        Found::Item(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn each_gets_its_item_as_it_stands_there() {
        let held = Arc::default();
        let text = "{\"n\":2,\"items\":[ {\"id\": 2, \"x\": 1.0e0 },null,7,{\"id\":\"a\\u0062\"} ,{\"no\":1}, {\"id\":\"u\"},\
                    {\"id\":\"t\"},{\"id\":\"t\",\"y\":1},{\"id\":\"t\"},{\"id\":{}},{\"id\":1,\"id\":1}]}";
        let items = items(&held, text, &settings(&["items"], &["id"]), &["1", "2", "ab", "t", "z"]).unwrap();
        assert_eq!(items.get("2"), item("{\"id\": 2, \"x\": 1.0e0 }"));
        assert_eq!(items.get("ab"), item("{\"id\":\"a\\u0062\"}"));
        assert_eq!((items.get("z"), items.get("t"), items.get("1")), (Found::Missing, Found::Twice, Found::Missing));
        assert_eq!(items.get("u"), Found::Missing, "nobody asked for it");
    }

    #[test]
    fn an_answer_without_an_array_of_items_is_none() {
        let held = Arc::default();
        let of = |text: &str, path: &[&str]| items(&held, text, &settings(path, &["id"]), &["1"]).is_some();
        assert!(of("[{\"id\":1}]", &[]));
        assert!(of("{\"a\":{\"b\":[]}}", &["a", "b"]));
        for text in ["{\"a\":{\"b\":{}}}", "{\"a\":{}}", "[]", "{\"a\":{\"b\":[],\"b\":[]}}"] {
            assert!(!of(text, &["a", "b"]), "{text}");
        }
    }

    #[test]
    fn what_is_held_is_given_back_with_the_last_large_item() {
        let held: Arc<HeldBytes> = Arc::default();
        let large = "x".repeat(SMALL);
        let text = format!("[{{\"id\":1,\"x\":\"{large}\"}},{{\"id\":2}}]");
        let items = items(&held, &text, &settings(&[], &["id"]), &["1", "2"]).unwrap();
        let (large, small) = (items.get("1"), items.get("2"));
        drop(items);
        assert!(held.count() >= SMALL, "the large one is a part of it");
        drop(large);
        assert_eq!((held.count(), small), (0, item("{\"id\":2}")));
    }

    proptest! {
        #[test]
        fn every_item_is_its_askers_and_nobody_elses(
            all in prop::collection::vec(("[a-c]", "[x\"\\\\\\]},é]{0,4}"), 0..8),
            asked in prop::collection::btree_set("[a-d]", 0..4),
        ) {
            let written: Vec<String> =
                all.iter().map(|(id, more)| serde_json::json!({ "more": more, "id": id }).to_string()).collect();
            let text = format!("{{\"items\":[{}]}}", written.join(" , "));
            let ids: Vec<&str> = asked.iter().map(String::as_str).collect();
            let items = items(&Arc::default(), &text, &settings(&["items"], &["id"]), &ids).unwrap();
            for id in ["a", "b", "c", "d"] {
                let of: Vec<usize> = (0..all.len()).filter(|at| all[*at].0 == id).collect();
                let expected = match &of[..] {
                    _ if !asked.contains(id) => Found::Missing,
                    [] => Found::Missing,
                    [at] => item(&written[*at]),
                    _ => Found::Twice,
                };
                prop_assert_eq!(items.get(id), expected);
            }
        }
    }
}
