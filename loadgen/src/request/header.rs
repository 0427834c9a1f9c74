//! Headers that an answer is expected to have, or to lack.
//!
//! What reached the upstream is expected in the same way: a mock is asked by `x-mock-show` to show lines of the request
//! as it came, and shows them as `x-mock-saw-NAME` in its answer. Who shows nothing was not asked, and that is as wrong
//! as a line that is not there.

use std::fmt;
use std::str::FromStr;

use super::is_token;

/// The request header by which a mock is asked to show lines of the request, and the line of its answer that says that
/// it was.
pub const SHOW: &str = "x-mock-show";
/// What stands before the name of a line that a mock shows.
const SAW: &str = "x-mock-saw-";

/// What is expected of the lines of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// There is a line, and each has this value.
    Is(String),
    /// There is a line, whatever it says.
    Present,
    /// There is none.
    Absent,
}

/// A header that an answer is expected to have, or to lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedHeader {
    /// The name, in small letters.
    name: String,
    /// The name in the answer.
    told_as: String,
    wanted: Wanted,
    of_request: bool,
}

/// Why a text names no header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Characters that a name cannot have, or none at all.
    #[error("`{0}` is no name of a header: write 'name: value', 'name' for any value, or '!name' for none")]
    Name(String),
    /// Characters that a value cannot have, or spaces at its ends, which no answer has.
    #[error("`{0}` is no value that a header can have")]
    Value(String),
}

impl ExpectedHeader {
    /// One of the answer.
    ///
    /// # Errors
    /// The name or the value is none that HTTP allows (RFC 9110, section 5).
    pub fn of_answer(name: &str, wanted: Wanted) -> Result<Self, HeaderError> {
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(HeaderError::Name(name.to_owned()));
        }
        let allowed = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        if let Wanted::Is(value) = &wanted
            && (!value.bytes().all(allowed) || value.trim() != value)
        {
            return Err(HeaderError::Value(value.clone()));
        }
        let name = name.to_ascii_lowercase();
        Ok(Self { told_as: name.clone(), name, wanted, of_request: false })
    }

    /// One of the request as it reached a mock. Answers that are no mock's tell nothing of it, and are not asked.
    ///
    /// # Errors
    /// As [`ExpectedHeader::of_answer`].
    pub fn of_request(name: &str, wanted: Wanted) -> Result<Self, HeaderError> {
        let header = Self::of_answer(name, wanted)?;
        Ok(Self { told_as: format!("{SAW}{}", header.name), of_request: true, ..header })
    }

    /// Whether an answer with these lines is as expected. `lines` gives all of them, each time that it is asked.
    fn holds<'a, I>(&self, lines: &impl Fn() -> I) -> bool
    where
        I: Iterator<Item = (&'a str, &'a [u8])>,
    {
        let is_shown = || lines().any(|(name, _)| name.eq_ignore_ascii_case(SHOW));
        let mut values = lines().filter(|(name, _)| name.eq_ignore_ascii_case(&self.told_as)).map(|(_, value)| value);
        let holds = match (&self.wanted, values.next()) {
            (Wanted::Absent, first) => first.is_none(),
            (Wanted::Present, first) => first.is_some(),
            (Wanted::Is(_), None) => false,
            (Wanted::Is(wanted), Some(first)) => {
                let is_it = |value: &[u8]| value.trim_ascii() == wanted.as_bytes();
                is_it(first) && values.all(is_it)
            }
        };
        holds && (!self.of_request || is_shown())
    }
}

impl FromStr for ExpectedHeader {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Self, HeaderError> {
        match (text.split_once(':'), text.strip_prefix('!')) {
            (Some((name, value)), _) => Self::of_answer(name.trim(), Wanted::Is(value.trim().to_owned())),
            (None, Some(name)) => Self::of_answer(name.trim(), Wanted::Absent),
            (None, None) => Self::of_answer(text.trim(), Wanted::Present),
        }
    }
}

impl fmt::Display for ExpectedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wanted {
            Wanted::Is(value) => write!(f, "{}: {value}", self.name),
            Wanted::Present => f.write_str(&self.name),
            Wanted::Absent => write!(f, "!{}", self.name),
        }
    }
}

/// Whether an answer with these lines lacks something of this; `by_mock` says that a mock gave it.
pub fn lacks<'a, I>(expected: &[ExpectedHeader], by_mock: bool, lines: impl Fn() -> I) -> bool
where
    I: Iterator<Item = (&'a str, &'a [u8])>,
{
    expected.iter().any(|header| (by_mock || !header.of_request) && !header.holds(&lines))
}

/// The value of the line by which a mock is asked to show what is expected of the request; `None` where nothing is.
#[must_use]
pub fn to_show(expected: &[ExpectedHeader]) -> Option<String> {
    let mut names: Vec<&str> = expected.iter().filter(|one| one.of_request).map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks_one(expected: &ExpectedHeader, by_mock: bool, lines: &[(&str, &str)]) -> bool {
        lacks(std::slice::from_ref(expected), by_mock, || lines.iter().map(|(name, value)| (*name, value.as_bytes())))
    }

    #[test]
    fn every_line_of_a_name_is_what_is_expected() {
        let is = |text: &str, lines: &[(&str, &str)]| !lacks_one(&text.parse().unwrap(), false, lines);
        assert!(is("x-a: 1", &[("X-A", " 1 "), ("x-b", "2")]));
        assert!(!is("x-a: 1", &[]) && !is("x-a: 1", &[("x-a", "2")]) && !is("x-a: 1", &[("x-a", "11")]));
        assert!(!is("x-a: 1", &[("x-a", "1"), ("x-a", "forged")]), "a second line that says otherwise");
        assert!(is("x-a", &[("x-a", "")]) && !is("x-a", &[("x-ab", "1")]));
        assert!(is("!x-a", &[("x-b", "1")]) && !is("!X-A", &[("x-a", "")]));
        assert!(is("x-url: http://a", &[("x-url", "http://a")]), "the first colon ends the name");
    }

    #[test]
    fn what_reached_a_mock_is_told_by_it_alone() {
        let one = |wanted| ExpectedHeader::of_request("X-User", wanted).unwrap();
        let user = one(Wanted::Is("7".to_owned()));
        let shown = [("x-mock-saw-x-user", "7"), ("x-mock-show", "x-user")];
        assert!(!lacks_one(&user, true, &shown));
        assert!(lacks_one(&user, true, &shown[1..]), "it did not come");
        assert!(lacks_one(&user, true, &[("x-user", "7")]), "it is the answer's own");
        assert!(!lacks_one(&user, false, &[]), "a refusal of the gateway's own tells nothing of it");
        assert!(!lacks_one(&one(Wanted::Absent), true, &shown[1..]));
        assert!(lacks_one(&one(Wanted::Absent), true, &[]), "who was not asked has not said that it is not there");
        let all = [user, "x-a".parse().unwrap(), one(Wanted::Absent)];
        assert_eq!(to_show(&all).as_deref(), Some("x-user"));
        assert_eq!(to_show(&all[1..2]), None);
    }

    #[test]
    fn what_no_header_can_be_is_refused() {
        for text in ["", ": 1", "a b", "a b: 1", "!", "ä: 1"] {
            assert!(matches!(text.parse::<ExpectedHeader>(), Err(HeaderError::Name(_))), "{text}");
        }
        assert!(matches!("a: b\r\nc: d".parse::<ExpectedHeader>(), Err(HeaderError::Value(_))));
        for text in ["x-a: 1", "x-a", "!x-a"] {
            assert_eq!(text.parse::<ExpectedHeader>().unwrap().to_string(), text);
        }
    }
}
