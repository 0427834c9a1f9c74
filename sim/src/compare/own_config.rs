//! A configuration that the user brings for a gateway, with blanks that a run fills in.
//!
//! `{listen}`, `{listen_host}`, `{listen_port}`: where it has to take requests; `{admin}`, `{admin_host}`,
//! `{admin_port}`: a free address for its own use; `{dir}`, `{workers}`; `mock://orders/0`, `mock-host://orders/0`,
//! `mock-port://orders/0`: that endpoint's address, or half of it. Other braces are the file's own.

use std::net::SocketAddr;
use std::path::Path;

use crate::run::Place;

/// What no filled configuration may still have.
const SCHEMES: [&str; 3] = ["mock://", "mock-host://", "mock-port://"];

/// Such a file, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnConfig {
    file_name: String,
    text: String,
}

impl OwnConfig {
    /// Reads it.
    pub(super) fn read(path: &Path) -> std::io::Result<Self> {
        let file_name =
            path.file_name().map_or_else(|| "config".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self { file_name, text: std::fs::read_to_string(path)? })
    }

    pub(super) fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The configuration for this place.
    ///
    /// # Errors
    /// When it names an endpoint that is not there, or does not say where it listens.
    pub(super) fn fill(
        &self,
        place: &Place<'_>,
        listen: SocketAddr,
        admin: SocketAddr,
        workers: usize,
    ) -> Result<String, String> {
        if !self.text.contains("{listen") {
            return Err(format!("{} has neither {{listen}} nor {{listen_port}}", self.file_name));
        }
        let mut text = self.text.clone();
        // The longer name first: `orders/1` begins `orders/10`.
        let mut endpoints: Vec<_> = place.endpoints.iter().collect();
        endpoints.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        for (name, at) in endpoints {
            text = text
                .replace(&format!("mock-host://{name}"), &at.ip().to_string())
                .replace(&format!("mock-port://{name}"), &at.port().to_string())
                .replace(&format!("mock://{name}"), &at.to_string());
        }
        if let Some(at) = SCHEMES.iter().find_map(|scheme| text.find(scheme)) {
            let name: String =
                text[at..].chars().take_while(|letter| !letter.is_whitespace() && *letter != ';').collect();
            let known: Vec<&str> = place.endpoints.keys().map(String::as_str).collect();
            return Err(format!("{}: there is no {name}; there are {}", self.file_name, known.join(", ")));
        }
        let blanks = [
            ("{listen}", listen.to_string()),
            ("{listen_host}", listen.ip().to_string()),
            ("{listen_port}", listen.port().to_string()),
            ("{admin}", admin.to_string()),
            ("{admin_host}", admin.ip().to_string()),
            ("{admin_port}", admin.port().to_string()),
            ("{dir}", place.folder.display().to_string()),
            ("{workers}", workers.to_string()),
        ];
        Ok(blanks.iter().fold(text, |text, (blank, value)| text.replace(blank, value)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn fill(text: &str) -> Result<String, String> {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let endpoints: BTreeMap<String, SocketAddr> =
            [("orders/1".to_owned(), at(9001)), ("orders/10".to_owned(), at(9010))].into();
        let place = Place { number: 0, endpoints: &endpoints, listener: None, folder: Path::new("/d"), cores: &[] };
        let own = OwnConfig { file_name: "my.conf".to_owned(), text: text.to_owned() };
        own.fill(&place, at(8001), at(8002), 2)
    }

    #[test]
    fn blanks_are_filled_and_other_braces_stay() {
        let text = "listen {listen}; workers {workers}; location / { proxy_pass http://mock://orders/10; } {dir}/x \
            port: mock-port://orders/1 host: mock-host://orders/1 {admin_port}";
        let filled = "listen 127.0.0.1:8001; workers 2; location / { proxy_pass http://127.0.0.1:9010; } /d/x \
            port: 9001 host: 127.0.0.1 8002";
        assert_eq!(fill(text), Ok(filled.to_owned()));
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert_eq!(fill("listen 80;"), Err("my.conf has neither {listen} nor {listen_port}".to_owned()));
        let said = fill("listen {listen}; server mock://users/0;").unwrap_err();
        assert_eq!(said, "my.conf: there is no mock://users/0; there are orders/1, orders/10");
    }
}
