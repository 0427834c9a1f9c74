//! A request as a stage sees it, and what of it a stage may change.

use std::fmt;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method};

use super::request::RequestInfo;
use crate::config::editable_header;
use crate::context::{HeaderRules, names};

/// A request, as a stage sees it: all of it but its body, which nobody has asked for yet.
pub struct StageRequest<'a> {
    pub(super) info: &'a RequestInfo,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a mut HeaderMap,
    pub(super) extensions: &'a mut Extensions,
    pub(super) rules: &'a HeaderRules,
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

    fn may_edit(&self, name: &HeaderName) -> Result<(), NotEditable> {
        if editable_header(name.as_str()).is_err() || self.rules.is_identity(name.as_str()) || names::is_own(name) {
            return Err(NotEditable(name.clone()));
        }
        Ok(())
    }
}
