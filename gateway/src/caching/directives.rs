//! `Cache-Control`, read once (RFC 9111, section 5.2).
//!
//! What cannot be understood forbids rather than allows: a lifetime that is no number is none, of two the shorter one
//! holds, and a directive that concerns some fields concerns all of them.

/// The longest time that is reckoned with, seconds (RFC 9111, section 1.2.2).
pub(super) const LONGEST: u32 = 1 << 31;

/// What a request or an answer says to caches.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Directives {
    /// `no-store`
    pub no_store: bool,
    /// `no-cache`, of whatever fields.
    pub no_cache: bool,
    /// `private`, of whatever fields.
    pub private: bool,
    /// `public`
    pub public: bool,
    /// `must-revalidate`
    pub must_revalidate: bool,
    /// `proxy-revalidate`
    pub proxy_revalidate: bool,
    /// `only-if-cached`
    pub only_if_cached: bool,
    /// `max-age`, seconds; 0 where it is no number.
    pub max_age: Option<u32>,
    /// `s-maxage`, seconds; 0 where it is no number.
    pub s_maxage: Option<u32>,
    /// `min-fresh`, seconds.
    pub min_fresh: Option<u32>,
    /// `max-stale`, seconds; without a number, any time.
    pub max_stale: Option<u32>,
    /// `stale-while-revalidate`, seconds (RFC 5861).
    pub stale_while_revalidate: Option<u32>,
    /// `stale-if-error`, seconds (RFC 5861).
    pub stale_if_error: Option<u32>,
}

impl Directives {
    /// Reads all lines of the header.
    pub fn read<'v>(lines: impl Iterator<Item = &'v [u8]>) -> Self {
        let mut directives = Self::default();
        for line in lines {
            for directive in elements(line) {
                let (name, value) = match memchr::memchr(b'=', directive) {
                    Some(at) => (directive[..at].trim_ascii(), Some(directive[at + 1..].trim_ascii())),
                    None => (directive, None),
                };
                directives.take(name, value);
            }
        }
        directives
    }

    fn take(&mut self, name: &[u8], value: Option<&[u8]>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let number = value.and_then(seconds);
        if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache = true;
        } else if is("private") {
            self.private = true;
        } else if is("public") {
            self.public = true;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-age") {
            shorten(&mut self.max_age, Some(number.unwrap_or(0)));
        } else if is("s-maxage") {
            shorten(&mut self.s_maxage, Some(number.unwrap_or(0)));
        } else if is("min-fresh") {
            self.min_fresh = self.min_fresh.max(number);
        } else if is("max-stale") {
            shorten(&mut self.max_stale, if value.is_none() { Some(LONGEST) } else { number });
        } else if is("stale-while-revalidate") {
            shorten(&mut self.stale_while_revalidate, number);
        } else if is("stale-if-error") {
            shorten(&mut self.stale_if_error, number);
        }
    }

    /// Whether it is said that anybody may be given the answer, whoever asked for it.
    pub fn is_for_all(&self) -> bool {
        self.public || self.s_maxage.is_some()
    }

    /// Whether an answer is of no use once it is stale (RFC 9111, section 4.2.4).
    pub fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.s_maxage.is_some()
    }
}

fn shorten(kept: &mut Option<u32>, told: Option<u32>) {
    *kept = match (*kept, told) {
        (Some(kept), Some(told)) => Some(kept.min(told)),
        (kept, told) => kept.or(told),
    };
}

/// `delta-seconds`, quoted or not; what is too large is as long as can be.
pub(super) fn seconds(text: &[u8]) -> Option<u32> {
    let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = text.iter().fold(0_u32, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    Some(seconds.min(LONGEST))
}

/// The elements of a list, trimmed; a comma within quotes ends none. What a quote does not end is one element.
pub(super) fn elements(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let (mut quoted, mut escaped) = (false, false);
        let end = line.iter().position(|byte| {
            let was_escaped = std::mem::take(&mut escaped);
            match byte {
                b'\\' if quoted && !was_escaped => escaped = true,
                b'"' if !was_escaped => quoted = !quoted,
                b',' if !quoted => return true,
                _ => {}
            }
            false
        });
        match end {
            Some(end) => {
                rest = Some(&line[end + 1..]);
                Some(line[..end].trim_ascii())
            }
            None => Some(line.trim_ascii()),
        }
    })
    .filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&str]) -> Directives {
        Directives::read(lines.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn directives_are_read_in_whatever_letters_and_lines() {
        let said = read(&["Max-Age=60, PUBLIC", " s-maxage=\"10\" ,,must-revalidate"]);
        assert_eq!((said.max_age, said.s_maxage), (Some(60), Some(10)));
        assert!(said.public && said.must_revalidate && said.is_for_all() && said.forbids_stale());
        let asked = read(&["no-cache, max-stale, min-fresh=5, only-if-cached"]);
        assert!(asked.no_cache && asked.only_if_cached && !asked.no_store);
        assert_eq!((asked.max_stale, asked.min_fresh), (Some(LONGEST), Some(5)));
        assert_eq!(read(&["max-stale=3"]).max_stale, Some(3));
        let more = read(&["stale-while-revalidate=7, stale-if-error=8, unheard-of=\"no-store\""]);
        assert_eq!((more.stale_while_revalidate, more.stale_if_error, more.no_store), (Some(7), Some(8), false));
    }

    #[test]
    fn what_is_not_understood_forbids() {
        for bad in ["max-age", "max-age=", "max-age=x", "max-age=-1", "max-age=1.5", "max-age=\"1"] {
            assert_eq!(read(&[bad]).max_age, Some(0), "{bad}");
        }
        assert_eq!(read(&["max-age=60, max-age=5"]).max_age, Some(5), "the shorter of two");
        assert_eq!(read(&["max-age=99999999999999999999"]).max_age, Some(LONGEST));
        assert!(read(&["private=\"set-cookie\""]).private && read(&["no-cache=\"a, b\""]).no_cache);
        // What a quote hides is no directive.
        let hidden = read(&["x=\"a, no-store, b\\\", private\", public"]);
        assert!(!hidden.no_store && !hidden.private && hidden.public);
        assert_eq!(read(&["stale-if-error=x"]).stale_if_error, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(line in prop::collection::vec(any::<u8>(), 0..60)) {
            let said = Directives::read(std::iter::once(&line[..]));
            prop_assert!(said.max_age.is_none_or(|age| age <= LONGEST));
            prop_assert!(elements(&line).all(|element| !element.is_empty()));
        }

        #[test]
        fn elements_without_quotes_are_what_commas_part(parts in prop::collection::vec("[a-z=0-9]{1,5}", 0..6)) {
            let line = parts.join(" , ");
            let read: Vec<&[u8]> = elements(line.as_bytes()).collect();
            prop_assert_eq!(read, parts.iter().map(String::as_bytes).collect::<Vec<_>>());
        }
    }
}
