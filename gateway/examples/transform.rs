//! Answers that are changed on their way: a stage takes a field out of every JSON document that an upstream sends.
//!
//! `cargo run --example transform -- http://127.0.0.1:9001` serves on 127.0.0.1:8080 as `gateway run` does.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use gateway::prelude::*;
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

/// So much of an answer is held at most, bytes: what is larger is refused rather than passed on unchanged.
const MOST: usize = 64 * 1024;

/// Takes a field out.
struct Without(&'static str);

impl Stage for Without {
    async fn response(&self, request: &RequestInfo, response: Response) -> Response {
        if !response.headers().get(header::CONTENT_TYPE).is_some_and(is_json) {
            return response;
        }
        // In the plain, however the upstream has coded it.
        let (mut parts, bytes) = match request.read(response, MOST).await {
            Ok(whole) => whole.into_parts(),
            Err(unread) => return unread.refuse(),
        };
        let Ok(mut document) = serde_json::from_slice::<Value>(&bytes) else {
            return StatusCode::BAD_GATEWAY.into_response();
        };
        if let Value::Object(fields) = &mut document {
            fields.remove(self.0);
        }
        // It is another document now. The length is the gateway's to say.
        parts.headers.remove(header::ETAG);
        Response::from_parts(parts, Body::from(document.to_string()))
    }
}

/// Whatever stands behind it, as `; charset=utf-8`, and however it is written.
fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// The gateway: all that `upstream` answers, without `card`.
pub(crate) fn program(upstream: &str, listen: &str) -> Builder {
    let text = format!(
        r#"
        [admin]
        address = ""

        [[listeners]]
        address = "{listen}"

        [telemetry.access_log]
        output = "off"

        [[routes]]
        path = "/{{*rest}}"
        upstream = "{upstream}"
        stages = ["without_card"]
        "#
    );
    Gateway::builder().config_text(text).stage("without_card", Without("card"))
}

#[tokio::main]
#[allow(dead_code, reason = "the test that runs this example calls `program`")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upstream = std::env::args().nth(1).ok_or("the upstream's URL is needed")?;
    Ok(program(&upstream, "127.0.0.1:8080").run().await?)
}
