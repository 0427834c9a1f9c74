//! Text with placeholders: parsed once, rendered for each request.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::draws::{Draws, Zipf, write_number, write_uuid};
use super::token::{TokenBank, TokenSpec};

mod parse;

/// Why a text with placeholders cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at} of `{text}`: {problem}")]
pub struct PatternError {
    /// The whole text.
    pub text: String,
    /// Where it went wrong, in characters from one.
    pub at: usize,
    /// What is wrong, and what to write.
    pub problem: String,
}

/// A text with placeholders.
#[derive(Debug, Clone, Default)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
pub(super) enum Piece {
    Literal(Box<str>),
    Zipf(Zipf),
    Int {
        low: i64,
        high: i64,
    },
    Choice(Vec<Pattern>),
    Seq,
    Uuid,
    Token(TokenSpec, Option<Arc<TokenBank>>),
    /// A value that a journey's user has.
    Value(Box<str>),
}

/// What a journey's user has, by name.
pub(super) type Values = BTreeMap<String, String>;

/// A request of a mix has no user, and so no values.
static NO_VALUES: Values = Values::new();

impl Pattern {
    /// Reads a text.
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        parse::parse(text)
    }

    /// A text without placeholders.
    pub(super) fn literal(text: &str) -> Self {
        let mut pattern = Self::default();
        pattern.push_literal(text);
        pattern
    }

    pub(super) fn push_literal(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Literal(last)) => *last = format!("{last}{text}").into_boxed_str(),
            _ if text.is_empty() => {}
            _ => self.pieces.push(Piece::Literal(text.into())),
        }
    }

    pub(super) fn push(&mut self, piece: Piece) {
        self.pieces.push(piece);
    }

    /// Adds another at the end.
    pub(super) fn append(&mut self, other: Self) {
        for piece in other.pieces {
            match piece {
                Piece::Literal(text) => self.push_literal(&text),
                other => self.push(other),
            }
        }
    }

    /// The text, where it has no placeholders.
    pub(super) fn fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Writes it for one request.
    pub(super) fn render(&self, draws: &mut Draws, number: u64, out: &mut Vec<u8>) {
        self.render_with(draws, number, &NO_VALUES, out);
    }

    /// Writes it for one request of a user who has these values; one that is not there is nothing.
    pub(super) fn render_with(&self, draws: &mut Draws, number: u64, values: &Values, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Value(name) => {
                    out.extend_from_slice(values.get(&**name).map_or(b"".as_slice(), |value| value.as_bytes()));
                }
                Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Zipf(zipf) => write_number(zipf.draw(draws).into(), out),
                Piece::Int { low, high } => {
                    let drawn = draws.below(high.abs_diff(*low) + 1);
                    write_number(i128::from(*low) + i128::from(drawn), out);
                }
                Piece::Choice(options) => {
                    let chosen = draws.below(options.len() as u64) as usize;
                    options[chosen].render_with(draws, number, values, out);
                }
                Piece::Seq => write_number(number.into(), out),
                Piece::Uuid => write_uuid(draws, out),
                Piece::Token(spec, bank) => {
                    let variant = spec.draw_variant(draws);
                    out.extend_from_slice(bank.as_ref().map_or(b"", |bank| bank.token(variant)));
                }
            }
        }
    }

    /// How many different texts it can become; `None` when that has no bound.
    pub(super) fn variants(&self) -> Option<u64> {
        self.pieces.iter().try_fold(1_u64, |product, piece| product.checked_mul(piece.variants()?))
    }

    /// Draws one of its [`Pattern::variants`], each as often as rendering would make it.
    pub(super) fn draw_variant(&self, draws: &mut Draws) -> u64 {
        self.pieces.iter().fold(0, |variant, piece| {
            let variants = piece.variants().unwrap_or(1);
            variant * variants + piece.draw_variant(draws)
        })
    }

    /// Writes one of its [`Pattern::variants`].
    pub(super) fn write_variant(&self, mut variant: u64, out: &mut String) {
        // The last piece is the lowest digit of the number.
        let mut digits = Vec::with_capacity(self.pieces.len());
        for piece in self.pieces.iter().rev() {
            let variants = piece.variants().unwrap_or(1);
            digits.push(variant % variants);
            variant /= variants;
        }
        for (piece, digit) in self.pieces.iter().zip(digits.into_iter().rev()) {
            piece.write_variant(digit, out);
        }
    }

    /// Every literal text in it, those of choices too.
    pub(super) fn literals<'a>(&'a self, found: &mut Vec<&'a str>) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => found.push(text),
                Piece::Choice(options) => options.iter().for_each(|option| option.literals(found)),
                // Tokens are base64url and dots; the rest are digits, letters and dashes.
                _ => {}
            }
        }
    }

    /// The names of all values in it, those of choices too.
    pub(super) fn values<'a>(&'a self, found: &mut Vec<&'a str>) {
        for piece in &self.pieces {
            match piece {
                Piece::Value(name) => found.push(name),
                Piece::Choice(options) => options.iter().for_each(|option| option.values(found)),
                _ => {}
            }
        }
    }

    /// Gives each token what `mint` makes of its claims.
    pub(super) fn mint<E>(&mut self, mint: &mut impl FnMut(&TokenSpec) -> Result<Arc<TokenBank>, E>) -> Result<(), E> {
        for piece in &mut self.pieces {
            match piece {
                Piece::Token(spec, bank) => *bank = Some(mint(spec)?),
                Piece::Choice(options) => options.iter_mut().try_for_each(|option| option.mint(mint))?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Piece {
    fn variants(&self) -> Option<u64> {
        match self {
            Self::Literal(_) => Some(1),
            Self::Zipf(zipf) => Some(zipf.count()),
            Self::Int { low, high } => high.abs_diff(*low).checked_add(1),
            Self::Choice(options) => options.iter().try_fold(0_u64, |sum, option| sum.checked_add(option.variants()?)),
            Self::Seq | Self::Uuid | Self::Token(..) | Self::Value(_) => None,
        }
    }

    fn draw_variant(&self, draws: &mut Draws) -> u64 {
        match self {
            Self::Zipf(zipf) => zipf.draw(draws) - 1,
            Self::Int { low, high } => draws.below(high.abs_diff(*low) + 1),
            Self::Choice(options) => {
                let chosen = draws.below(options.len() as u64) as usize;
                let before: u64 = options[..chosen].iter().map(|option| option.variants().unwrap_or(0)).sum();
                before + options[chosen].draw_variant(draws)
            }
            Self::Literal(_) | Self::Seq | Self::Uuid | Self::Token(..) | Self::Value(_) => 0,
        }
    }

    fn write_variant(&self, variant: u64, out: &mut String) {
        match self {
            Self::Literal(text) => out.push_str(text),
            Self::Zipf(_) => *out += &(variant + 1).to_string(),
            Self::Int { low, .. } => *out += &(i128::from(*low) + i128::from(variant)).to_string(),
            Self::Choice(options) => {
                let mut rest = variant;
                for option in options {
                    let variants = option.variants().unwrap_or(0);
                    if rest < variants {
                        option.write_variant(rest, out);
                        return;
                    }
                    rest -= variants;
                }
            }
            // They have no bound, so no one asks for their variants.
            Self::Seq | Self::Uuid | Self::Token(..) | Self::Value(_) => {}
        }
    }
}
