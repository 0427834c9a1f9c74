//! A stage of the program's own: who is whose customer is looked up once, at the gateway, and services are told.
//!
//! `cargo run --example stage -- http://127.0.0.1:9001` serves on 127.0.0.1:8080 as `gateway run` does.

use std::collections::HashMap;
use std::ops::ControlFlow;

use axum::response::{IntoResponse, Response};
use gateway::prelude::*;
use http::{HeaderName, HeaderValue, StatusCode};

const TENANT: HeaderName = HeaderName::from_static("x-tenant");

/// Customers, by the first segment of the path.
struct Tenants(HashMap<&'static str, HeaderValue>);

impl Stage for Tenants {
    async fn request(&self, request: &mut StageRequest<'_>) -> ControlFlow<Response> {
        let name = request.path().split('/').nth(1).unwrap_or_default();
        let Some(tenant) = self.0.get(name).cloned() else {
            return ControlFlow::Break((StatusCode::NOT_FOUND, "no such customer\n").into_response());
        };
        // In place of what a client says of it.
        match request.set_header(TENANT, tenant) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break((StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()),
        }
    }

    async fn response(&self, request: &RequestInfo, mut response: Response) -> Response {
        if let Ok(route) = HeaderValue::from_str(&request.route) {
            response.headers_mut().insert(HeaderName::from_static("x-route"), route);
        }
        response
    }
}

/// The gateway: known customers get to `upstream`.
pub(crate) fn program(upstream: &str, listen: &str) -> Builder {
    let tenants = [("acme", "t-1"), ("globex", "t-2")];
    let tenants = tenants.into_iter().map(|(name, id)| (name, HeaderValue::from_static(id))).collect();
    let text = format!(
        r#"
        [admin]
        address = ""

        [[listeners]]
        address = "{listen}"

        [telemetry.access_log]
        output = "off"

        [[routes]]
        name = "customers"
        path = "/{{customer}}/{{*rest}}"
        upstream = "{upstream}"
        stages = ["tenants"]
        "#
    );
    Gateway::builder().config_text(text).stage("tenants", Tenants(tenants))
}

#[tokio::main]
#[allow(dead_code, reason = "the test that runs this example calls `program`")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upstream = std::env::args().nth(1).ok_or("the upstream's URL is needed")?;
    Ok(program(&upstream, "127.0.0.1:8080").run().await?)
}
