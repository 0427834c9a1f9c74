//! `openapi` of a route.

use http::uri::PathAndQuery;

use crate::config::check::{Context, Reader};
use crate::config::key_files;
use crate::config::settings::api_document::{ApiDocument, DocumentFile};
use crate::openapi::MAX_DOCUMENT_BYTES;

/// Where the document of the route's service is; `None` where nobody says, or where what is said is not right.
pub(crate) fn build(context: &Context<'_>, route: &Reader<'_>) -> Option<ApiDocument> {
    let node = route.get("openapi")?;
    let written = node.text().filter(|text| !text.is_empty())?;
    if written.starts_with('/') {
        let has_upstream = ["upstream", "split"].iter().any(|key| route.get(key).is_some());
        let path = written.parse::<PathAndQuery>().ok().filter(|_| has_upstream)?;
        return Some(ApiDocument::Upstream { path, written: node.shown().into() });
    }
    let path = context.sources.resolve(written, node.at);
    let text = key_files::read(&path, MAX_DOCUMENT_BYTES as u64).unwrap_or_default().into();
    Some(ApiDocument::File(DocumentFile { path, written: node.shown().into(), text }))
}
