//! Path patterns: `*` stands for any run of characters, `/` too; everything else is itself.

/// A pattern such as `/orders/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
}

impl Glob {
    /// The pattern that this text is.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// The pattern's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Does the whole of `path` match? Takes time in the product of both lengths at worst.
    pub fn matches(&self, path: &str) -> bool {
        let (pattern, path) = (self.text.as_bytes(), path.as_bytes());
        let (mut at, mut from) = (0, 0);
        // The last star met, and the place in the path from which it is tried next.
        let mut star: Option<(usize, usize)> = None;
        while from < path.len() {
            if pattern.get(at) == Some(&b'*') {
                star = Some((at, from));
                at += 1;
            } else if pattern.get(at) == Some(&path[from]) {
                at += 1;
                from += 1;
            } else if let Some((star_at, tried)) = star {
                star = Some((star_at, tried + 1));
                at = star_at + 1;
                from = tried + 1;
            } else {
                return false;
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(pattern: &[u8], path: &[u8]) -> bool {
        match pattern.split_first() {
            None => path.is_empty(),
            Some((b'*', rest)) => (0..=path.len()).any(|skip| naive(rest, &path[skip..])),
            Some((byte, rest)) => path.first() == Some(byte) && naive(rest, &path[1..]),
        }
    }

    #[test]
    fn a_star_is_any_run() {
        let glob = Glob::new("/orders/*");
        assert!(glob.matches("/orders/7") && glob.matches("/orders/") && glob.matches("/orders/7/lines"));
        assert!(!glob.matches("/orders") && !glob.matches("/v1/orders/7"));
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_matcher(pattern in "[ab*]{0,8}", path in "[ab]{0,10}") {
            prop_assert_eq!(Glob::new(pattern.clone()).matches(&path), naive(pattern.as_bytes(), path.as_bytes()));
        }
    }
}
