//! A first configuration: `gateway init`, and what `gateway run --to URL` serves.

use std::net::SocketAddr;

use crate::config::value::upstream_url;

/// Where clients connect in it.
pub const LISTENS: &str = "127.0.0.1:8080";
/// Where operators do.
pub const ADMIN: &str = "127.0.0.1:9901";

/// A short commented configuration that sends everything to this URL.
///
/// # Errors
/// The URL is no upstream's; the text says why.
pub fn starter(to: &str) -> Result<String, String> {
    let (url, name) = upstream(to)?;
    let host = host_line(name.as_deref());
    Ok(format!(
        r#"# A gateway's configuration. `gateway defaults` prints every key with its default.

# Where clients connect.
[[listeners]]
address = "{LISTENS}"

# Health, metrics and state, for operators only.
[admin]
address = "{ADMIN}"

# Everything goes to one service. Write more routes above this one: `path = "/api/orders/{{*rest}}"`.
[[routes]]
name = "all"
path = "/{{*rest}}"
upstream = "{url}"
{host}"#
    ))
}

/// The whole configuration of a gateway without a file: everything goes to this URL. Addresses that are `None` are the
/// defaults.
///
/// # Errors
/// The URL is no upstream's; the text says why.
pub fn forwarding(to: &str, listen: Option<SocketAddr>, admin: Option<SocketAddr>) -> Result<String, String> {
    let (url, name) = upstream(to)?;
    let host = host_line(name.as_deref());
    let listener = listen.map(|address| format!("[[listeners]]\naddress = \"{address}\"\n")).unwrap_or_default();
    let admin = admin.map(|address| format!("[admin]\naddress = \"{address}\"\n")).unwrap_or_default();
    Ok(format!("{listener}{admin}[[routes]]\nname = \"all\"\npath = \"/{{*rest}}\"\nupstream = \"{url}\"\n{host}"))
}

/// A public service is asked by its own name.
fn host_line(name: Option<&str>) -> String {
    name.map(|name| format!("host = \"{name}\"\n")).unwrap_or_default()
}

/// The URL in its one form, and the name that a public service is asked by.
fn upstream(to: &str) -> Result<(String, Option<String>), String> {
    let url = upstream_url::parse(to)?;
    let scheme = if url.tls { "https" } else { "http" };
    Ok((format!("{scheme}://{}", url.authority), url.public_host()))
}
