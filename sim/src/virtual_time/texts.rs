//! The placeholders of requests (`{zipf(1000)}`), filled in anew for each.

use loadgen::request::{Dice, KeyError, Text, TokenKey};

use crate::run::RunKeys;
use crate::scenario::Scenario;
use crate::scenario::model::{LoadPart, RequestPart};

/// For each request of each load its texts.
pub(super) fn of(scenario: &Scenario, keys: Option<&RunKeys>) -> Result<Vec<Vec<Option<Texts>>>, KeyError> {
    let key = keys.map(|keys| &keys.signing);
    let load = |load: &LoadPart| load.requests.iter().map(|part| Texts::of(part, key)).collect::<Result<Vec<_>, _>>();
    scenario.loads.iter().map(load).collect()
}

/// Whether any request has tokens, which have to be signed.
pub(super) fn hold_tokens(scenario: &Scenario) -> bool {
    let requests = scenario.loads.iter().flat_map(|load| &load.requests);
    requests.flat_map(written).any(|text| text.contains("{token("))
}

/// What of a request may have placeholders.
fn written(part: &RequestPart) -> impl Iterator<Item = &String> {
    part.headers.iter().map(|(_, value)| value).chain([&part.path, &part.body])
}

/// A request's texts, of which one at least has placeholders.
#[derive(Debug)]
pub(crate) struct Texts {
    path: Text,
    headers: Vec<Text>,
    body: Text,
}

impl Texts {
    /// The texts of a request, with their tokens; `None` where they are the same each time.
    fn of(part: &RequestPart, key: Option<&TokenKey>) -> Result<Option<Self>, KeyError> {
        let Some(mut texts) = Self::parse(part).filter(|_| written(part).any(|text| text.contains('{'))) else {
            return Ok(None);
        };
        for text in texts.headers.iter_mut().chain([&mut texts.path, &mut texts.body]) {
            text.mint(key)?;
        }
        Ok(Some(texts))
    }

    /// What cannot be read was refused with its file.
    fn parse(part: &RequestPart) -> Option<Self> {
        let headers = part.headers.iter().map(|(_, value)| Text::parse(value)).collect::<Result<_, _>>();
        Some(Self { path: Text::parse(&part.path).ok()?, headers: headers.ok()?, body: Text::parse(&part.body).ok()? })
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
            expect_headers: Vec::new(),
        }
    }

    #[test]
    fn placeholders_are_filled_in_by_seed_and_number_alone() {
        let part = part("/a/{seq}", "u{int(1, 1000000)}");
        let texts = Texts::of(&part, None).unwrap().unwrap();
        let of = |number| texts.fill(&part, &mut Dice::new(7, number));
        assert_eq!((of(3).path.as_str(), of(3)), ("/a/3", of(3)));
        assert!(of(3).headers[0].1.starts_with('u') && of(3).headers != of(4).headers);
    }

    #[test]
    fn tokens_need_a_key() {
        let part = part("/a", "Bearer {token(subject=a)}");
        assert!(matches!(Texts::of(&part, None), Err(KeyError::Missing)));
    }

    #[test]
    fn what_is_the_same_each_time_is_left_alone() {
        assert!(Texts::of(&part("/a", "b"), None).unwrap().is_none());
    }
}
