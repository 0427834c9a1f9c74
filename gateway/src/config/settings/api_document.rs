//! `openapi`: where the document of a route's service is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use http::uri::PathAndQuery;

use super::route::Route;
use super::target;

/// `openapi` of a route.
#[derive(Debug, Clone)]
pub enum ApiDocument {
    /// A file, as read when the configuration was.
    File(DocumentFile),
    /// What the route's upstream is asked for.
    Upstream {
        /// The path and query that are asked for.
        path: PathAndQuery,
        /// As they are written in the configuration, where variables stand by their names.
        written: Box<str>,
    },
}

/// A file with a document.
#[derive(Clone)]
pub struct DocumentFile {
    /// Where it is.
    pub path: PathBuf,
    /// As it is written in the configuration, where variables stand by their names.
    pub written: Box<str>,
    /// Its bytes; empty where it could not be read, and then the configuration is refused.
    pub text: Arc<[u8]>,
}

impl fmt::Debug for DocumentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What tells documents apart: routes with the same one share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A file.
    File(PathBuf),
    /// An upstream's name, and what it is asked for.
    Upstream(Arc<str>, String),
}

impl ApiDocument {
    /// Whose document it is.
    pub fn key(&self, route: &Route) -> Key {
        match self {
            Self::File(file) => Key::File(file.path.clone()),
            Self::Upstream { path, .. } => Key::Upstream(asked(route), path.to_string()),
        }
    }
}

/// The upstream that is asked; of several the one with the most weight.
fn asked(route: &Route) -> Arc<str> {
    let heaviest = route
        .split
        .iter()
        .flat_map(|split| &split.shares)
        .reduce(|best, share| if share.weight > best.weight { share } else { best });
    Arc::clone(heaviest.map_or(&route.upstream, |share| &share.route.upstream))
}

impl fmt::Display for ApiDocument {
    /// As it is written, variables by their names, but for a query's values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(&file.written),
            Self::Upstream { written, .. } => f.write_str(&target::shown(written)),
        }
    }
}
