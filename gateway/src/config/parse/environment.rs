//! Environment variables in strings: `${NAME}`, `${NAME:-default}`; `$${` is a literal `${`.
//!
//! Values are taken as they are: what a variable holds is not expanded again.

/// Why one that was set a moment ago is not there.
pub(crate) const AT_START: &str = "a gateway that runs has the variables that it was started with";

/// Where variables come from. The process's environment, or a test's.
pub trait Environment: Sync {
    /// A variable's value; `None` when it is not set or not Unicode.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var_os(name).and_then(|value| value.into_string().ok())
    }
}

/// Why a string could not be filled in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfilled {
    /// The variable is not set and has no default.
    NotSet(String),
    /// `${` is not followed by a name and `}`.
    Malformed,
}

/// A string that is another one than is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) content: String,
    /// A variable is in it, and not `$${` alone.
    pub(crate) is_filled_in: bool,
}

/// The string with its variables filled in; `None` where it is as it is written.
pub(crate) fn expand(text: &str, environment: &dyn Environment) -> Result<Option<Expanded>, Unfilled> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut is_filled_in) = (text, false);
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let end = inner.find('}').ok_or(Unfilled::Malformed)?;
        out.push_str(&variable(&inner[..end], environment)?);
        is_filled_in = true;
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(Some(Expanded { content: out, is_filled_in }))
}

fn variable(inner: &str, environment: &dyn Environment) -> Result<String, Unfilled> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if name.is_empty() || !letters || name.as_bytes()[0].is_ascii_digit() {
        return Err(Unfilled::Malformed);
    }
    // As in a shell, `:-` also stands in for an empty variable.
    let value = environment.get(name).filter(|value| default.is_none() || !value.is_empty());
    value.or_else(|| default.map(str::to_owned)).ok_or_else(|| Unfilled::NotSet(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Environment for Fixed {
        fn get(&self, name: &str) -> Option<String> {
            match name {
                "PORT" => Some("9001".to_owned()),
                "NESTED" => Some("${PORT}".to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            }
        }
    }

    #[test]
    fn variables_are_filled_in_once() {
        let expand = |text| expand(text, &Fixed).map(|it| it.map(|it| it.content));
        assert_eq!(expand("plain $ text"), Ok(None));
        assert_eq!(expand("a:${PORT}!"), Ok(Some("a:9001!".to_owned())));
        assert_eq!(expand("${NESTED}"), Ok(Some("${PORT}".to_owned())));
        assert_eq!(expand("${MISSING:-x:-y}"), Ok(Some("x:-y".to_owned())));
        assert_eq!(expand("${EMPTY:-x}${EMPTY}"), Ok(Some("x".to_owned())));
        assert_eq!(expand("$${PORT} ${PORT}"), Ok(Some("${PORT} 9001".to_owned())));
    }

    #[test]
    fn what_is_literal_is_from_no_environment() {
        let is_filled_in = |text| expand(text, &Fixed).unwrap().unwrap().is_filled_in;
        assert!(!is_filled_in("$${PORT}"));
        assert!(is_filled_in("$${PORT} ${PORT}"));
        assert!(is_filled_in("${PORT:-x}"));
    }

    #[test]
    fn what_cannot_be_filled_in() {
        let expand = |text| expand(text, &Fixed);
        assert_eq!(expand("${MISSING}"), Err(Unfilled::NotSet("MISSING".to_owned())));
        for text in ["${", "${}", "${PORT", "${a b}", "${1X}", "${-x}", "${:-x}"] {
            assert_eq!(expand(text), Err(Unfilled::Malformed), "{text}");
        }
    }
}
