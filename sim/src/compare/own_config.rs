//! A configuration that the user brings for a gateway, with blanks that a run fills in.
//!
//! `{listen}`, `{listen_host}`, `{listen_port}`: where it has to take requests; `{admin}`, `{admin_host}`,
//! `{admin_port}`: a free address for its own use; `{dir}`, `{workers}`; `mock://orders/0`, `mock-host://orders/0`,
//! `mock-port://orders/0`: that endpoint's address, or half of it. Other braces are the file's own.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::outward;
use crate::run::Place;

/// What no filled configuration may still have.
const SCHEMES: [&str; 3] = ["mock://", "mock-host://", "mock-port://"];

/// Such a file, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnConfig {
    path: PathBuf,
    text: String,
}

impl OwnConfig {
    /// Reads it.
    pub(super) fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_path_buf(), text: std::fs::read_to_string(path)? })
    }

    /// As the user named it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file_name(&self) -> Cow<'_, str> {
        self.path.file_name().map_or(Cow::Borrowed("config"), OsStr::to_string_lossy)
    }

    /// The configuration for this place.
    ///
    /// # Errors
    /// When it names an endpoint that is not there, or none, or an address that is not on this machine, or does not say
    /// where it listens; the file's name is not in it.
    pub(super) fn fill(
        &self,
        place: &Place<'_>,
        listen: SocketAddr,
        admin: SocketAddr,
        workers: usize,
    ) -> Result<String, String> {
        if !["{listen}", "{listen_port}"].iter().any(|blank| self.text.contains(blank)) {
            let blanks = "{listen}, or {listen_host} and {listen_port}";
            return Err(format!("it does not say where to take requests: write {blanks} where its address belongs"));
        }
        if !SCHEMES.iter().any(|scheme| self.text.contains(scheme)) {
            let known: Vec<&str> = place.endpoints.keys().map(String::as_str).collect();
            let known = known.join(", mock://");
            return Err(format!("it names no endpoint of the scenario: write mock://{known} where its servers belong"));
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
            let line = text[..at].matches('\n').count() + 1;
            let known: Vec<&str> = place.endpoints.keys().map(String::as_str).collect();
            return Err(format!("line {line}: there is no {name}; there are {}", known.join(", ")));
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
        let text = blanks.iter().fold(text, |text, (blank, value)| text.replace(blank, value));
        match outward::find(&text) {
            Some((line, word)) => Err(format!(
                "line {line}: {word} is not on this machine, and a comparison never leaves it: write mock://… in its place"
            )),
            None => Ok(text),
        }
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
        let own = OwnConfig { path: "/home/me/my.conf".into(), text: text.to_owned() };
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
        for nowhere in ["listen 80;", "listen {listen_host}:80;", "the {listener} of another"] {
            let said = fill(nowhere).unwrap_err();
            assert!(said.contains("write {listen}, or {listen_host} and {listen_port}"), "{said}");
        }
        let said = fill("listen {listen};\nserver 127.0.0.1:80;").unwrap_err();
        assert!(said.contains("names no endpoint of the scenario: write mock://orders/1, mock://orders/10"), "{said}");
        let said = fill("listen {listen};\nserver mock://orders/1;\nserver prod:8080;").unwrap_err();
        assert!(said.starts_with("line 3: prod:8080 is not on this machine"), "{said}");
        let said = fill("listen {listen};\nserver mock://users/0;").unwrap_err();
        assert_eq!(said, "line 2: there is no mock://users/0; there are orders/1, orders/10");
    }
}
