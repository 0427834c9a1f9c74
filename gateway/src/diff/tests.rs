//! Changes as they are told, and requests decided anew.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::config::{Purpose, load_effective_text};

const OLD: &str = "[upstreams.a]\nendpoints = ['10.0.0.1:80']\n[upstreams.b]\nendpoints = ['10.0.0.2:80']\n\
                   [rate_limits.each]\nkey = 'client_ip'\nrate = '10/s'\nburst = 10\n\
                   [identity.providers.main]\nkind = 'api_key'\nkeys = 'keys.toml'\n\
                   [[routes]]\nname = 'orders'\npath = '/orders/{id}'\nupstream = 'a'\nrate_limits = ['each']\n\
                   [[routes]]\nname = 'legacy'\npath = '/legacy/{*rest}'\nupstream = 'b'\n";

fn side(text: &str) -> Side {
    // Providers name files, which are not there.
    let text = text.replace(
        "kind = 'api_key'\nkeys = 'keys.toml'\n",
        "kind = 'jwt'\nissuer = 'i'\naudiences = ['a']\njwks = { url = 'https://idp.example/jwks' }\n",
    );
    let loaded = load_effective_text(&text, Path::new("gateway.toml"), Purpose::Check);
    let (loaded, effective) = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    Side { config: loaded.config, effective }
}

fn told(new: &str) -> Vec<String> {
    let items = compare(&side(OLD), &side(new));
    let line = |item: &Item| {
        let changes: Vec<String> = item
            .changes
            .iter()
            .map(|it| format!("{} {}", it.key, differing(it.old.as_ref(), it.new.as_ref())))
            .map(|it| if it.len() > 80 { "(all)".to_owned() } else { it })
            .collect();
        format!("{} {} {:?} {}{:?}", item.section, item.name, item.what, changes.join("; "), item.used_by)
    };
    items.iter().map(line).collect()
}

fn record(method: &str, path: &str, more: &Value) -> String {
    let mut record =
        json!({ "schema": 1, "request_id": "i", "method": method, "host": "h", "path": path, "status": 200 });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    format!("{record}\n")
}

fn replayed(new: &str, log: &str) -> Replay {
    replay(&side(OLD), &side(new), log.as_bytes()).unwrap()
}

#[test]
fn only_what_means_something_else_is_told() {
    assert!(told(&OLD.replace("'10/s'", "'600/m'")).is_empty());
    assert_eq!(
        told(&OLD.replace("'10/s'", "'5/s'").replace("upstream = 'b'\n", "upstream = 'b'\ntimeout = '5s'\n")),
        ["routes legacy Changed timeout 15s → 5s[]", "rate_limits each Changed rate 10/s → 5/s[\"orders\"]"]
    );
    let body = OLD.replace("upstream = 'b'\n", "upstream = 'b'\nmax_body = '10MiB'\n");
    assert!(told(&body).is_empty(), "that is what [server] says");
    assert!(!told(&body.replace("10MiB", "11MiB")).is_empty());
    let moved = OLD.replace("name = 'legacy'", "name = 'older'").replace("10.0.0.2", "10.0.0.3");
    assert_eq!(
        told(&moved),
        [
            "routes legacy Removed (all)[]",
            "routes older Added (all)[]",
            "upstreams b Changed endpoints.10.0.0.2:80 { backup = false, weight = 1 } → none; \
             endpoints.10.0.0.3:80 none → { backup = false, weight = 1 }[\"older\"]"
        ]
    );
    let backed = OLD.replace("['10.0.0.2:80']", "['10.0.0.2:80', { address = '10.0.0.4:80', backup = true }]");
    assert_eq!(
        told(&backed),
        ["upstreams b Changed endpoints.10.0.0.4:80 none → { backup = true, weight = 1 }[\"legacy\"]"]
    );
    assert_eq!(
        told(&format!("[server]\nmax_uri_bytes = '4KiB'\n{OLD}")),
        ["server server Changed max_uri_bytes 8KiB → 4KiB[]"]
    );
}

#[test]
fn what_a_route_says_no_to_is_none() {
    let shared = format!("{OLD}auth = {{ scopes = [] }}\n[defaults.route]\nauth = {{ providers = ['main'] }}\n");
    let open = shared.replace("auth = { scopes = [] }", "auth = false");
    let items = compare(&side(&shared), &side(&open));
    assert_eq!((items.len(), items[0].name.as_str(), items[0].changes.len()), (1, "legacy", 1));
    let change = &items[0].changes[0];
    assert_eq!((change.key.as_str(), &change.new), ("auth", &None));
    assert!(differing(change.old.as_ref(), change.new.as_ref()).ends_with(" → none"));
    assert!(compare(&side(&open), &side(&open.replace("auth = false\n", ""))).len() == 1, "without it, it is shared");
}

#[test]
fn keys_that_become_a_policy_change_nothing() {
    let own = format!("{OLD}auth = {{ providers = ['main'], scopes = ['a'] }}\ncoalesce = true\n");
    let policies = "[policies.known]\nauth = { providers = ['main'] }\n[policies.shared]\ncoalesce = true\nauth = { scopes = ['a'] }\n";
    let named = format!("{OLD}policies = ['known', 'shared']\n{policies}");
    assert!(compare(&side(&own), &side(&named)).is_empty());
    let changed = compare(&side(&named), &side(&named.replace("scopes = ['a']", "scopes = ['b']")));
    assert_eq!((changed.len(), changed[0].changes[0].key.as_str()), (1, "auth.scopes"), "of each route that names it");
}

#[test]
fn the_order_of_routes_counts_where_it_decides() {
    let route = |name: &str, key: &str, path: &str| {
        format!("[[routes]]\nname = '{name}'\npath = '{path}'\nupstream = 'http://h:1'\nheaders = {{ {key} = '1' }}\n")
    };
    let [a, b] = [route("a", "x-a", "/p/{id}"), route("b", "x-b", "/p/{number}")];
    let items = compare(&side(&format!("{a}{b}")), &side(&format!("{b}{a}")));
    assert_eq!((items.len(), items[0].name.as_str()), (1, "(order in the file)"));
    let other = route("b", "x-b", "/q/{id}");
    assert!(compare(&side(&format!("{a}{other}")), &side(&format!("{other}{a}"))).is_empty());
}

#[test]
fn the_order_of_routes_that_no_request_matches_alike_means_nothing() {
    // Each hangs on a header of its own: without, two that match alike are an error.
    let route = |name: &str, keys: &str| {
        let keys = keys.replace("; ", "\n");
        format!("[[routes]]\nname = '{name}'\nupstream = 'http://h:1'\nheaders.x-{name} = '1'\n{keys}\n")
    };
    let moved = |keys: [&str; 3]| {
        let [a, b, c] = [route("a", keys[0]), route("b", keys[1]), route("c", keys[2])];
        let items = compare(&side(&format!("{a}{b}{c}")), &side(&format!("{c}{b}{a}")));
        let lists = items.iter().flat_map(|item| &item.changes);
        lists.map(|it| differing(it.old.as_ref(), it.new.as_ref())).collect::<Vec<_>>()
    };
    let apart = "path = '/apart'";
    for keys in [
        ["path = '/{*rest}'; hosts = ['a.test']", "path = '/{*all}'; hosts = ['b.test']", apart],
        ["path = '/{*rest}'; hosts = ['a.test']", "path = '/{*all}'", "path = '/{*all}'; hosts = ['*.test']"],
        ["path = '/a'; methods = ['GET']", "path = '/a'; methods = ['POST']", "path = '/a'; methods = ['HEAD']"],
        ["path = '/a/{id}'", "path = '/a/{*rest}'", apart],
        ["path = '/a'; query.p = '1'", "path = '/a'", "path = '/a'; priority = 1"],
    ] {
        assert_eq!(moved(keys), [""; 0], "{keys:?}");
    }
    let both = ["path = '/{id}'; hosts = ['a.test', '*.b.test']", "path = '/{name}'; hosts = ['*.b.test']", apart];
    assert_eq!(moved(both), ["[a, b] → [b, a]"]);
    let named = ["path = '/a'; methods = ['GET', 'POST']", "path = '/a'; methods = ['PUT', 'POST']", apart];
    assert_eq!(moved(named), ["[a, b] → [b, a]"]);
    let twice = ["a.test", "b.test"].map(|host| format!("path = '/x'; hosts = ['{host}', 'c.test', 'd.test']"));
    assert_eq!(moved([&twice[0], &twice[1], apart]), ["[a, b] → [b, a]"], "told once, whatever the number of hosts");
    let some = ["path = '/a'; methods = ['GET']", "path = '/a'; methods = ['POST']", "path = '/a'; methods = ['GET']"];
    assert_eq!(moved(some), ["[a, c] → [c, a]"], "those that it concerns, and no other");
}

#[test]
fn requests_are_grouped_by_what_becomes_of_them() {
    let new = OLD
        .replace(
            "name = 'orders'\npath = '/orders/{id}'\nupstream = 'a'",
            "name = 'orders'\npath = '/orders/{id}'\nupstream = 'b'\nauth = { providers = ['main'] }",
        )
        .replace("/legacy/{*rest}", "/legacy/v2/{*rest}");
    let log = [
        record("GET", "/orders/1", &json!({ "route": "orders" })),
        record("GET", "/orders/2", &json!({ "route": "orders", "subject": "ada" })),
        record("GET", "/legacy/x", &json!({ "route": "legacy" })),
        record("GET", "/legacy/v2/x", &json!({ "route": "legacy" })),
        record("GET", "/nowhere", &json!({ "status": 404 })),
        record("GET", "/orders/3", &json!({ "route": "another" })),
        "{\"broken\n".to_owned(),
        "\n".to_owned(),
        "{\"request_id\":\"i\",\"status\":400}\n".to_owned(),
    ]
    .concat();
    let told = replayed(&new, &log);
    assert_eq!((told.requests, told.same, told.differing, told.undecided), (6, 2, 4, 0));
    assert_eq!((told.bad_lines, told.bad[0].line, told.no_requests, told.of_another_configuration), (1, 7, 1, 1));
    let orders = &told.groups[0];
    assert_eq!((orders.count, orders.old.as_str(), orders.without_identity), (3, "route orders", Some(2)));
    assert_eq!(orders.differs, ["upstream a → b", "now needs identity (main)"]);
    assert_eq!(orders.examples.iter().map(|it| it.line).collect::<Vec<_>>(), [1, 2, 6]);
    let legacy = &told.groups[1];
    assert_eq!((legacy.count, &legacy.old[..], &legacy.new[..]), (1, "route legacy", "404"));
    assert_eq!((&legacy.differs[..], legacy.examples[0].line), (&["now 404".to_owned()][..], 3));
}

#[test]
fn what_a_route_does_to_a_request_is_told_where_only_that_changes() {
    let log = record("GET", "/orders/1", &json!({ "route": "orders" }));
    let differs = |new: &str| replayed(new, &log).groups.first().map(|group| group.differs.clone()).unwrap_or_default();
    assert_eq!(differs(&OLD.replace("burst = 10", "burst = 3")), ["limit each: burst 10 → 3"]);
    assert_eq!(differs(&OLD.replace("rate_limits = ['each']\n", "")), ["not under limit each any more"]);
    assert_eq!(
        differs(&OLD.replace("10.0.0.1:80']", "10.0.0.1:80']\nslow_start = '5s'")),
        ["upstream a: slow_start 0s → 5s"]
    );
    let rewritten = OLD.replace("rate_limits = ['each']\n", "rate_limits = ['each']\nrewrite = { path = '/o/{id}' }\n");
    let told = replayed(&rewritten, &log);
    assert!(told.groups[0].differs.contains(&"the upstream is sent another path".to_owned()), "{told:?}");
    assert_eq!(told.groups[0].examples[0].sent.as_deref(), Some("/o/1"));
    let closed =
        OLD.replace("rate_limits = ['each']\n", "rate_limits = ['each']\naddresses = { deny = ['10.9.0.0/16'] }\n");
    let from = |client: &str| record("GET", "/orders/1", &json!({ "route": "orders", "client": client }));
    let told = replayed(&closed, &[from("10.9.0.1"), from("10.8.0.1")].concat());
    assert!(told.groups.iter().any(|it| it.count == 1 && it.new.starts_with("403")), "{told:?}");
    assert_eq!((told.same, told.differing), (1, 1), "who may come as before is treated as before: {told:?}");
    assert_eq!(replayed(OLD, &log).differing, 0);
}

#[test]
fn where_a_client_was_decides_which_route_it_takes() {
    let inner =
        format!("{OLD}[[routes]]\nname = 'inner'\npath = '/orders/{{id}}'\nclients = ['10.9.0.0/16']\nanswer = {{}}\n");
    let from = |client: &str| record("GET", "/orders/1", &json!({ "route": "orders", "client": client }));
    let told = replayed(&inner, &[from("10.9.0.1"), from("10.8.0.1")].concat());
    assert_eq!((told.same, told.differing, told.undecided), (1, 1, 0), "{told:?}");
    assert!(told.groups[0].new.contains("inner"), "{told:?}");
    let unknown = record("GET", "/orders/1", &json!({ "route": "orders" }));
    assert_eq!(replayed(&inner, &unknown).undecided, 1, "where it was is not in the log");
}

#[test]
fn what_hangs_on_the_page_or_on_tls_is_not_decided_where_nothing_else_changes() {
    let log = record("GET", "/orders/1", &json!({ "route": "orders" }));
    let with = |keys: &str| OLD.replace("rate_limits = ['each']\n", &format!("rate_limits = ['each']\n{keys}\n"));
    for keys in ["https = 'redirect'", "cors = { origins = ['https://app.example'] }"] {
        let told = replayed(&with(keys), &log);
        assert_eq!((told.requests, told.same, told.differing, told.undecided), (0, 0, 0, 1), "{keys}: {told:?}");
    }
    let told = replayed(&with("https = 'redirect'\ntimeout = '5s'"), &log);
    assert_eq!((told.requests, told.differing, told.undecided), (1, 1, 0), "{told:?}");
    let differs = &told.groups[0].differs;
    assert_eq!((differs.len(), &*differs[0]), (2, "timeout 15s → 5s"), "{differs:?}");
    assert!(differs[1].starts_with("https "), "{differs:?}");
}

#[test]
fn what_hangs_on_headers_is_decided_only_where_nothing_of_it_changed() {
    let with = |condition: &str, base: &str| {
        format!(
            "{base}[[routes]]\nname = 'beta'\npath = '/orders/{{id}}'\nupstream = 'b'\nheaders = {{ x-beta = '{condition}' }}\n"
        )
    };
    let (old, changed) = (with("1", OLD), with("2", OLD));
    let same_match = with("1", &OLD.replace("upstream = 'a'\nrate", "upstream = 'b'\nrate"));
    let log = |route: &str| record("GET", "/orders/1", &json!({ "route": route }));
    let run = |new: &str, log: String| replay(&side(&old), &side(new), log.as_bytes()).unwrap();
    assert_eq!(run(&changed, log("beta")).undecided, 1);
    assert_eq!(run(&same_match, log("beta")).same, 1, "it took beta, and takes it still");
    let told = run(&same_match, log("orders"));
    assert_eq!((told.differing, told.groups[0].differs[0].as_str()), (1, "upstream a → b"));
    let elsewhere = run(&changed, record("GET", "/legacy/x", &json!({ "route": "legacy" })));
    assert_eq!((elsewhere.undecided, elsewhere.same), (0, 1));
}

#[test]
fn what_hangs_on_a_parameter_is_decided_where_records_tell_it() {
    let route = |name: &str, condition: &str| {
        format!("[[routes]]\nname = '{name}'\npath = '/orders/{{id}}'\nquery.{condition}\nupstream = 'b'\n")
    };
    let told = "[telemetry.access_log]\nquery = ['v']\n";
    let of = |head: &str, routes: &str| side(&format!("{head}{OLD}{routes}"));
    let log = |path: &str, route: &str| record("GET", path, &json!({ "route": route }));
    let [one, two] = [route("beta", "v = '1'"), route("beta", "v = '2'")];
    let run = |old: &Side, new: &Side, log: &str| {
        let told = replay(old, new, log.as_bytes()).unwrap();
        (told.same, told.differing, told.undecided, told.groups.first().map(|group| group.new.clone()))
    };
    let orders = Some("route orders".to_owned());
    assert_eq!(run(&of(told, &one), &of(told, &two), &log("/orders/1?v=%31", "beta")), (0, 1, 0, orders.clone()));
    assert_eq!(run(&of(told, &one), &of(told, &two), &log("/orders/1?v=3", "orders")), (1, 0, 0, None));
    assert_eq!(run(&of(told, &one), &of(told, &two), &log("/orders/1", "orders")), (1, 0, 0, None), "it was not sent");
    assert_eq!(run(&of("", &one), &of(told, &two), &log("/orders/1", "orders")).2, 1, "nobody has told");
    assert_eq!(run(&of("", &one), &of("", &two), &log("/orders/1?v=1", "beta")), (0, 1, 0, orders), "it is there");
    // What is not told may be as any route asks, whatever is.
    let [both, after] = ["1", "2"].map(|w| of(told, &(one.clone() + &route("other", &format!("w = '{w}'")))));
    assert_eq!(run(&both, &after, &log("/orders/1?v=3", "orders")).2, 1);
    let header = route("beta", "v = '1'\nheaders.x-a = '1'");
    assert_eq!(run(&of(told, &header), &of(told, &two), &log("/orders/1?v=3", "orders")), (1, 0, 0, None));
    let shown = replay(&of(told, &one), &of(told, &two), log("/orders/1?v=1", "beta").as_bytes()).unwrap();
    assert_eq!(shown.groups[0].examples[0].path, "/orders/1?v=1");
}

#[test]
fn a_line_without_end_and_one_that_is_too_long_are_bad_and_no_more() {
    let long = "x".repeat(3 << 20);
    let log = format!("{long}\n{}{{\"request_id\":", record("GET", "/orders/1", &json!({ "route": "orders" })));
    let told = replayed(OLD, &log);
    assert_eq!((told.requests, told.bad_lines), (1, 2));
    assert_eq!(told.bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn batches_are_compared_and_replayed_too() {
    let batch = "[[batches]]\nname = 'items'\npath = '/items/{id}'\nupstream = 'a'\n\
                 request = { path = '/items:batch', body = '{ids}' }\nresponse = { items = '', key = '/id' }\n";
    let of = |batch: &str| side(&format!("{OLD}{batch}"));
    let old = of(batch);
    assert!(compare(&old, &of(&format!("{batch}max_size = 50\nwindow = '5ms'\n"))).is_empty());
    let changes = |new: &Side| {
        let items = compare(&old, new);
        items.iter().map(|item| (item.section, item.what, item.changes[0].key.clone())).collect::<Vec<_>>()
    };
    assert_eq!(changes(&side(OLD)), [("batches", What::Removed, String::new())]);
    assert_eq!(
        changes(&of(&batch.replace("/items:batch", "/new"))),
        [("batches", What::Changed, "request.path".into())]
    );
    let shared = format!("{batch}across_subjects = true\n");
    assert_eq!(changes(&of(&shared)), [("batches", What::Changed, "across_subjects".into())]);
    let log = record("GET", "/items/7", &json!({ "route": "items" }));
    let told = replay(&old, &of(&shared), log.as_bytes()).unwrap();
    assert!(told.groups[0].differs.iter().any(|it| it.contains("across_subjects")), "{:?}", told.groups[0].differs);
}

const BOARD: &str = "[[aggregates]]\nname = 'board'\npath = '/board'\nparts = [\n  { name = 'x', upstream = 'a', path = '/x' },\n  \
                     { name = 'y', upstream = 'b', path = '/y' },\n]\n";

#[test]
fn aggregates_are_compared_and_replayed_too() {
    let (old, plain) = (side(&format!("{OLD}{BOARD}")), BOARD);
    let of = |board: &str| side(&format!("{OLD}{board}"));
    assert!(compare(&old, &of(plain)).is_empty());
    let sections = |new: &Side| compare(&old, new).iter().map(|item| (item.section, item.what)).collect::<Vec<_>>();
    assert_eq!(sections(&side(OLD)), [("aggregates", What::Removed)]);
    let swapped = "[[aggregates]]\nname = 'board'\npath = '/board'\nparts = [\n  { name = 'y', upstream = 'b', path = '/y' },\n  \
                   { name = 'x', upstream = 'a', path = '/x' },\n]\n";
    assert_eq!(sections(&of(swapped)), [("aggregates", What::Changed)], "the order is that of the document");
    let guarded = BOARD.replace("path = '/board'", "path = '/board'\nauth = { providers = ['main'] }");
    assert_eq!(sections(&of(&guarded)), [("aggregates", What::Changed)]);
    let log = record("GET", "/board", &json!({ "route": "board" }));
    let told = replay(&old, &of(&guarded), log.as_bytes()).unwrap();
    let group = &told.groups[0];
    assert!(group.differs.iter().any(|it| it.contains("now needs identity")), "{:?}", group.differs);
}

#[test]
fn an_order_that_decides_is_told_though_more_has_changed() {
    let two = |first: &str, second: &str| {
        let route = |name: &str, more: &str| {
            format!("[[routes]]\nname = '{name}'\npath = '/h'\nheaders = {{ x-{name} = '1' }}\nupstream = 'a'\n{more}")
        };
        side(&format!("{OLD}{}{}", route(first, ""), route(second, if first == "q" { "timeout = '1s'\n" } else { "" })))
    };
    let (old, new) = (two("p", "q"), two("q", "p"));
    assert!(compare(&old, &new).iter().any(|item| item.name == "(order in the file)"), "p has another timeout too");
}

#[test]
fn a_split_is_told_by_its_shares() {
    let split = |stable: u32, canary: u32| {
        let shares = format!(
            "split = [{{ upstream = 'b', weight = {canary}, sticky = 'client_ip' }}, {{ upstream = 'a', weight = {stable} }}]"
        );
        OLD.replacen("upstream = 'a'", &shares, 1)
    };
    let log = record("GET", "/orders/7", &json!({ "route": "orders" }));
    let told = replayed(&split(95, 5), &log);
    assert_eq!(told.groups[0].differs, ["upstream a → a 95 %; b 5 %, by client_ip"]);
    let between = replay(&side(&split(95, 5)), &side(&split(90, 10)), log.as_bytes()).unwrap();
    let grown = "upstream a 95 %; b 5 %, by client_ip → a 90 %; b 10 %, by client_ip";
    assert_eq!(between.groups[0].differs, [grown]);
    let other = replay(&side(&split(95, 5)), &side(&split(190, 10)), log.as_bytes()).unwrap();
    assert_eq!(other.differing, 0, "the shares are the same");
    // An upstream that shares is one that the route may reach.
    let changed = split(95, 5).replace("[upstreams.b]\n", "[upstreams.b]\nslow_start = '5s'\n");
    let told = replay(&side(&split(95, 5)), &side(&changed), log.as_bytes()).unwrap();
    assert_eq!(told.groups[0].differs, ["upstream b: slow_start 0s → 5s"]);
}

#[test]
fn the_order_of_stages_is_their_meaning() {
    let of = |stages: &str| side(&OLD.replace("upstream = 'b'\n", &format!("upstream = 'b'\nstages = [{stages}]\n")));
    let items = compare(&of("'one', 'two'"), &of("'two', 'one'"));
    assert_eq!(items.iter().map(|item| (item.section, &*item.name)).collect::<Vec<_>>(), [("routes", "legacy")]);
}

#[test]
fn another_form_of_paths_is_told_where_a_request_has_it() {
    let apart = format!("[server]\nmerge_slashes = false\n{OLD}");
    let log = [record("GET", "/legacy//x", &json!({})), record("GET", "/legacy/x", &json!({}))].concat();
    let told = replay(&side(OLD), &side(&apart), log.as_bytes()).unwrap();
    assert_eq!((told.same, told.differing), (1, 1), "{told:?}");
    assert_eq!(told.groups[0].differs, ["the upstream is sent another path"]);
    let example = &told.groups[0].examples[0];
    assert_eq!((example.was_sent.as_deref(), example.sent.as_deref()), (Some("/legacy/x"), Some("/legacy//x")));
}
