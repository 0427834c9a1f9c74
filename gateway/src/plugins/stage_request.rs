//! A request as a stage sees it, and what of it a stage may change.

use std::fmt;
use std::ops::ControlFlow;

use axum::response::Response;
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method};

use super::request::RequestInfo;
use super::stage_body::Carried;
use crate::config::editable_header;
use crate::context::{HeaderRules, names};

/// A request, as a stage sees it. Nobody has asked for its body yet: it streams past stages that do not.
pub struct StageRequest<'a> {
    pub(super) info: &'a RequestInfo,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a mut HeaderMap,
    pub(super) extensions: &'a mut Extensions,
    pub(super) rules: &'a HeaderRules,
    pub(super) body: Carried<'a>,
}

/// A header that no stage sets or removes: it frames the message, belongs to one connection, is the `host`, is one that
/// the gateway writes of each request (ids, forwarding, times), or says who asks, which is proven by identity providers
/// alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEditable(pub HeaderName);

impl fmt::Display for NotEditable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is set by the gateway alone", self.0)
    }
}

impl std::error::Error for NotEditable {}

impl StageRequest<'_> {
    /// What the gateway knows of it.
    pub fn info(&self) -> &RequestInfo {
        self.info
    }

    /// The method.
    pub fn method(&self) -> &Method {
        self.method
    }

    /// The path in the one form in which it was matched.
    pub fn path(&self) -> &str {
        self.path
    }

    /// The query, without `?`.
    pub fn query(&self) -> Option<&str> {
        self.query
    }

    /// The client's headers, less those that a client cannot set and the credential that was looked at.
    pub fn headers(&self) -> &HeaderMap {
        self.headers
    }

    /// What layers of the program around the gateway have put beside the request, and stages before this one. No client
    /// can, and no upstream is sent any of it.
    pub fn extensions(&self) -> &Extensions {
        self.extensions
    }

    /// The same, to put something there: for the stages behind this one, for `response` and `ended` of each
    /// ([`RequestInfo::extension`]), and for the handler, whose extractors find it (`Extension<T>`).
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions
    }

    /// Sets a header of what is sent on, in place of all of this name.
    ///
    /// # Errors
    /// It is no stage's to set.
    pub fn set_header(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), NotEditable> {
        self.may_edit(&name)?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// Removes a header.
    ///
    /// # Errors
    /// It is no stage's to remove.
    pub fn remove_header(&mut self, name: &HeaderName) -> Result<(), NotEditable> {
        self.may_edit(name)?;
        self.headers.remove(name);
        Ok(())
    }

    /// The whole body, as the client sent it, of no more than `most` bytes. It is waited for, as long as the route's
    /// `timeout` and the server's limits for bodies allow, held in memory (`body_match_memory` of `[server]` bounds all
    /// that is), and sent on from its first byte. Empty where there is none.
    ///
    /// It comes by `?`: where it cannot be had, the request ends here, and the client is told by the gateway why: 413
    /// for a body that is larger than `most` or the route's `max_body`, 400 and 408 for one that is malformed or slow,
    /// 503 where there is no room. A stage that lets a larger one pass unseen goes on by `ControlFlow::Continue`: then
    /// it streams on, all of it.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// use axum::response::{IntoResponse, Response};
    /// use gateway::prelude::{Stage, StageRequest};
    /// use http::StatusCode;
    ///
    /// struct Signed;
    ///
    /// impl Stage for Signed {
    ///     async fn request(&self, request: &mut StageRequest<'_>) -> ControlFlow<Response> {
    ///         let body = request.body(64 * 1024).await?;
    ///         if body.starts_with(b"forged") {
    ///             return ControlFlow::Break(StatusCode::UNAUTHORIZED.into_response());
    ///         }
    ///         ControlFlow::Continue(())
    ///     }
    /// }
    /// # let _ = gateway::gateway::Gateway::builder().stage("signed", Signed);
    /// ```
    ///
    /// A `content-encoding` of the client's is not undone: the headers say whether there is one. A WebSocket has no
    /// body.
    pub async fn body(&mut self, most: usize) -> ControlFlow<Response, Bytes> {
        self.body.read(most).await
    }

    /// Another body in place of the client's, for the stages behind this one, and for whom the request is for. Its
    /// length is told, trailers of the old one are gone; what else headers say of the old one (`content-type`,
    /// `content-encoding`, digests) is this stage's to set. What the client has not sent by now is not waited for: a
    /// stage that does not read the body before costs the client its connection. A WebSocket takes none, and a body
    /// that broke off stays what it is: its request ends.
    pub fn set_body(&mut self, body: impl Into<Bytes>) {
        self.body.replace(body.into(), self.headers);
    }

    fn may_edit(&self, name: &HeaderName) -> Result<(), NotEditable> {
        if editable_header(name.as_str()).is_err() || self.rules.is_identity(name.as_str()) || names::is_own(name) {
            return Err(NotEditable(name.clone()));
        }
        Ok(())
    }
}
