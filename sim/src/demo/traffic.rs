//! What the demo's clients ask for: a mix of routes, methods, bodies, and a few things that do not exist.

use std::net::SocketAddr;

use loadgen::request::{Expectation, Template};
use loadgen::target::Target;

/// Bytes of a file that the mix downloads.
const FILE_BYTES: u64 = 16 * 1024;

/// The templates, for a gateway at this address.
pub(super) fn mix(gateway: SocketAddr) -> Vec<Template> {
    let order = br#"{"item":"portcullis","quantity":2}"#;
    let mut templates = vec![
        plain(gateway, 12, "GET", "/api/orders/17"),
        plain(gateway, 12, "GET", "/api/orders/18?detail=full"),
        plain(gateway, 6, "GET", "/api/orders/2024/items"),
        with_body(plain(gateway, 10, "POST", "/api/orders/new"), order),
        plain(gateway, 12, "GET", "/api/users/3"),
        plain(gateway, 12, "GET", "/api/users/4"),
        with_body(plain(gateway, 5, "PUT", "/api/users/3"), br#"{"name":"Ada"}"#),
        plain(gateway, 2, "DELETE", "/api/users/9"),
        plain(gateway, 3, "HEAD", "/api/users/3"),
        plain(gateway, 8, "GET", "/api/billing/invoices"),
        with_body(plain(gateway, 3, "POST", "/api/billing/invoices"), br#"{"order":17}"#),
    ];
    let mut file = plain(gateway, 8, "GET", &format!("/files/bytes/{FILE_BYTES}"));
    file.expect.body_bytes = Some(FILE_BYTES);
    templates.push(file);
    templates.push(expecting(plain(gateway, 3, "GET", "/no/such/route"), 404));
    templates.push(expecting(plain(gateway, 2, "DELETE", "/api/billing/invoices"), 405));
    templates
}

/// Statuses that the mix asks for on purpose.
pub(super) const EXPECTED_ERRORS: [u16; 2] = [404, 405];

fn plain(gateway: SocketAddr, weight: u32, method: &str, path: &str) -> Template {
    Template {
        name: format!("{method} {path}"),
        target: Target::plain(gateway, path),
        method: method.to_owned(),
        headers: vec![("user-agent".to_owned(), "portcullis-demo".to_owned())],
        body: Vec::new(),
        weight,
        expect: Expectation { statuses: vec![200], ..Expectation::default() },
    }
}

fn with_body(mut template: Template, body: &[u8]) -> Template {
    template.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    template.body = body.to_vec();
    template
}

fn expecting(mut template: Template, status: u16) -> Template {
    template.expect.statuses = vec![status];
    template
}
