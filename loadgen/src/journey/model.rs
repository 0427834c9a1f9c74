//! Journeys that hold: nothing in them is left to be doubted.

use std::time::Duration;

use crate::request::{Expectation, KeyError, Text, TokenKey};

/// A file of journeys.
#[derive(Debug, Clone)]
pub struct Journeys {
    /// Its name.
    pub name: String,
    /// Longest time for one request.
    pub timeout: Duration,
    /// How long a user rests after it gave a journey up, before it begins again.
    pub pause: Duration,
    /// At least one; each user goes one of them, again and again.
    pub list: Vec<Journey>,
}

/// What a user does.
#[derive(Debug, Clone)]
pub struct Journey {
    /// Its name in results.
    pub name: String,
    /// Its share of the users.
    pub weight: u32,
    /// What each user is given at its start, in this order: a name, and a text that is drawn once.
    pub user: Vec<(String, Text)>,
    /// At least one.
    pub steps: Vec<Step>,
}

/// One step of a journey: a request, or a page of several.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name in results.
    pub name: String,
    /// Its number in the file, from 0.
    pub index: usize,
    /// It is done once for each user, at its start, and again when its session was lost.
    pub once: bool,
    /// How long the user thinks before it; drawn between both, each time.
    pub think: (Duration, Duration),
    /// How often it is done in a row; drawn between both.
    pub times: (u32, u32),
    /// The request; of a page the document.
    pub request: Request,
    /// What the document's page needs besides, all asked for at once.
    pub parts: Vec<Request>,
}

/// One request of a step.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its number in the file, from 0: what samples call their template.
    pub index: usize,
    /// Its name in results.
    pub name: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: Text,
    /// Header lines.
    pub headers: Vec<(String, Text)>,
    /// The body, if there is one.
    pub body: Option<Text>,
    /// Which answers are right.
    pub expect: Expectation,
    /// What the user keeps of the answer: a name, and where it stands in the body (JSON pointer, RFC 6901).
    pub take: Vec<(String, String)>,
}

impl Journeys {
    /// Mints the tokens of all texts.
    ///
    /// # Errors
    /// When there are tokens and no key, or too many tokens.
    pub fn mint(&mut self, key: Option<&TokenKey>) -> Result<(), KeyError> {
        for journey in &mut self.list {
            journey.user.iter_mut().try_for_each(|(_, text)| text.mint(key))?;
            for step in &mut journey.steps {
                std::iter::once(&mut step.request).chain(&mut step.parts).try_for_each(|request| request.mint(key))?;
            }
        }
        Ok(())
    }

    /// Every step, in the order of the file.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.list.iter().flat_map(|journey| &journey.steps)
    }

    /// Every request, in the order of the file, which is that of their numbers.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.steps().flat_map(|step| std::iter::once(&step.request).chain(&step.parts))
    }
}

impl Request {
    fn mint(&mut self, key: Option<&TokenKey>) -> Result<(), KeyError> {
        self.path.mint(key)?;
        self.headers.iter_mut().try_for_each(|(_, value)| value.mint(key))?;
        self.body.as_mut().map_or(Ok(()), |body| body.mint(key))
    }
}
