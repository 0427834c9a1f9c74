//! A first configuration: `gateway init`, and what `gateway run --to URL` serves.

use crate::config::value::upstream_url;

/// A short commented configuration that sends everything to this URL.
///
/// # Errors
/// The URL is no upstream's; the text says why.
pub fn starter(to: &str) -> Result<String, String> {
    let url = upstream_url::parse(to)?;
    let scheme = if url.tls { "https" } else { "http" };
    let url = format!("{scheme}://{}", url.authority);
    Ok(format!(
        r#"# A gateway's configuration. `gateway defaults` prints every key with its default.

# Where clients connect.
[[listeners]]
address = "127.0.0.1:8080"

# Health, metrics and state, for operators only.
[admin]
address = "127.0.0.1:9901"

# Everything goes to one service. Write more routes above this one: `path = "/api/orders/{{*rest}}"`.
[[routes]]
name = "all"
path = "/{{*rest}}"
upstream = "{url}"
"#
    ))
}
