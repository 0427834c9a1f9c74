//! The routes that a request which is over did not take, for the flight recorder.

use http::{HeaderValue, Method};

use crate::context::target::routing_host;
use crate::request_fields::RequestFields;
use crate::routing::{Ask, Body, RouteTable};

/// Why a request that is over did not take the other routes; of it method, host and path are known still, the path with
/// the parameters of these names behind it. `took` is the route that it took. The second is how many more there are.
pub fn look_back(
    table: &RouteTable,
    [method, host, path]: [&str; 3],
    took: Option<usize>,
    parameters: &[Box<str>],
) -> (Vec<crate::routing::explain::Miss>, usize) {
    let host = HeaderValue::from_str(host).unwrap_or(HeaderValue::from_static(""));
    let (host, headers) = (routing_host(&host), RequestFields::new());
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    match Method::from_bytes(method.as_bytes()) {
        Ok(method) if path.starts_with('/') => {
            let (client, body) = (None, Body::Absent);
            let ask = Ask { listener: "", host: &host, method: &method, path, query, client, headers: &headers, body };
            crate::routing::explain::look_back(table, &ask, took, parameters)
        }
        // What came was no request, or about the gateway itself.
        _ => (Vec::new(), 0),
    }
}
