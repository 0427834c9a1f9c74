//! What requests of a turn carry beside their path.

use loadgen::control::{Answer, ControlError, call_with};
use loadgen::request::{Dice, Template, Text, TokenKey};
use loadgen::target::Target;

/// Headers, with placeholders, and what signs the tokens in them.
#[derive(Debug, Default)]
pub struct Luggage {
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Signs each token once; turns share them.
    pub key: Option<TokenKey>,
}

/// None at all.
pub static NOTHING: Luggage = Luggage { headers: Vec::new(), key: None };

impl Luggage {
    /// Gives a template its part.
    pub(super) fn put_on(&self, template: &mut Template) {
        template.headers.extend_from_slice(&self.headers);
    }

    /// Sends one request that carries it.
    ///
    /// # Errors
    /// When the request cannot be sent, or no whole answer comes in time.
    pub(super) fn call(&self, target: &Target) -> Result<Answer, ControlError> {
        let render = |(name, value): &(String, String)| {
            let mut text = Text::parse(value).ok()?;
            text.mint(self.key.as_ref()).ok()?;
            Some((name.clone(), text.render(&mut Dice::new(1, 1), &Default::default())))
        };
        // What cannot be rendered is told when the mix is compiled.
        let headers: Vec<_> = self.headers.iter().filter_map(render).collect();
        call_with(target, "GET", &headers, &[])
    }
}
