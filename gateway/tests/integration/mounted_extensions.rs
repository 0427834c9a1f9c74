//! What stands beside a request in a program: what the program's layers have put there reaches handlers, limit keys and
//! stages, and what stages put there reaches handlers. And what becomes of a path of which a router took a part.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, OriginalUri, Path, Request};
use axum::response::Response;
use axum::routing::{any, get};
use axum::{Extension, Router};
use gateway::gateway::Gateway;
use gateway::network::Sockets;
use gateway::prelude::{Builder, ClientInfo, GatewayService, LimitRequest, RequestInfo, Stage, StageRequest};
use http::HeaderValue;
use tower::ServiceExt;

use crate::support::{Gateway as Served, echo};

/// Who is logged in, as a layer of the program has found.
#[derive(Debug, Clone, PartialEq)]
struct User(&'static str);

/// What a stage has looked up.
#[derive(Debug, Clone, PartialEq)]
struct Tenant(String);

/// Puts a tenant beside each request, and tells of it with the answer.
struct Tenants;

impl Stage for Tenants {
    async fn request(&self, request: &mut StageRequest<'_>) -> ControlFlow<Response> {
        let user = request.extensions().get::<User>().map_or("nobody", |user| user.0);
        let tenant = Tenant(format!("{user} of {}", request.path()));
        request.extensions_mut().insert(tenant);
        ControlFlow::Continue(())
    }

    async fn response(&self, request: &RequestInfo, mut response: Response) -> Response {
        let tenant = request.extension::<Tenant>().map_or("none", |tenant| &tenant.0);
        response.headers_mut().insert("x-tenant", HeaderValue::from_str(tenant).unwrap());
        if let Some(user) = request.extension::<User>() {
            response.headers_mut().insert("x-user", HeaderValue::from_static(user.0));
        }
        response
    }
}

/// Sees what the stage before it has put there.
struct Sees;

impl Stage for Sees {
    async fn request(&self, request: &mut StageRequest<'_>) -> ControlFlow<Response> {
        assert!(request.extensions().get::<Tenant>().is_some() && request.info().extension::<Tenant>().is_none());
        ControlFlow::Continue(())
    }
}

type Mounted = GatewayService<Sockets>;

/// The gateway as what is left to answer all.
fn fallback(gateway: Mounted) -> Router {
    Router::new().fallback_service(gateway)
}

/// The program: a gateway of this configuration, with a layer before it that knows who asks.
fn program(text: &str, with: impl FnOnce(Builder) -> Builder, mount: impl FnOnce(Mounted) -> Router) -> Router {
    let text = format!("[telemetry.access_log]\noutput = 'off'\n{text}");
    let gateway = with(Gateway::builder().config_text(text)).build().unwrap_or_else(|error| panic!("{error}"));
    mount(gateway.into_service()).layer(Extension(User("ada")))
}

async fn ask(program: &Router, request: Request) -> (http::response::Parts, String) {
    let (head, body) = program.clone().oneshot(request).await.unwrap().into_parts();
    (head, String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap())
}

fn request(path: &str) -> Request {
    let request = http::Request::get(path).header("host", "a.test");
    request.extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 9)))).body(Body::empty()).unwrap()
}

/// What a handler finds beside its request.
async fn found(
    Extension(info): Extension<RequestInfo>,
    Extension(user): Extension<User>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    OriginalUri(asked): OriginalUri,
    request: Request,
) -> String {
    let tenant = request.extensions().get::<Tenant>().map_or("-", |tenant| &tenant.0);
    assert!(request.extensions().get::<MatchedPath>().is_none(), "the program's router has chosen nothing here");
    format!("{} {} {address} {asked} {} {tenant}", info.route, user.0, request.uri())
}

#[tokio::test]
async fn a_handler_finds_what_layers_and_stages_have_put_beside_its_request() {
    let text = "[[routes]]\nname = 'plain'\npath = '/plain/{*rest}'\nhandler = 'found'\n\
                rewrite = { path = '/{rest}' }\n\
                [[routes]]\nname = 'staged'\npath = '/staged'\nhandler = 'found'\nstages = ['tenants', 'sees']\n";
    let with = |builder: Builder| builder.handler("found", any(found)).stage("tenants", Tenants).stage("sees", Sees);
    for mount in [fallback as fn(Mounted) -> Router, |gateway| Router::new().route_service("/{*all}", gateway)] {
        let program = program(text, with, mount);
        let (head, body) = ask(&program, request("/plain/a?b")).await;
        assert_eq!((head.status.as_u16(), &*body), (200, "plain ada 192.0.2.7:9 /plain/a?b /a?b -"));
        assert!(!head.headers.contains_key("x-tenant"));
        let (head, body) = ask(&program, request("/staged")).await;
        assert_eq!(body, "staged ada 192.0.2.7:9 /staged /staged ada of /staged");
        assert_eq!(head.headers["x-tenant"], "ada of /staged");
        assert_eq!(head.headers["x-user"], "ada");
    }
}

#[tokio::test]
async fn a_stage_speaks_to_its_handler_behind_the_gateways_own_listeners_too() {
    let upstream = echo().await;
    let text = format!(
        "[[routes]]\npath = '/own'\nhandler = 'tenant'\nstages = ['tenants', 'sees']\n\
         [[routes]]\npath = '/up'\nupstream = 'http://{}'\nstages = ['tenants']\n",
        upstream.addr()
    );
    let tenant = get(|Extension(tenant): Extension<Tenant>| async move { tenant.0 });
    let gateway =
        Served::built(&text, |builder| builder.handler("tenant", tenant).stage("tenants", Tenants).stage("sees", Sees))
            .await;
    let mut client = gateway.client().await;
    for _ in 0..2 {
        let own = client.ask("GET /own HTTP/1.1\r\nhost: a\r\nx-tenant: forged\r\n\r\n").await;
        assert_eq!((&own.body[..], own.header("x-tenant")), (&b"nobody of /own"[..], Some("nobody of /own")));
        let up = client.ask("GET /up HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!((up.header("x-tenant"), up.echo().all("x-tenant")), (Some("nobody of /up"), vec![]));
    }
}

#[tokio::test]
async fn a_limit_counts_by_what_a_layer_has_found() {
    let text = "[rate_limits.each]\nrate = '1/h'\nburst = 1\nkey = 'custom:user'\n\
                [[routes]]\npath = '/'\nanswer = {}\nrate_limits = ['each']\n";
    let key = |request: &LimitRequest<'_>| request.extensions.get::<User>().map(|user| user.0.to_owned());
    let text = format!("[telemetry.access_log]\noutput = 'off'\n{text}");
    let gateway = Gateway::builder().config_text(text).limit_key("user", key).build().unwrap();
    let mut statuses = Vec::new();
    for user in ["ada", "ada", "bob"] {
        let mut request = request("/");
        request.extensions_mut().insert(User(user));
        let answer = Arc::clone(&gateway).into_service().oneshot(request).await;
        statuses.push(answer.unwrap_or_else(|never: Infallible| match never {}).status().as_u16());
    }
    assert_eq!(statuses, [200, 429, 200]);
}

#[tokio::test]
async fn a_router_that_is_a_handler_has_paths_of_its_own() {
    let shop = Router::new()
        .nest("/shop", Router::new().route("/{id}", get(|Path(id): Path<u32>| async move { id.to_string() })));
    let text = "[[routes]]\npath = '/{*rest}'\nhandler = 'shop'\n";
    for mount in [fallback as fn(Mounted) -> Router, |gateway| Router::new().nest_service("/v1", gateway)] {
        let program = program(text, |builder| builder.handler("shop", shop.clone()), mount);
        let statuses = [ask(&program, request("/shop/7")).await, ask(&program, request("/v1/shop/7")).await];
        let found: Vec<&str> =
            statuses.iter().filter(|(head, _)| head.status == 200).map(|(_, body)| &**body).collect();
        assert_eq!(found, ["7"]);
    }
}

#[tokio::test]
async fn under_a_prefix_routes_see_the_rest_of_the_path_and_clients_are_led_by_the_whole() {
    let text = "[[routes]]\npath = '/secure/{*rest}'\nanswer = {}\nhttps = 'redirect'\n\
                [[routes]]\npath = '/moved'\nredirect = { host = 'b.test' }\n\
                [[routes]]\npath = '/new/{id}'\nredirect = { path = '/api/v2/{id}' }\n\
                [[routes]]\npath = '/'\nanswer = {}\nhttps = 'redirect'\n";
    let nest = |gateway: Mounted| Router::new().nest_service("/api", gateway);
    let program = program(text, |builder| builder.with_client_info(), nest);
    for (path, location) in [
        ("/api/secure/x?y", "https://a.test/api/secure/x?y"),
        ("/api/secure/./a/../b", "https://a.test/api/secure/b"),
        ("/api/moved", "http://b.test/api/moved"),
        ("/api/new/7", "http://a.test/api/v2/7"),
        ("/api?q", "https://a.test/api?q"),
        ("/api/", "https://a.test/api/"),
    ] {
        let (head, _) = ask(&program, request(path)).await;
        assert!(head.status.is_redirection(), "{path}: {}", head.status);
        assert_eq!(head.headers["location"], location, "{path}");
    }
    let mut secure = request("/api/secure/x");
    secure.extensions_mut().insert(ClientInfo::new(SocketAddr::from(([192, 0, 2, 7], 9))).tls());
    assert_eq!(ask(&program, secure).await.0.status, 200);
}
