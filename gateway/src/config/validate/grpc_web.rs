//! `grpc_web`: there are calls to translate, and a service that takes them as gRPC.

use crate::config::build;
use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::schema::upstream::UPSTREAM;
use crate::config::tree::{Node, Value};
use crate::config::value::upstream_url;

/// Calls are an upstream's, are POST, and are passed on as they come.
pub(crate) fn calls_of_an_upstream(context: &mut Context<'_>, route: &Reader<'_>) {
    // What is shared by all routes is a mistake on none of them.
    let node = route.own("grpc_web").filter(|node| matches!(node.value, Value::Bool(true)));
    if let Some(node) = node
        && let Some(own) = ["redirect", "answer", "handler"].into_iter().find(|key| route.get(key).is_some())
    {
        context.report.error(node.at, format!("`grpc_web` is for the calls of an upstream; this route has `{own}`"));
        return;
    }
    if is_translated(route) && !route.nodes("stages").is_empty() {
        let help =
            "a stage sees what the service and its caller say, which are two languages then: grpc_web = false here";
        context.report.error_with(route.at("grpc_web"), "a route does not translate gRPC-Web and have stages", help);
    }
    let Some(node) = node else { return };
    let methods = route.texts("methods");
    if !methods.is_empty() && !methods.iter().any(|method| method == "POST") {
        let help = "name POST among `methods`, or leave `grpc_web` out";
        context.report.warning(node.at, "this route takes no POST, and so no call of gRPC", help);
    }
    if !route.map("body").is_empty() {
        let help = "leave `body` out, or give the calls a route of their own";
        context.report.warning(node.at, "a call of gRPC is no JSON: this route's `body` never matches one", help);
    }
    for key in ["cache", "coalesce"] {
        if let Some(of_gets) = route.own(key).filter(|node| !matches!(node.value, Value::Bool(false))) {
            let message = format!("`{key}` is for GET, and calls of gRPC are POST: none is kept or shared");
            context.report.warning(
                of_gets.at,
                message,
                format!("leave `{key}` out, or give what is asked by GET another route"),
            );
        }
    }
}

/// gRPC is carried by HTTP/2 alone, to whomever a call may go.
pub(crate) fn upstreams_speak_http2(context: &mut Context<'_>, root: &Reader<'_>) {
    let routes: Vec<Reader<'_>> = build::tables(context, root, "routes").collect();
    for route in routes.iter().filter(|route| is_translated(route)) {
        let asked = |key: &str| route.get(key).and_then(|_| route.table(key).get("upstream"));
        let others = ["fallback", "mirror"].into_iter().filter_map(asked);
        for node in build::route::upstreams(route).into_iter().chain(others) {
            let Some(protocol) = protocol(context, root, node) else { continue };
            if protocol == "http2" {
                continue;
            }
            let shown = quoted(node.shown());
            let message = format!("`grpc_web` makes gRPC of calls, and the upstream {shown} does not speak HTTP/2");
            let help = "protocol = \"http2\" in its [upstreams.NAME], or grpc_web = false on this route";
            context.report.error_with(route.at("grpc_web"), message, help);
        }
    }
}

/// Whether calls of web pages are translated on it.
fn is_translated(route: &Reader<'_>) -> bool {
    route.flag("grpc_web") && build::route::answers_itself(route).is_none() && route.get("handler").is_none()
}

/// What an upstream speaks, by its name or its URL; `None` where there is none, which is said elsewhere.
fn protocol(context: &Context<'_>, root: &Reader<'_>, upstream: &Node) -> Option<String> {
    let name = upstream.text()?;
    let shared = context.shared(&UPSTREAM, None);
    if upstream_url::is_url(name) {
        return Some(Reader::new(None, shared, &UPSTREAM, upstream.at).text("protocol").into_owned());
    }
    let entry = root.map("upstreams").iter().find(|entry| entry.key == name)?;
    let table = Reader::new(Some(entry.node.table()?), shared, &UPSTREAM, entry.node.at);
    Some(table.text("protocol").into_owned())
}
