//! An origin of `cors`, as browsers write it: a scheme, a host and a port, in small letters, without what is the
//! scheme's own port. `*.` before a host stands for one label or more.

use http::HeaderValue;

use super::host_port;
use crate::config::settings::cors::AllowedOrigin;

/// Hosts under which anybody can have a name: the best known of those that sell or give names away.
const SHARED: [&str; 24] = [
    "amplifyapp.com",
    "appspot.com",
    "azurestaticapps.net",
    "azurewebsites.net",
    "blogspot.com",
    "cloudapp.net",
    "cloudfront.net",
    "firebaseapp.com",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "glitch.me",
    "herokuapp.com",
    "netlify.app",
    "ngrok.io",
    "onrender.com",
    "pages.dev",
    "repl.co",
    "run.app",
    "s3.amazonaws.com",
    "surge.sh",
    "vercel.app",
    "web.app",
    "workers.dev",
];
/// What stands before a country's name where names are sold below both: `co.uk`, `com.au`.
const SECOND_LEVEL: [&str; 10] = ["ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"];

/// Reads an origin; `"*"` is none, and stands for every one.
pub(crate) fn parse(text: &str) -> Result<AllowedOrigin, String> {
    require(text != "null", "any page can make itself one without an origin, so that is nobody in particular")?;
    let (scheme, rest) = text.split_once("://").ok_or("it begins with a scheme, as https://")?;
    let is_scheme =
        scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte));
    require(is_scheme && !scheme.is_empty(), "its scheme is in small letters")?;
    require(!rest.contains(['/', '?', '#']), "an origin has no path, and no slash at its end")?;
    require(rest != "*", "that is every page of the scheme; name the domain, as https://*.example.com")?;
    let parent = rest.strip_prefix("*.");
    let name = parent.unwrap_or(rest);
    require(
        !name.contains('*'),
        "a star stands for whole labels at the beginning of the host alone, as https://*.example.com",
    )?;
    require(!name.bytes().any(|byte| byte.is_ascii_uppercase()), "browsers write its host in small letters")?;
    let host = name.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(name, |(host, _)| host);
    require(!host.is_empty(), "the host is missing")?;
    let one_form = host_port::host(host).map_err(|_| "its host is a name or an address".to_owned())?;
    // Origins are compared byte by byte: another spelling would let nobody in.
    require(one_form == host, &format!("browsers write its host {one_form}"))?;
    let written = name[host.len()..].strip_prefix(':');
    match written.map(|port| (scheme, port, port.parse::<u16>())) {
        None => {}
        Some(("http", _, Ok(80)) | ("https", _, Ok(443))) => {
            return Err("browsers leave the port of the scheme out".to_owned());
        }
        Some((_, written, Ok(port))) if port > 0 => {
            require(port.to_string() == written, &format!("browsers write its port {port}"))?;
        }
        Some(_) => return Err("its port is no port".to_owned()),
    }
    if parent.is_none() {
        let value = HeaderValue::from_str(text).map_err(|_| "its host is a name or an address".to_owned())?;
        return Ok(AllowedOrigin::Exact(value));
    }
    host_port::host_name(host).map_err(|_| "a star stands before a name, and not before an address".to_owned())?;
    require(
        host.trim_end_matches('.').contains('.') || host == "localhost",
        "anybody can register a name there; a star needs a domain of your own, as https://*.example.com",
    )?;
    Ok(AllowedOrigin::Below { scheme: format!("{scheme}://").into(), suffix: format!(".{name}").into() })
}

/// Whether anybody can have a name below this host, as far as that can be told without a list of all such.
pub(crate) fn is_shared(host: &str) -> bool {
    let of_country = |(second, country): (&str, &str)| country.len() == 2 && SECOND_LEVEL.contains(&second);
    SHARED.binary_search(&host).is_ok() || host.split_once('.').is_some_and(of_country)
}

fn require(holds: bool, message: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for origin in
            ["https://[::1]:8443", "https://a.example:8443", "http://127.0.0.1:3000", "https://*.a.example:81"]
        {
            assert!(parse(origin).is_ok(), "{origin}");
        }
        for (origin, why) in [
            ("https://[::0001]:8443", "browsers write its host [::1]"),
            ("https://a.example:08443", "browsers write its port 8443"),
            ("https://a.example:+8443", "browsers write its port 8443"),
            ("https://a.example:0", "its port is no port"),
            ("https://a.example:65536", "its port is no port"),
            ("https://a.example:", "its port is no port"),
            ("https://a.example:443", "browsers leave the port of the scheme out"),
        ] {
            assert_eq!(parse(origin).unwrap_err(), why, "{origin}");
        }
    }

    #[test]
    fn hosts_under_which_anybody_has_a_name_are_known_as_such() {
        assert!(SHARED.is_sorted());
        for shared in ["github.io", "co.uk", "com.au", "s3.amazonaws.com"] {
            assert!(is_shared(shared), "{shared}");
        }
        for own in ["example.com", "shop.co.uk", "me.github.io", "co.example", "example.uk"] {
            assert!(!is_shared(own), "{own}");
        }
    }
}
