//! `path_regex`: a condition on the whole path of a request, in its one form.

use super::value_match;
use crate::config::settings::route::PathRegex;

/// Reads a pattern. It is anchored: it matches the whole path, which `^` and `$` may say too.
pub(crate) fn parse(text: &str) -> Result<PathRegex, String> {
    let regex = value_match::anchored(text)?;
    if begins_with_a_word(text) {
        return Err(format!(
            "the whole path is matched, and it begins with a slash: write /{}",
            text.trim_start_matches('^')
        ));
    }
    Ok(PathRegex { regex, written: text.into() })
}

/// Whether it asks for a path that begins with a letter or a digit, which none does.
fn begins_with_a_word(text: &str) -> bool {
    let text = text.trim_start_matches('^');
    let mut chars = text.chars();
    let is_word = chars.next().is_some_and(|first| first.is_ascii_alphanumeric());
    // Where the first one may be left out, or all of it be something else, the rest decides.
    is_word && !matches!(chars.next(), Some('?' | '*' | '{')) && !text.contains('|')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_path_is_matched() {
        let is = |pattern: &str, path: &str| parse(pattern).unwrap().regex.is_match(path);
        for pattern in ["/v[0-9]+", "^/v[0-9]+$", "/v[0-9]+|/x"] {
            assert!(is(pattern, "/v12"), "{pattern}");
            for other in ["/v12/", "/a/v12", "/v", "/v12\n", "/x/v12"] {
                assert!(!is(pattern, other), "{pattern} {other}");
            }
        }
        assert_eq!(parse("/(?<id>[a-z]+)-(x)-(?P<at>.*)").unwrap().groups().collect::<Vec<_>>(), ["id", "at"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["/(", "/[z-a]", "/a)(b", "/(?<a>x)(?<a>y)", r"/(a)\1", "/(?=a)", "/(?:[0-9]{1,1000}){1,1000}"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("v[0-9]+/items").unwrap_err().ends_with("write /v[0-9]+/items"));
        assert!(parse("^v1").is_err());
        for fine in ["a?/b", "x*/b", "", ".*", "(?i)/a", "v1|/b", "[/]a"] {
            assert!(parse(fine).is_ok(), "{fine}");
        }
    }
}
