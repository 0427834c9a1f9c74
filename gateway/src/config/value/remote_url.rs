//! Which servers of identity may be asked: with TLS, or on this machine.

use std::net::IpAddr;

use http::Uri;

/// Whether a URL may be asked. What is fetched by it decides who is believed, so nobody on the way may change it.
pub(crate) fn may_be_asked(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    // A user's name before the host is how one host is made to look like another.
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return false;
    }
    let host = authority.host().trim_matches(['[', ']']);
    let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    scheme == "https" || scheme == "http" && is_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h10_only_tls_and_this_machine_are_asked() {
        for good in [
            "https://idp.test/keys",
            "http://127.0.0.1:80/x",
            "http://localhost/x",
            "http://[::1]:8080/",
            "https://10.0.0.1",
        ] {
            assert!(may_be_asked(good), "{good}");
        }
        for bad in [
            "http://idp.test/keys",
            "http://10.0.0.1",
            "http://localhost.evil.test/",
            "ftp://127.0.0.1/",
            "file:///x",
            "http://127.0.0.1@evil.test/",
            "https://",
            "",
            "x",
        ] {
            assert!(!may_be_asked(bad), "{bad}");
        }
    }
}
