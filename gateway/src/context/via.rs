//! `Via` (RFC 9110, section 7.6.3): who has passed a message on, and in which version each got it.

use http::{HeaderValue, Version};

/// What a gateway of this name adds to a message that it got in this version; `None` where the name can be in no
/// header.
pub fn via(name: &str, version: Version) -> Option<HeaderValue> {
    let version = match version {
        Version::HTTP_09 | Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        _ => "1.1",
    };
    format!("{version} {name}").try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_in_which_version_a_message_came() {
        for (version, told) in
            [(Version::HTTP_10, "1.0 edge:80"), (Version::HTTP_11, "1.1 edge:80"), (Version::HTTP_2, "2.0 edge:80")]
        {
            assert_eq!(via("edge:80", version).unwrap(), told);
        }
        assert_eq!(via("a\r\nb: c", Version::HTTP_11), None);
    }
}
