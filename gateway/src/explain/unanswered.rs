//! Preflights that no `cors` answers, on routes that ask who asks. Browsers put no credential to them, so that a
//! service behind such a route never sees one, and pages of other origins cannot call it.

use http::Method;

use crate::config::settings::Route;
use crate::request_fields::RequestFields;
use crate::routing::Preflight;

/// What becomes of one, and what to do about it.
pub(super) fn told(route: &Route, (method, headers): (&Method, &RequestFields)) -> Option<String> {
    let asks = route.auth.as_ref().is_some_and(|auth| !auth.optional);
    if !asks || route.cors.is_some() || Preflight::of(method, headers).is_none() {
        return None;
    }
    let told = "is asked for its identity, and browsers show none: 401, so that pages of other origins cannot call. \
                Give the route `cors`, or the service that answers by itself a route with `methods = [\"OPTIONS\"]` and \
                `auth = false`";
    Some(told.to_owned())
}
