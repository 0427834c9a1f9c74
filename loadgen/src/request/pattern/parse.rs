//! Reads placeholders. A brace before a letter begins one; `{{` before a letter is a brace; all else is itself.

use super::{Pattern, PatternError, Piece};
use crate::request::draws::Zipf;
use crate::request::token::TokenSpec;

/// Placeholders within placeholders, at most.
const MAX_DEPTH: usize = 4;
const KNOWN: &str = "known are {zipf(1000)}, {int(1, 6)}, {choice(a, b)}, {seq}, {uuid} and {token(subject=a)}; \
                     for a brace itself write {{";

pub(super) fn parse(text: &str) -> Result<Pattern, PatternError> {
    let mut parser = Parser { text, chars: text.chars().collect(), at: 0 };
    parser.pattern(0)
}

struct Parser<'a> {
    text: &'a str,
    chars: Vec<char>,
    at: usize,
}

impl Parser<'_> {
    fn error(&self, at: usize, problem: impl Into<String>) -> PatternError {
        PatternError { text: self.text.to_owned(), at: at + 1, problem: problem.into() }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// Text and placeholders: all of it at depth zero, else up to a comma or a closing parenthesis.
    fn pattern(&mut self, depth: usize) -> Result<Pattern, PatternError> {
        let mut pattern = Pattern::default();
        let mut literal = String::new();
        while let Some(next) = self.peek(0) {
            let letter = |ahead| self.peek(ahead).is_some_and(|after| after.is_ascii_alphabetic());
            match next {
                ',' | ')' if depth > 0 => break,
                '{' if self.peek(1) == Some('{') && letter(2) => {
                    literal.push('{');
                    self.at += 2;
                }
                '{' if letter(1) => {
                    pattern.push_literal(&std::mem::take(&mut literal));
                    pattern.push(self.placeholder(depth)?);
                }
                other => {
                    literal.push(other);
                    self.at += 1;
                }
            }
        }
        pattern.push_literal(&literal);
        Ok(pattern)
    }

    fn placeholder(&mut self, depth: usize) -> Result<Piece, PatternError> {
        let start = self.at;
        if depth >= MAX_DEPTH {
            return Err(self.error(start, format!("placeholders lie at most {MAX_DEPTH} deep")));
        }
        self.at += 1;
        let name = self.word();
        let arguments = if self.peek(0) == Some('(') { Some(self.arguments(depth)?) } else { None };
        if self.peek(0) != Some('}') {
            let problem = format!("`{{{name}` is not closed: write `}}` here; {KNOWN}");
            return Err(self.error(self.at, problem));
        }
        self.at += 1;
        match (name.as_str(), arguments) {
            ("seq", None) => Ok(Piece::Seq),
            ("uuid", None) => Ok(Piece::Uuid),
            ("seq" | "uuid", Some(_)) => {
                Err(self.error(start, format!("`{name}` takes no arguments: write {{{name}}}")))
            }
            ("zipf", arguments) => self.zipf(start, &arguments.unwrap_or_default()),
            ("int", arguments) => self.int(start, &arguments.unwrap_or_default()),
            ("choice", Some(options)) if options.iter().any(|option| option.pattern.fixed() != Some("")) => {
                Ok(Piece::Choice(options.into_iter().map(|option| option.pattern).collect()))
            }
            ("choice", _) => Err(self.error(start, "`choice` needs texts: write {choice(a, b)}")),
            ("token", arguments) => self.token(start, arguments.unwrap_or_default()),
            ("value", arguments) => self.value(start, &arguments.unwrap_or_default()),
            _ => Err(self.error(start, format!("`{name}` is no placeholder: {KNOWN}"))),
        }
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(|next| next.is_ascii_alphanumeric() || next == '_') {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    /// The arguments in parentheses, blanks around each taken away.
    fn arguments(&mut self, depth: usize) -> Result<Vec<Argument>, PatternError> {
        let open = self.at;
        let mut arguments = Vec::new();
        loop {
            self.at += 1;
            while self.peek(0) == Some(' ') {
                self.at += 1;
            }
            let at = self.at;
            let name = self.argument_name();
            let mut pattern = self.pattern(depth + 1)?;
            pattern.trim_end();
            arguments.push(Argument { at, name, pattern });
            match self.peek(0) {
                Some(',') => {}
                Some(')') => {
                    self.at += 1;
                    return Ok(arguments);
                }
                _ => return Err(self.error(open, "this parenthesis is not closed: write `)` before the `}`")),
            }
        }
    }

    /// `name=` before an argument, if it is there.
    fn argument_name(&mut self) -> Option<String> {
        let start = self.at;
        let name = self.word();
        if !name.is_empty() && self.peek(0) == Some('=') {
            self.at += 1;
            return Some(name);
        }
        self.at = start;
        None
    }

    fn zipf(&self, start: usize, arguments: &[Argument]) -> Result<Piece, PatternError> {
        let advice =
            "`zipf` needs how many numbers: write {zipf(1000)}, or {zipf(1000, 1.2)} with an exponent above zero";
        let bad = || self.error(start, advice);
        let (count, exponent): (u64, f64) = match arguments {
            [count] => (count.parse().ok_or_else(bad)?, 1.0),
            [count, exponent] => (count.parse().ok_or_else(bad)?, exponent.parse().ok_or_else(bad)?),
            _ => return Err(bad()),
        };
        // Past 2^53 a rank would be rounded.
        if !(1..=1 << 53).contains(&count) || !(0.01..=20.0).contains(&exponent) {
            return Err(bad());
        }
        Ok(Piece::Zipf(Zipf::new(count, exponent)))
    }

    fn int(&self, start: usize, arguments: &[Argument]) -> Result<Piece, PatternError> {
        let bad = || self.error(start, "`int` needs the least and the greatest number: write {int(1, 6)}");
        let [low, high] = arguments else { return Err(bad()) };
        let (low, high): (i64, i64) = (low.parse().ok_or_else(bad)?, high.parse().ok_or_else(bad)?);
        // The whole range of 64 bits has one number more than 64 bits can count.
        if low > high || high.abs_diff(low) == u64::MAX {
            return Err(bad());
        }
        Ok(Piece::Int { low, high })
    }

    fn value(&self, start: usize, arguments: &[Argument]) -> Result<Piece, PatternError> {
        let advice = "`value` needs the name of what a journey's user has: write {value(session)}";
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        match arguments {
            [Argument { name: None, pattern, .. }] => match pattern.fixed() {
                Some(name) if !name.is_empty() && name.bytes().all(is_word) => Ok(Piece::Value(name.into())),
                _ => Err(self.error(start, advice)),
            },
            _ => Err(self.error(start, advice)),
        }
    }

    fn token(&self, start: usize, arguments: Vec<Argument>) -> Result<Piece, PatternError> {
        let (mut key, mut claims): (Option<String>, Vec<(String, Pattern)>) = (None, Vec::new());
        for Argument { at, name, pattern } in arguments {
            let Some(name) = name else {
                return Err(self.error(at, "a claim has a name: write {token(subject=user-1, scope=read)}"));
            };
            if name == "key" {
                let advice = "`key` names the key that signs, once and as it is: write {token(key=next, subject=a)}";
                let fixed = pattern.fixed().filter(|name| !name.is_empty() && key.is_none());
                key = Some(fixed.ok_or_else(|| self.error(at, advice))?.to_owned());
                continue;
            }
            if pattern.variants().is_none() {
                let problem = "a claim must have a bounded number of values, since tokens are minted before the run: \
                               use zipf, int or choice";
                return Err(self.error(at, problem));
            }
            if claims.iter().any(|(known, _)| *known == name) {
                return Err(self.error(at, format!("the claim `{name}` is there already")));
            }
            claims.push((name, pattern));
        }
        if claims.is_empty() {
            return Err(self.error(start, "`token` needs claims: write {token(subject=user-{zipf(100)})}"));
        }
        Ok(Piece::Token(TokenSpec::new(key, claims), None))
    }
}

#[derive(Debug)]
struct Argument {
    at: usize,
    name: Option<String>,
    pattern: Pattern,
}

impl Argument {
    /// A number, where it is one.
    fn parse<T: std::str::FromStr>(&self) -> Option<T> {
        if self.name.is_some() {
            return None;
        }
        self.pattern.fixed()?.trim().parse().ok()
    }
}

impl Pattern {
    fn trim_end(&mut self) {
        if let Some(Piece::Literal(text)) = self.pieces.last_mut() {
            *text = text.trim_end().into();
        }
    }
}
