//! Whole documents, made of configurations and of what services say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Given, Listening, Wanted, merged};
use crate::config::settings::Config;
use crate::config::settings::api_document::Key;
use crate::config::{Purpose, load_text};

fn config(text: &str) -> Config {
    load_text(text, Path::new("gateway.toml"), Purpose::Check).unwrap_or_else(|problems| panic!("{problems}")).config
}

fn document_with(text: &str, host: Option<&str>, services: &[(&str, Value)]) -> Value {
    let given: BTreeMap<Key, Given> = services
        .iter()
        .map(|(upstream, document)| {
            let text: Arc<[u8]> = document.to_string().into_bytes().into();
            (Key::Upstream((*upstream).into(), "/openapi.json".to_owned()), Given { text: Some(text), failed: None })
        })
        .collect();
    let listeners = [Listening { address: "127.0.0.1:8080".parse().unwrap(), is_secure: false }];
    merged(&config(text), &Wanted { listeners: &listeners, listener: None, host, given: &given })
}

fn document(text: &str) -> Value {
    document_with(text, None, &[])
}

/// The paths, each with its methods.
fn paths(document: &Value) -> Vec<String> {
    let methods = |item: &Value| item.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let paths = document["paths"].as_object().unwrap();
    paths.iter().map(|(path, item)| format!("{path}: {}", methods(item))).collect()
}

const UP: &str = "[upstreams.up]\nendpoints = ['127.0.0.1:1']\n";

#[test]
fn a_route_is_there_though_its_service_says_nothing() {
    let document = document(&format!(
        "{UP}[[routes]]\nname = 'orders'\npath = '/api/orders/{{*rest}}'\nupstream = 'up'\nmax_body = '1MiB'\n\
         [[routes]]\nname = 'user'\npath = '/users/{{id}}'\nmethods = ['PUT', 'GET', 'PURGE']\nupstream = 'up'\n"
    ));
    assert_eq!(
        paths(&document),
        ["/api/orders/{rest}: get put post delete patch", "/users/{id}: get put x-other-methods"]
    );
    let put = &document["paths"]["/api/orders/{rest}"]["put"];
    assert_eq!(put["operationId"], "orders-put");
    assert_eq!(put["parameters"][0]["x-catch-all"], true);
    assert_eq!(put["x-gateway"]["max_body_bytes"], 1 << 20);
    assert_eq!(put["security"], json!([]));
    let statuses: Vec<&String> = put["responses"].as_object().unwrap().keys().collect();
    assert_eq!(statuses, ["default", "400", "408", "413", "502", "503", "504"]);
    assert!(document["paths"]["/users/{id}"]["get"].get("requestBody").is_none());
}

#[test]
fn a_route_whose_calls_web_pages_make_says_so_where_calls_are() {
    let document = document(
        "[upstreams.up]\nendpoints = ['127.0.0.1:1']\nprotocol = 'http2'\n[[routes]]\nname = 'calls'\npath = '/a.B/M'\n\
         methods = ['GET', 'POST']\nupstream = 'up'\ngrpc_web = true\n",
    );
    let told = |method: &str| {
        let operation = &document["paths"]["/a.B/M"][method];
        let words = operation["description"].as_str().unwrap().contains("Web pages may call it as gRPC-Web.");
        (words, operation["x-gateway"]["grpc_web"] == true)
    };
    assert_eq!((told("post"), told("get")), ((true, true), (false, false)));
}

#[test]
fn identity_and_limits_are_told_for_programs_and_for_people() {
    let document = document(&format!(
        "{UP}[identity.providers.main]\nkind = 'jwt'\nissuer = 'https://idp.test'\naudiences = ['api']\nalgorithms = ['ES256']\n\
         jwks = {{ discovery = 'https://idp.test' }}\n\
         [rate_limits.public]\nrate = '50/s'\nburst = 250\nkey = 'client_ip'\n\
         [[routes]]\nname = 'orders'\npath = '/orders'\nmethods = ['GET']\nupstream = 'up'\n\
         auth = {{ providers = ['main'], scopes = ['orders:read'], optional = true }}\nrate_limits = ['public']\n"
    ));
    let get = &document["paths"]["/orders"]["get"];
    assert_eq!(get["security"], json!([{ "main": ["orders:read"] }, {}]));
    let scheme = &document["components"]["securitySchemes"]["main"];
    assert_eq!(scheme["openIdConnectUrl"], "https://idp.test/.well-known/openid-configuration");
    let limit = &get["x-rate-limits"][0];
    assert_eq!((&limit["quota"], &limit["window_seconds"]), (&json!(250), &json!(5)), "as `RateLimit-Policy` says");
    assert_eq!(get["responses"]["429"]["$ref"], "#/components/responses/TooManyRequests");
    assert!(get["responses"]["401"].is_object() && get["responses"]["403"].is_object());
    let unavailable = get["responses"]["503"]["description"].as_str().unwrap();
    assert!(unavailable.contains("`identity_unavailable`") && !unavailable.contains("`authority_"), "{unavailable}");
    let said = get["description"].as_str().unwrap();
    assert!(said.contains("`orders:read`") && said.contains("50/s, at most 250 at once"), "{said}");
}

#[test]
fn a_token_is_told_of_in_each_of_its_places() {
    let document = document(&format!(
        "{UP}[identity.providers.main]\nkind = 'jwt'\nissuer = 'https://idp.test'\naudiences = ['api']\nalgorithms = ['ES256']\n\
         jwks = {{ url = 'https://idp.test/keys' }}\ntoken_from = ['cookie:__Host-s', 'header', 'header:X-Token']\n\
         [[routes]]\nname = 'orders'\npath = '/orders'\nmethods = ['GET']\nupstream = 'up'\n\
         auth = {{ providers = ['main'], scopes = ['a'] }}\n"
    ));
    let get = &document["paths"]["/orders"]["get"];
    assert_eq!(get["security"], json!([{ "main": ["a"] }, { "main.2": ["a"] }, { "main.3": ["a"] }]));
    let schemes = &document["components"]["securitySchemes"];
    let cookie = &schemes["main"];
    assert_eq!(
        (&cookie["type"], &cookie["in"], &cookie["name"]),
        (&json!("apiKey"), &json!("cookie"), &json!("__Host-s"))
    );
    let told = cookie["description"].as_str().unwrap();
    assert!(told.ends_with("for `api`, in the cookie `__Host-s`."), "{told}");
    assert_eq!(schemes["main.2"]["scheme"], "bearer");
    assert_eq!((&schemes["main.3"]["in"], &schemes["main.3"]["name"]), (&json!("header"), &json!("x-token")));
}

#[test]
fn answers_of_the_gateways_own_are_told() {
    let document = document(&format!(
        "{UP}[[routes]]\nname = 'robots'\npath = '/robots.txt'\nmethods = ['GET']\nanswer = {{ body = 'no' }}\n\
         [[routes]]\nname = 'old'\npath = '/old/{{id}}'\nmethods = ['GET']\nredirect = {{ path = '/new/{{id}}' }}\n\
         [[routes]]\nname = 'calm'\npath = '/calm'\nmethods = ['GET']\nupstream = 'up'\n\
         fallback = {{ status = 200, body = '[]', content_type = 'application/json' }}\n\
         [[aggregates]]\nname = 'board'\npath = '/board/{{id}}'\nparts = [\n\
         {{ name = 'user', upstream = 'up', path = '/u/{{id}}', required = true }},\n\
         {{ name = 'offers', upstream = 'up', path = '/o?t={{user.tier}}&page={{query.page}}' }} ]\n\
         [[batches]]\nname = 'items'\npath = '/items/{{id}}'\nupstream = 'up'\nrequest = {{ method = 'GET', path = '/items?ids={{ids}}' }}\n\
         response = {{ items = '/items', key = '/id' }}\n"
    ));
    let responses = |path: &str| document["paths"][path]["get"]["responses"].clone();
    assert_eq!(responses("/robots.txt")["200"]["content"]["text/plain; charset=utf-8"]["example"], "no");
    assert!(responses("/robots.txt")["502"].is_null());
    assert!(responses("/old/{id}")["308"]["headers"]["location"].is_object());
    assert_eq!(responses("/calm")["200"]["content"]["application/json"]["example"], json!([]));
    assert!(responses("/calm")["502"].is_null() && responses("/calm")["503"].is_object());
    let board = &responses("/board/{id}")["200"]["content"]["application/json"]["schema"];
    assert_eq!(board["required"], json!(["user", "offers"]));
    let page = &document["paths"]["/board/{id}"]["get"]["parameters"][1];
    assert_eq!((&page["name"], &page["in"], page.get("required")), (&json!("page"), &json!("query"), None));
    let said = document["paths"]["/board/{id}"]["get"]["description"].as_str().unwrap();
    assert!(said.contains("`offers`, which may be null and is asked for after `user`"), "{said}");
    assert!(responses("/items/{id}")["404"]["description"].as_str().unwrap().contains("item_not_found"));
    for (path, code) in [("/board/{id}", "part_failed"), ("/items/{id}", "batch_failed")] {
        for statuses in ["4XX", "5XX"] {
            let response = &responses(path)[statuses];
            assert!(response["description"].as_str().unwrap().contains(code), "{path} {statuses}: {response}");
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem");
        }
    }
    assert!(responses("/calm")["4XX"].is_null());
}

#[test]
fn errors_of_which_nothing_is_passed_on_are_problems_of_any_status_of_their_class() {
    let document =
        document(&format!("{UP}[[routes]]\nname = 'a'\npath = '/a'\nupstream = 'up'\nintercept = ['5xx']\n"));
    let responses = &document["paths"]["/a"]["get"]["responses"];
    assert!(responses["5XX"]["description"].as_str().unwrap().contains("upstream_error"), "{responses}");
    assert!(responses["4XX"].is_null());
}

#[test]
fn problems_in_the_operators_words_are_told_as_what_they_are() {
    let document = document(&format!(
        "[server.problems]\n5xx = {{ body = '<p>', content_type = 'text/html' }}\n\
         breaker_open = {{ body = '{{}}', content_type = 'application/json' }}\n\
         [rate_limits.few]\nrate = '1/s'\nburst = 1\nkey = 'client_ip'\n\
         {UP}[[routes]]\nname = 'a'\npath = '/a'\nmethods = ['GET']\nupstream = 'up'\nrate_limits = ['few']\n\
         problems = {{ rate_limited = {{ body = 'slow down' }} }}\n"
    ));
    let responses = &document["paths"]["/a"]["get"]["responses"];
    let kinds = |status: &str| responses[status]["content"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(responses["400"]["$ref"], "#/components/responses/BadRequest");
    assert_eq!(kinds("429"), ["text/plain; charset=utf-8"]);
    assert!(responses["429"]["headers"]["retry-after"].is_object());
    assert_eq!(kinds("503"), ["text/html", "application/json"], "no_endpoint, then breaker_open");
    assert_eq!(kinds("502"), ["text/html"]);
}

const TWO_HOSTS: &str = "[upstreams.up]\nendpoints = ['127.0.0.1:1']\n\
    [[routes]]\nname = 'a'\nhosts = ['a.test']\npath = '/x/{id}'\nmethods = ['GET']\nupstream = 'up'\n\
    [[routes]]\nname = 'b'\nhosts = ['*.b.test']\npath = '/x/{name}'\nmethods = ['GET', 'PUT']\nupstream = 'up'\n\
    [[routes]]\nname = 'v2'\nhosts = ['a.test']\npath = '/x/{id}'\nmethods = ['GET']\nheaders = { x-version = '2' }\nupstream = 'up'\n";

#[test]
fn routes_that_meet_are_one_operation_that_tells_of_all() {
    let document = document(TWO_HOSTS);
    assert_eq!(paths(&document), ["/x/{id}: get put"], "whatever a parameter is called, it is one path");
    let get = &document["paths"]["/x/{id}"]["get"];
    assert_eq!(get["x-gateway"]["route"], "a");
    let others: Vec<&str> =
        get["x-alternatives"].as_array().unwrap().iter().map(|it| it["route"].as_str().unwrap()).collect();
    assert_eq!(others, ["b", "v2"]);
    let urls: Vec<&str> = get["servers"].as_array().unwrap().iter().map(|it| it["url"].as_str().unwrap()).collect();
    assert_eq!(urls, ["http://a.test:8080", "http://{subdomain}.b.test:8080"]);
    let put = &document["paths"]["/x/{id}"]["put"];
    assert_eq!((&put["parameters"][0]["name"], &put["x-gateway"]["route"]), (&json!("id"), &json!("b")));
}

#[test]
fn conditions_that_may_be_secrets_are_not_shown() {
    let document = document(&format!(
        "{UP}[[routes]]\nname = 'edge'\npath = '/edge'\nmethods = ['POST']\nupstream = 'up'\n\
         headers = {{ x-edge-secret = 'hunter2', x-tenant = 'blue' }}\nquery = {{ token = '~hunter2.*' }}\n\
         body = {{ '/login/password' = 'hunter2', '/kind' = 'b' }}\n"
    ));
    let post = &document["paths"]["/edge"]["post"];
    let text = document.to_string();
    assert!(!text.contains("hunter2"), "{text}");
    let parameter = |name: &str| post["parameters"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
    assert_eq!(parameter("x-edge-secret")["schema"], json!({ "type": "string" }));
    assert_eq!(parameter("x-tenant")["schema"]["const"], "blue");
    let said = post["description"].as_str().unwrap();
    assert!(said.contains("`x-edge-secret` that is not shown") && said.contains("`/kind` in the body"), "{said}");
}

#[test]
fn what_variables_fill_in_is_not_shown_whatever_it_is_called() {
    let document = document(&format!(
        "{UP}[identity.providers.p]\nkind = 'custom'\nname = 'p'\n\
         [[routes]]\nname = 'edge'\npath = '/{{*rest}}'\nmethods = ['POST']\nupstream = 'up'\n\
         path_regex = '/${{PLACE:-hunter2}}/.*'\nauth = {{ providers = ['p'], claims = {{ tenant = '${{WHO:-hunter2}}' }} }}\n\
         headers = {{ x-edge = '${{EDGE:-hunter2}}', x-some = '${{ANY:-*}}' }}\n\
         query = {{ edge = '~${{EDGE:-hunter2}}.*' }}\nbody = {{ '/kind' = '${{KIND:-hunter2}}' }}\n"
    ));
    let post = &document["paths"]["/{rest}"]["post"];
    let text = document.to_string().replace("${PLACE:-hunter2}", "").replace("${WHO:-hunter2}", "");
    assert!(!text.contains("hunter2"), "{text}");
    let parameter = |name: &str| post["parameters"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
    for name in ["x-edge", "edge"] {
        assert_eq!(parameter(name)["schema"], json!({ "type": "string" }));
        assert_eq!(parameter(name)["description"], "A value that is not shown.");
    }
    assert_eq!(parameter("x-some")["description"], "Any value.");
    let said = post["description"].as_str().unwrap();
    let places =
        ["header `x-edge` that is not shown", "`edge` that is not shown", "`/kind` in the body that is not shown"];
    assert!(places.iter().all(|place| said.contains(place)), "{said}");
    assert!(said.contains("claims `tenant` = `${WHO:-hunter2}`"), "{said}");
}

#[test]
fn where_a_document_is_is_told_as_it_is_written() {
    let document = document(&format!(
        "{UP}[[routes]]\nname = 'orders'\npath = '/api/{{*rest}}'\nupstream = 'up'\n\
         openapi = '/${{DOC_PLACE:-hunter2}}/openapi.json?key=${{DOC_KEY:-hunter2}}'\n"
    ));
    let told = "/${DOC_PLACE:-hunter2}/openapi.json?key=(not shown)";
    assert_eq!(document["x-documents"][0]["from"], told);
    assert!(!document.to_string().replace(told, "").contains("hunter2"), "{document}");
}

#[test]
fn who_is_protected_is_not_told_as_open_since_another_route_that_nobody_reaches_is() {
    let keys = "[identity.providers.main]\nkind = 'jwt'\nissuer = 'https://idp.test'\naudiences = ['api']\n\
                algorithms = ['ES256']\njwks = { discovery = 'https://idp.test' }\n";
    let route = |name: &str, path: &str, more: &str| {
        format!("[[routes]]\nname = '{name}'\npath = '{path}'\nmethods = ['GET']\nupstream = 'up'\n{more}\n")
    };
    let protected = "auth = { providers = ['main'] }";
    for (text, host, path, others) in [
        // A higher priority takes all.
        (
            route("open", "/a/{id}", "") + &route("kept", "/a/{id}", &format!("{protected}\npriority = 1")),
            None,
            "/a/{id}",
            0,
        ),
        // What is deeper is left to the other one, which is told of.
        (route("open", "/a/{*rest}", "") + &route("kept", "/a/{id}", protected), None, "/a/{rest}", 1),
        // A host's own route is what it asks for.
        (
            route("open", "/a", "") + &route("kept", "/a", &format!("{protected}\nhosts = ['a.test']")),
            Some("a.test"),
            "/a",
            0,
        ),
    ] {
        let document = document_with(&format!("{UP}{keys}{text}"), host, &[]);
        let get = &document["paths"][path]["get"];
        assert_eq!(get["security"], json!([{ "main": [] }]), "{text}{document}");
        assert_eq!(get["x-gateway"]["route"], "kept");
        assert_eq!(get["x-alternatives"].as_array().map_or(0, Vec::len), others, "{text}");
    }
}

#[test]
fn a_host_sees_what_is_its_own() {
    let for_b = document_with(TWO_HOSTS, Some("shop.b.test"), &[]);
    assert_eq!(paths(&for_b), ["/x/{name}: get put"]);
    assert!(for_b["paths"]["/x/{name}"]["get"].get("x-alternatives").is_none());
    assert_eq!(paths(&document_with(TWO_HOSTS, Some("c.test"), &[])), [""; 0]);
}

/// A service with orders, and with something that nobody outside is to reach.
fn orders() -> Value {
    json!({
        "openapi": "3.0.3",
        "info": { "title": "Orders", "version": "7" },
        "servers": [{ "url": "https://internal.test/v1/" }],
        "tags": [{ "name": "orders", "description": "What was bought" }],
        "paths": {
            "/orders/{orderId}": {
                "parameters": [{ "$ref": "#/components/parameters/Id" }],
                "get": {
                    "operationId": "getOrder", "tags": ["orders"], "summary": "One order",
                    "parameters": [{ "name": "verbose", "in": "query", "schema": { "type": "boolean" } }],
                    "responses": { "200": { "description": "It", "content": { "application/json": {
                        "schema": { "$ref": "#/components/schemas/Order" } } } } },
                    "security": [{ "theirs": [] }], "x-rate-limits": "not theirs to say",
                },
                "delete": { "responses": { "204": { "description": "Gone" } } },
            },
            "/admin/keys": { "get": { "responses": { "200": { "$ref": "#/components/responses/Keys" } } } },
        },
        "components": {
            "parameters": { "Id": { "name": "orderId", "in": "path", "required": true, "schema": { "type": "integer" } } },
            "responses": { "Keys": { "description": "Secret" } },
            "schemas": {
                "Order": { "type": "object", "properties": { "next": { "$ref": "#/components/schemas/Order" },
                    "problem": { "$ref": "#/components/schemas/Problem" } } },
                "Problem": { "type": "string", "nullable": true },
                "Unused": { "type": "string" },
            },
        },
    })
}

const ORDERS: &str = "[upstreams.up]\nendpoints = ['127.0.0.1:1']\n\
    [[routes]]\nname = 'orders'\npath = '/api/{*rest}'\nmethods = ['GET']\nupstream = 'up'\nopenapi = '/openapi.json'\n\
    rewrite = { path = '/v1/orders/{rest}' }\n";

#[test]
fn a_services_operations_stand_under_the_routes_paths() {
    let document = document_with(ORDERS, None, &[("up", orders())]);
    assert_eq!(paths(&document), ["/api/{orderId}: get"], "what the route lets pass, and nothing else");
    let get = &document["paths"]["/api/{orderId}"]["get"];
    assert_eq!(
        (&get["operationId"], &get["summary"], &get["tags"]),
        (&json!("getOrder"), &json!("One order"), &json!(["orders"]))
    );
    assert_eq!(
        get["parameters"][0],
        json!({ "name": "orderId", "in": "path", "required": true, "schema": { "type": "integer" } })
    );
    assert_eq!(get["parameters"][1]["name"], "verbose");
    assert_eq!(get["security"], json!([]));
    assert!(get.get("x-rate-limits").is_none() && get.get("servers").is_none());
    assert!(get["responses"]["502"].is_object());
    let schemas: Vec<&String> = document["components"]["schemas"].as_object().unwrap().keys().collect();
    assert_eq!(schemas, ["Problem", "Order", "orders.Problem"]);
    let order = &document["components"]["schemas"]["Order"]["properties"];
    assert_eq!(order["problem"]["$ref"], "#/components/schemas/orders.Problem");
    assert_eq!(document["components"]["schemas"]["orders.Problem"]["type"], json!(["string", "null"]));
    assert!(!document.to_string().contains("Secret"));
    let told = &document["x-documents"][0];
    assert_eq!((&told["operations"], &told["not_reachable"], &told["title"]), (&json!(1), &json!(2), &json!("Orders")));
}

#[test]
fn another_routes_path_is_not_promised() {
    let service = json!({ "openapi": "3.1.0", "paths": {
        "/orders/{id}": { "get": { "operationId": "order" } }, "/orders/{id}/items": { "get": { "operationId": "items" } } } });
    let text = format!(
        "{UP}[upstreams.other]\nendpoints = ['127.0.0.1:2']\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\nopenapi = '/openapi.json'\n\
         [[routes]]\nname = 'taken'\npath = '/orders/{{id}}'\nupstream = 'other'\n"
    );
    let document = document_with(&text, None, &[("up", service)]);
    assert_eq!(document["paths"]["/orders/{id}"]["get"]["x-gateway"]["route"], "taken");
    assert_eq!(document["paths"]["/orders/{id}/items"]["get"]["operationId"], "items");
    assert_eq!(document["x-documents"][0]["not_reachable"], 1);
}

#[test]
fn a_document_that_is_missing_is_told_and_its_route_stands_by_itself() {
    let document = document_with(ORDERS, None, &[]);
    assert_eq!(paths(&document), ["/api/{rest}: get"]);
    assert_eq!(document["x-documents"][0]["missing"], "it has not been asked for yet");
    let swagger = document_with(ORDERS, None, &[("up", json!({ "swagger": "2.0" }))]);
    assert!(swagger["x-documents"][0]["missing"].as_str().unwrap().contains("Swagger 2.0"));
}

#[test]
fn a_part_that_many_refer_to_does_not_grow_without_bounds() {
    let parameter =
        json!({ "name": "id", "in": "path", "schema": { "type": "string" }, "description": "x".repeat(1 << 20) });
    let item = json!({ "get": { "parameters": [{ "$ref": "#/components/parameters/id" }] } });
    let paths: serde_json::Map<String, Value> =
        (0..200).map(|at| (format!("/v1/orders/{{id}}/{at}"), item.clone())).collect();
    let service = json!({ "openapi": "3.1.0", "paths": paths, "components": { "parameters": { "id": parameter } } });
    let document = document_with(ORDERS, None, &[("up", service)]);
    assert!(document.to_string().len() < 36 << 20);
    assert!(document["x-left-out"][0]["notes"][0].as_str().unwrap().contains("too many bytes"));
}

#[test]
fn a_listener_has_the_routes_that_it_reaches_and_no_words_about_others() {
    let text = "[[listeners]]\nname = 'public'\naddress = '127.0.0.1:1'\n[[listeners]]\nname = 'inside'\n\
                address = '127.0.0.1:2'\n[[routes]]\nname = 'all'\npath = '/all'\nanswer = { body = '' }\n\
                methods = ['GET']\n[[routes]]\nname = 'same'\npath = '/same'\nanswer = { body = '' }\n\
                methods = ['GET']\n[[routes]]\nname = 'inner'\npath = '/same'\nlisteners = ['inside']\n\
                answer = { body = '' }\nmethods = ['GET']\n[[routes]]\nname = 'ops'\npath = '/ops'\n\
                listeners = ['inside']\nanswer = { body = '' }\nmethods = ['GET']\n";
    let of = |listener: Option<&str>| {
        let listeners = [Listening { address: "127.0.0.1:2".parse().unwrap(), is_secure: false }];
        let wanted = Wanted { listeners: &listeners, listener, host: None, given: &BTreeMap::new() };
        merged(&config(text), &wanted)
    };
    let (all, public, inside) = (of(None), of(Some("public")), of(Some("inside")));
    assert_eq!(paths(&all), ["/all: get", "/same: get", "/ops: get"]);
    assert_eq!(paths(&public), ["/all: get", "/same: get"]);
    assert_eq!(paths(&inside), ["/all: get", "/same: get", "/ops: get"]);
    let same = |document: &Value| document["paths"]["/same"]["get"]["operationId"].clone();
    assert_eq!((same(&public), same(&inside)), (json!("same-get"), json!("inner-get")), "as for requests");
    assert!(all["paths"]["/same"]["get"]["x-alternatives"].is_array(), "either, for who does not say by which");
    assert_eq!(public["info"]["title"], "Gateway, by the listener public");
    assert!(!public.to_string().contains("inside") && !public.to_string().contains("inner"));
}
