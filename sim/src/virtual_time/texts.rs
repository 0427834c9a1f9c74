//! The placeholders of requests (`{zipf(1000)}`), filled in anew for each.

use loadgen::request::{Dice, Text};

use crate::scenario::model::RequestPart;

/// A request's texts, of which one at least has placeholders.
#[derive(Debug)]
pub(super) struct Texts {
    path: Text,
    headers: Vec<Text>,
    body: Text,
}

impl Texts {
    /// The texts of a request; `None` where they are the same each time.
    pub(super) fn of(part: &RequestPart) -> Option<Self> {
        let texts = || part.headers.iter().map(|(_, value)| value).chain([&part.path, &part.body]);
        if !texts().any(|text| text.contains('{')) {
            return None;
        }
        // What cannot be read was refused with its file.
        Some(Self {
            path: Text::parse(&part.path).ok()?,
            headers: part.headers.iter().map(|(_, value)| Text::parse(value)).collect::<Result<_, _>>().ok()?,
            body: Text::parse(&part.body).ok()?,
        })
    }

    /// The request with what the dice say.
    pub(super) fn fill(&self, part: &RequestPart, dice: &mut Dice) -> RequestPart {
        // Values are for the users of journeys, of which there are none here.
        let mut render = |text: &Text| text.render(dice, &Default::default());
        let path = render(&self.path);
        let values = self.headers.iter().map(&mut render).collect::<Vec<_>>();
        let headers = part.headers.iter().zip(values).map(|((name, _), value)| (name.clone(), value)).collect();
        RequestPart { path, headers, body: render(&self.body), ..part.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(path: &str, header: &str) -> RequestPart {
        RequestPart {
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: vec![("x-user".to_owned(), header.to_owned())],
            body: String::new(),
            weight: 1,
            expect: Vec::new(),
        }
    }

    #[test]
    fn placeholders_are_filled_in_by_seed_and_number_alone() {
        let part = part("/a/{seq}", "u{int(1, 1000000)}");
        let texts = Texts::of(&part).unwrap();
        let of = |number| texts.fill(&part, &mut Dice::new(7, number));
        assert_eq!((of(3).path.as_str(), of(3)), ("/a/3", of(3)));
        assert!(of(3).headers[0].1.starts_with('u') && of(3).headers != of(4).headers);
    }

    #[test]
    fn what_is_the_same_each_time_is_left_alone() {
        assert!(Texts::of(&part("/a", "b")).is_none());
    }
}
