//! Why the gateway's own client of HTTP got nothing, in one line for operators: where it went, and the innermost
//! reason, the only one of a library's layers that says anything.
//!
//! For keys, introspection, collectors of spans and `gateway status`; never for a client's request.

use std::error::Error;

use reqwest::Url;

/// The longest place that is told, characters: an issuer may name any.
const MOST: usize = 200;

/// A URL as it may be told: secrets may be in what stands before the host, and behind the path.
pub(crate) fn place(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "what is no URL".to_owned() };
    // Both fail where a URL cannot have them, and then has none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.as_str().chars().take(MOST).collect()
}

/// Why there was no answer, or not all of it.
pub(crate) fn reason(error: reqwest::Error) -> String {
    match (error.is_timeout(), error.is_connect()) {
        (true, true) => "no connection in time".to_owned(),
        (true, false) => "no answer in time".to_owned(),
        (false, _) => innermost(&error.without_url()),
    }
}

/// What an error goes back to, without what each layer above says of its own work.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[test]
    fn a_place_is_told_without_what_may_be_secret() {
        for (url, told) in [
            ("https://idp.test/keys", "https://idp.test/keys"),
            ("https://idp.test", "https://idp.test/"),
            ("http://ada:word@127.0.0.1:9/keys?token=x#y", "http://127.0.0.1:9/keys"),
            ("https://idp.test/a b\n", "https://idp.test/a%20b"),
            ("idp", "what is no URL"),
        ] {
            assert_eq!(place(url), told, "{url}");
        }
        assert_eq!(place(&format!("https://idp.test/{}", "x".repeat(1_000))).len(), MOST);
    }

    /// An error with another one behind it.
    #[derive(Debug)]
    struct Layer(Option<std::io::Error>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("it did not work")
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.0.as_ref().map(|error| error as _)
        }
    }

    #[test]
    fn of_several_layers_the_innermost_is_told() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "Connection refused");
        assert_eq!(innermost(&Layer(Some(refused))), "Connection refused");
        assert_eq!(innermost(&Layer(None)), "it did not work");
    }

    #[tokio::test]
    async fn nobody_who_listens_is_one_reason_and_not_three() {
        // A port that is taken, where nobody listens.
        let taken = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        taken.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let port = taken.local_addr().unwrap().as_socket().unwrap().port();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let error = client.get(format!("http://127.0.0.1:{port}/keys")).send().await.unwrap_err();
        assert_eq!(reason(error), "Connection refused (os error 111)");
    }
}
