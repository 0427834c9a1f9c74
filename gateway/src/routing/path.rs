//! One form for each path: what is matched is what the upstream is sent.
//!
//! Done once: dot segments go (also encoded ones), `//` becomes `/` where that is set, encoded unreserved characters
//! are decoded (RFC 3986, 6.2.2), other triplets are upper-cased. Refused: malformed triplets, `%00`, backslashes,
//! control characters, spaces, `#`, bytes above ASCII, `..` above the root, and encoded slashes unless they are kept.
//!
//! Invariants: normalising twice changes nothing. No result has a `.` or `..` segment, not even for a reader that
//! decodes a kept `%2F` or cuts a segment at `;` (`/..;x=1/` is `/../` to some servers): those are refused. `;x=1` is
//! otherwise part of its segment.

use std::borrow::Cow;

use thiserror::Error;

use crate::algorithms::blocks::{BLOCK, Block};

/// What a configuration says of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathRules {
    /// `%2F` and `%5C` stay as they are; otherwise they are refused.
    pub keep_escaped_slash: bool,
    /// `//` becomes `/`.
    pub merge_slashes: bool,
}

/// Why a path is refused, with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("The path does not begin with a slash.")]
    NotAbsolute,
    /// A byte that no request target may hold as it is.
    #[error("The path holds a character that must be encoded.")]
    Forbidden,
    /// A backslash.
    #[error("The path holds a backslash.")]
    Backslash,
    /// `%` without two hexadecimal digits.
    #[error("The path holds a malformed percent-encoding.")]
    MalformedPercent,
    /// `%00`.
    #[error("The path holds an encoded NUL.")]
    Nul,
    /// `%2F` or `%5C`, where they are not kept.
    #[error("The path holds an encoded slash.")]
    EscapedSlash,
    /// `..` above the root.
    #[error("The path leads above the root.")]
    AboveRoot,
    /// `..;x` or `..%2F`: a dot segment to some readers only.
    #[error("The path holds a dot segment in disguise.")]
    HiddenDots,
}

/// The one form of a path (without query). Borrows, after one look at each byte, where it has that form already.
#[inline]
pub fn normalise(path: &str, rules: PathRules) -> Result<Cow<'_, str>, PathError> {
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let seen = scan(path.as_bytes(), rules)?;
    if seen.clean && !seen.suspicious {
        return Ok(Cow::Borrowed(path));
    }
    let path = if seen.clean { Cow::Borrowed(path) } else { Cow::Owned(rebuild(path, rules)?) };
    if has_hidden_dots(path.as_bytes()) { Err(PathError::HiddenDots) } else { Ok(path) }
}

/// Whether there is nothing to be looked at twice: no doubled slash, no segment that begins with a dot, no special
/// byte.
#[inline]
fn is_plain(path: &[u8]) -> bool {
    let (mut at, mut behind_slash) = (0, 0);
    while let Some(block) = Block::at(path, at) {
        let odd = [b'#', b'%', b'<', b'\\', b'`'].map(|byte| block.equal(byte));
        let odd = odd.into_iter().fold(block.within(b'>', b'?'), |odd, one| odd | one);
        let slashes = block.bits(block.equal(b'/'));
        behind_slash |= slashes << 1;
        let doubtful = (slashes | block.bits(block.equal(b'.'))) & behind_slash;
        if doubtful | block.bits(odd) | block.other_bits(block.within(b'!', b'~')) != 0 {
            return false;
        }
        // A slash that a block ends with is behind the next one's first byte.
        behind_slash = slashes >> (BLOCK - 1);
        at += BLOCK;
    }
    path.first() == Some(&b'/')
}

/// What one look at each byte found.
struct Seen {
    /// Nothing is to be changed.
    clean: bool,
    /// A segment that begins with a dot, or a kept slash: worth a second look.
    suspicious: bool,
}

fn scan(path: &[u8], rules: PathRules) -> Result<Seen, PathError> {
    if path.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    let mut seen = Seen { clean: true, suspicious: false };
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        match CLASS[usize::from(byte)] {
            Class::Plain => {}
            Class::Slash => match path.get(at + 1) {
                Some(b'/') if rules.merge_slashes => seen.clean = false,
                Some(b'.') => {
                    seen.suspicious = true;
                    seen.clean &= !begins_with_dot_segment(&path[at + 1..]);
                }
                _ => {}
            },
            Class::Percent => {
                let triplet = triplet(&path[at..])?;
                match triplet.byte {
                    0 => return Err(PathError::Nul),
                    b'/' | b'\\' if !rules.keep_escaped_slash => return Err(PathError::EscapedSlash),
                    b'/' | b'\\' => seen.suspicious = true,
                    _ => {}
                }
                seen.clean &= triplet.upper && !is_unreserved(triplet.byte);
                at += 2;
            }
            Class::Backslash => return Err(PathError::Backslash),
            Class::Forbidden => return Err(PathError::Forbidden),
        }
        at += 1;
    }
    Ok(seen)
}

/// The path with triplets decoded or upper-cased, and then without dot segments and doubled slashes. `scan` passed it.
#[cold]
fn rebuild(path: &str, rules: PathRules) -> Result<String, PathError> {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'%' {
            decoded.push(byte);
            at += 1;
            continue;
        }
        let triplet = triplet(&bytes[at..])?;
        if is_unreserved(triplet.byte) {
            decoded.push(triplet.byte);
        } else {
            decoded.extend(bytes[at..at + 3].iter().map(u8::to_ascii_uppercase));
        }
        at += 3;
    }
    // All of it is ASCII: the scan refused the rest.
    let decoded = String::from_utf8(decoded).map_err(|_| PathError::Forbidden)?;
    let mut out = String::with_capacity(decoded.len());
    let mut segments = decoded[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                let parent = out.rfind('/').ok_or(PathError::AboveRoot)?;
                out.truncate(parent);
            }
            "" if rules.merge_slashes => {}
            _ => {
                out.push('/');
                out.push_str(segment);
                continue;
            }
        }
        if last {
            out.push('/');
        }
    }
    Ok(out)
}

/// Whether a part of a segment, cut at kept slashes and at `;`, is a dot segment. The path is normal otherwise.
fn has_hidden_dots(path: &[u8]) -> bool {
    let escaped_slash = |rest: &[u8]| rest.starts_with(b"%2F") || rest.starts_with(b"%5C");
    let is_dots = |rest: &[u8]| {
        let dots = rest.iter().take_while(|&&byte| byte == b'.').count();
        let after = &rest[dots..];
        matches!(dots, 1 | 2) && (matches!(after.first(), None | Some(b'/' | b';')) || escaped_slash(after))
    };
    (0..path.len()).any(|at| {
        let part = match path[at] {
            b'/' => at + 1,
            b'%' if escaped_slash(&path[at..]) => at + 3,
            _ => return false,
        };
        is_dots(&path[part..])
    })
}

/// Whether the segment that begins here is `.` or `..`.
fn begins_with_dot_segment(rest: &[u8]) -> bool {
    matches!(rest, [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..])
}

/// A percent-encoded byte.
struct Triplet {
    byte: u8,
    /// Its digits are upper-case already.
    upper: bool,
}

fn triplet(rest: &[u8]) -> Result<Triplet, PathError> {
    let [_, high, low, ..] = rest else { return Err(PathError::MalformedPercent) };
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let (Some(h), Some(l)) = (digit(high), digit(low)) else { return Err(PathError::MalformedPercent) };
    Ok(Triplet { byte: h << 4 | l, upper: !high.is_ascii_lowercase() && !low.is_ascii_lowercase() })
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What a byte of a path means.
#[derive(Clone, Copy)]
enum Class {
    Plain,
    Slash,
    Percent,
    Backslash,
    Forbidden,
}

/// Tolerated though RFC 3986 wants them encoded, since clients send them and they mean nothing to anyone:
/// `"`, `[`, `]`, `^`, `{`, `|`, `}`.
static CLASS: [Class; 256] = {
    let mut table = [Class::Forbidden; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = match byte as u8 {
            b'/' => Class::Slash,
            b'%' => Class::Percent,
            b'\\' => Class::Backslash,
            b'#' | b'?' | b'<' | b'>' | b'`' => Class::Forbidden,
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use PathError as E;
    use proptest::prelude::*;

    use super::*;

    const STRICT: PathRules = PathRules { keep_escaped_slash: false, merge_slashes: true };
    const LOOSE: PathRules = PathRules { keep_escaped_slash: true, merge_slashes: false };

    #[track_caller]
    fn check(path: &str, strict: Result<&str, E>, loose: Result<&str, E>) {
        assert_eq!(normalise(path, STRICT).as_deref(), strict.as_ref().copied(), "{path}, strict");
        assert_eq!(normalise(path, LOOSE).as_deref(), loose.as_ref().copied(), "{path}, loose");
    }

    #[track_caller]
    fn both(path: &str, expected: Result<&str, E>) {
        check(path, expected, expected);
    }

    /// As `is_plain`, of each byte by its class.
    fn is_plain_by_class(path: &[u8]) -> bool {
        let is_good = |byte: &u8| matches!(CLASS[usize::from(*byte)], Class::Plain | Class::Slash);
        let is_doubtful = |two: &[u8]| two[0] == b'/' && matches!(two[1], b'/' | b'.');
        path.first() == Some(&b'/') && path.iter().all(is_good) && !path.windows(2).any(is_doubtful)
    }

    #[test]
    fn a_path_with_any_byte_at_any_place_is_plain_by_the_class_of_each() {
        for length in 1..40_usize {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    for slash in [at.checked_sub(1), Some(at + 1)].into_iter().flatten() {
                        let mut path = vec![b'a'; length];
                        path[0] = b'/';
                        path[at] = byte;
                        if let Some(place) = path.get_mut(slash) {
                            *place = b'/';
                        }
                        assert_eq!(is_plain(&path), is_plain_by_class(&path), "{}", path.escape_ascii());
                    }
                    let mut path = vec![b'a'; length];
                    (path[0], path[at]) = (b'/', byte);
                    assert_eq!(is_plain(&path), is_plain_by_class(&path), "{}", path.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn normal_paths_are_borrowed() {
        for path in
            ["/", "/a", "/a/b.c/", "/a;x=1/b", "/.well-known/a", "/...", "/a%20b%C3%A9", "/a..b", "/a:@!$&'()*+,="]
        {
            assert!(matches!(normalise(path, STRICT), Ok(Cow::Borrowed(same)) if same == path), "{path}");
        }
    }

    #[test]
    fn dot_segments_go() {
        both("/a/../admin", Ok("/admin"));
        both("/a/./b", Ok("/a/b"));
        both("/%2e%2e/admin", Err(E::AboveRoot));
        both("/a/%2E%2e/admin", Ok("/admin"));
        both("/a/.%2e/%2e./b", Err(E::AboveRoot));
        both("/a/b/..", Ok("/a/"));
        both("/a/.", Ok("/a/"));
        both("/.", Ok("/"));
        both("/..", Err(E::AboveRoot));
        both("/a/../..", Err(E::AboveRoot));
    }

    #[test]
    fn slashes_are_merged_where_that_is_set() {
        check("//admin", Ok("/admin"), Ok("//admin"));
        check("/a//b///", Ok("/a/b/"), Ok("/a//b///"));
        check("//", Ok("/"), Ok("//"));
        check("/a//../b", Ok("/b"), Ok("/a/b"));
        check("/a/.//b", Ok("/a/b"), Ok("/a//b"));
    }

    #[test]
    fn encodings_have_one_form() {
        both("/%41%7e%2d", Ok("/A~-"));
        both("/caf%c3%a9", Ok("/caf%C3%A9"));
        both("/%252e%252e", Ok("/%252e%252e"));
        check("/a%2fb", Err(E::EscapedSlash), Ok("/a%2Fb"));
        check("/a%5Cb", Err(E::EscapedSlash), Ok("/a%5Cb"));
        check("/admin%2f", Err(E::EscapedSlash), Ok("/admin%2F"));
        both("/ADMIN", Ok("/ADMIN"));
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        both("/a%00", Err(E::Nul));
        both("/%", Err(E::MalformedPercent));
        both("/%4", Err(E::MalformedPercent));
        both("/%4g", Err(E::MalformedPercent));
        both("/%+1", Err(E::MalformedPercent));
        both("/admin\\..", Err(E::Backslash));
        for path in ["/a b", "/a#b", "/a?b", "/é", "/a\u{7f}", "/a\n", "/\0"] {
            both(path, Err(E::Forbidden));
        }
        for path in ["", "a", "*", "http://a/"] {
            both(path, Err(E::NotAbsolute));
        }
    }

    #[test]
    fn dot_segments_in_disguise_are_refused() {
        both("/a/..;x=1/b", Err(E::HiddenDots));
        both("/.;/b", Err(E::HiddenDots));
        both("/%2e%2e;/b", Err(E::HiddenDots));
        check("/a/..%2fadmin", Err(E::EscapedSlash), Err(E::HiddenDots));
        check("/a%5c..%5Cadmin", Err(E::EscapedSlash), Err(E::HiddenDots));
        both("/a;..", Ok("/a;.."));
    }

    /// Paths made of the pieces that matter.
    fn hostile() -> impl Strategy<Value = String> {
        const PIECES: &[&str] =
            &["/", "//", ".", "..", "a", "%2e", "%2E", "%2f", "%5C", "%41", "%c3", ";", "x=1", "%25", "%0"];
        prop::collection::vec(prop::sample::select(PIECES), 0..14).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn a_result_is_normal(path in prop_oneof![hostile(), "/[ -~]{0,20}", ".{0,10}"], keep: bool, merge: bool) {
            let rules = PathRules { keep_escaped_slash: keep, merge_slashes: merge };
            if let Ok(once) = normalise(&path, rules) {
                let twice = normalise(&once, rules);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
                prop_assert!(once.starts_with('/') && !(merge && once.contains("//")));
                let decoded = once.replace("%2F", "/").replace("%5C", "/");
                prop_assert!(!decoded.split('/').any(|segment| segment == "." || segment == ".."));
            }
        }
    }
}
