//! One text with placeholders, for whoever sends requests by other means than the engine: the users of journeys.

use super::draws::Draws;
use super::pattern::{Pattern, PatternError, Values};
use super::token::{KeyError, TokenKey};

/// A text with placeholders (see [`Template`](super::Template)).
#[derive(Debug, Clone)]
pub struct Text(Pattern);

/// The random draws of one request: from the seed and the request's number alone.
#[derive(Debug, Clone)]
pub struct Dice {
    draws: Draws,
    number: u64,
}

impl Dice {
    /// The draws of the request with this number.
    #[must_use]
    pub fn new(seed: u64, number: u64) -> Self {
        Self { draws: Draws::new(seed, number), number }
    }

    /// A number below `count`, each as often as any other; 0 when `count` is.
    pub fn below(&mut self, count: u64) -> u64 {
        self.draws.below(count.max(1))
    }
}

impl Text {
    /// Reads a text.
    ///
    /// # Errors
    /// When a placeholder cannot be read.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Pattern::parse(text).map(Self)
    }

    /// Mints the tokens in it, with a key if there is one.
    ///
    /// # Errors
    /// When it holds tokens and there is no key, or too many tokens.
    pub fn mint(&mut self, key: Option<&TokenKey>) -> Result<(), KeyError> {
        self.0.mint(&mut |spec| key.ok_or(KeyError::Missing).and_then(|key| key.mint(spec)))
    }

    /// The names of the values that it needs.
    #[must_use]
    pub fn values(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.0.values(&mut found);
        found
    }

    /// The parts of it that are written as they are.
    #[must_use]
    pub fn literals(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.0.literals(&mut found);
        found
    }

    /// What it becomes for one request of a user who has these values.
    #[must_use]
    pub fn render(&self, dice: &mut Dice, values: &Values) -> String {
        let mut out = Vec::new();
        self.0.render_with(&mut dice.draws, dice.number, values, &mut out);
        // Texts, tokens and numbers are all UTF-8; a replacement would show as what it is.
        String::from_utf8(out).unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_filled_in_and_draws_depend_on_seed_and_number() {
        let text = Text::parse("/{value(shop)}/items/{zipf(1000)}?{{ok}").unwrap();
        assert_eq!(text.values(), ["shop"]);
        let values = Values::from([("shop".to_owned(), "a".to_owned())]);
        let of = |number| text.render(&mut Dice::new(7, number), &values);
        assert!(of(1).starts_with("/a/items/") && of(1).ends_with("?{ok}"), "{}", of(1));
        assert_eq!(of(1), of(1));
        assert!((0..50).any(|number| of(number) != of(1)));
        assert!(text.render(&mut Dice::new(7, 1), &Values::new()).starts_with("//items/"));
    }

    #[test]
    fn a_value_has_a_name_and_tokens_need_a_key() {
        for text in ["{value}", "{value()}", "{value(a, b)}", "{value(a b)}", "{value({uuid})}"] {
            assert!(Text::parse(text).unwrap_err().problem.contains("value"), "{text}");
        }
        let mut token = Text::parse("{token(subject=a)}").unwrap();
        assert_eq!(token.mint(None), Err(KeyError::Missing));
        let claim = Text::parse("{token(subject={value(a)})}").unwrap_err();
        assert!(claim.problem.contains("bounded"), "{claim}");
    }
}
