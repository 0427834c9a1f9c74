//! Edits of headers: whose names they write, and which values of a request there are.

use gateway::config::settings::header_edits::{EditValue, KnownValue, ValuePiece};

use super::{built, check, check_route, warnings};

const ROUTE: &str = "[[routes]]\npath = \"/a/{id}\"\nupstream = \"http://127.0.0.1:1\"\n";

/// A route that sets this value, which stands in line 4 at column 35, in a literal of TOML.
fn setting(value: &str) -> String {
    format!("request_headers = {{ set = {{ x-a = '{value}' }} }}")
}

#[test]
fn values_of_a_request_are_named() {
    for known in KnownValue::ALL {
        check_route(&setting(&format!("<{{{}}}>", known.as_str())), &[]);
    }
    let route = built(&format!("{ROUTE}{}", setting("{client_ip}, {id}{{}} {header:X-B}")));
    let pieces = [
        ValuePiece::Known(KnownValue::ClientIp),
        ValuePiece::Literal(", ".into()),
        ValuePiece::Param(0),
        ValuePiece::Literal("{} ".into()),
        ValuePiece::Header("x-b".parse().unwrap()),
    ];
    assert_eq!(route.request_headers.set[0].1, EditValue::Made(pieces.into()));
    let route = built(&format!("{ROUTE}{}", setting("{{\"a\":1}}")));
    assert_eq!(route.request_headers.set[0].1, EditValue::Fixed("{\"a\":1}".parse().unwrap()));
}

#[test]
fn a_name_that_is_none_is_an_error_with_what_there_is() {
    check_route(&setting("{tenant}"), &["4:35: {tenant} is no value of a request, and no parameter of \"/a/{id}\""]);
    let told = |value: &str| {
        let text = format!("{ROUTE}{}", setting(value));
        let problems = gateway::config::load_text(&text, "gateway.toml".as_ref(), gateway::config::Purpose::Check);
        problems.unwrap_err().iter().find_map(|problem| problem.help.clone()).unwrap()
    };
    assert_eq!(
        told("{tenant}"),
        "there are {id}, {client_ip}, {scheme}, {host}, {port}, {method}, {uri}, {path}, {request_id} and {header:NAME}; \
         a brace itself is written twice"
    );
    assert_eq!(told("{client-ip}"), "for example \"{client_ip}\"");
    assert_eq!(told("{clientip}"), "did you mean {client_ip}?");
    let braces = "a brace itself is written twice";
    for (value, why) in [
        ("{", "`{` without `}`; "),
        ("a}", "`}` without `{`; "),
        ("{\"a\":1}", "what stands in braces is the name of a value; "),
    ] {
        check_route(&setting(value), &[&format!("4:35: {value:?} is not a header's value: {why}{braces}")]);
    }
    check(
        "[[routes]]\npath = \"/{host}\"\nanswer = {}\nresponse_headers = { set = { x-a = \"{host}\" } }",
        &["4:36: {host} is a value of every request, and a parameter of \"/{host}\""],
    );
    // What all routes share has to be there on each of them.
    let shared = "[defaults.route]\nresponse_headers = { set = { x-a = \"{id}\" } }\n";
    check(&format!("{shared}{ROUTE}"), &[]);
    check(
        &format!("{shared}[[routes]]\npath = \"/b\"\nanswer = {{}}"),
        &["2:36: {id} is no value of a request, and no parameter of \"/b\""],
    );
}

#[test]
fn nothing_says_who_asks_and_no_credential_goes_elsewhere() {
    for name in ["authorization", "Cookie"] {
        let lower = name.to_ascii_lowercase();
        let message = format!("4:35: \"{lower}\" holds a credential, which goes nowhere under another name");
        check_route(&setting(&format!("{{header:{name}}}")), &[&message]);
    }
    let keys = "\n[identity.providers.keys]\nkind = \"api_key\"\nfile = \"Cargo.toml\"\nheader = \"x-shop-key\"";
    let text = format!("{ROUTE}{}{keys}", setting("{header:x-shop-key}"));
    let told = super::errors(&text);
    let message = "4:35: \"x-shop-key\" holds a credential, which goes nowhere under another name";
    assert!(told.iter().any(|error| error == message), "{told:?}");
    check_route(
        &setting("{header:x-auth-subject}"),
        &["4:35: \"x-auth-subject\" is an identity header, which is taken from every request"],
    );
    check_route(
        &setting("{header:x-forwarded-for}"),
        &["4:35: \"x-forwarded-for\" is for proxies to say, and is taken from every client"],
    );
    for edits in ["add = { X-Auth-Subject = \"{id}\" }", "set = { x_auth_subject = \"root\" }"] {
        let name = if edits.starts_with("add") { "x-auth-subject" } else { "x_auth_subject" };
        let message = format!("4:29: \"{name}\" is an identity header, which only the gateway's identity sets");
        check_route(&format!("request_headers = {{ {edits} }}"), &[&message]);
    }
}

#[test]
fn what_is_added_is_not_removed_and_may_be_there_twice() {
    check_route("response_headers = { set = { vary = \"a\" }, add = { vary = \"b\", set-cookie = \"c=1\" } }", &[]);
    check_route(
        "response_headers = { add = { vary = \"a\" }, remove = [\"Vary\"] }",
        &["4:30: \"vary\" is both added and removed"],
    );
    check_route(
        "response_headers = { add = { Content-Type = \"text/plain\" } }",
        &["4:30: a message has \"content-type\" once: a second line would be added"],
    );
    check_route(
        "response_headers = { add = { content-length = \"1\" } }",
        &[
            "4:30: \"content-length\" is not a header's name: the gateway sets it; an edit could change where a message ends",
        ],
    );
}

#[test]
fn a_client_writes_no_cookie_and_lets_in_no_page() {
    check_route(
        "response_headers = { set = { access-control-allow-origin = \"{header:origin}\" } }",
        &["4:60: every page may read what allows the origin that asks, whichever it is"],
    );
    let message = "a client could write a cookie's attributes: this value is the client's own";
    check_route("response_headers = { add = { set-cookie = \"t={id}\" } }", &[&format!("4:43: {message}")]);
    check_route("response_headers = { add = { set-cookie = \"t={request_id}\" } }", &[]);
    let told = warnings(&format!("{ROUTE}response_headers = {{ set = {{ Set-Cookie = \"c=1\" }} }}"));
    let message = "this takes every cookie of the upstream's answers away, sessions too";
    assert_eq!(told, [format!("4:30: {message} (`add` leaves them there)")]);
}

#[test]
fn what_other_gateways_would_fill_in_is_told() {
    let told = |value: &str| warnings(&format!("{ROUTE}{}", setting(value)));
    let sent = |sign: &str| format!("4:35: \"{sign}\" in a header's value is sent as written");
    assert_eq!(told("for=$remote_addr"), [format!("{} (perhaps {{client_ip}} is meant)", sent("$remote_addr"))]);
    assert_eq!(told("%REQ(X-Trace)%"), [format!("{} (perhaps {{header:x-trace}} is meant)", sent("%REQ(X-Trace)%"))]);
    assert!(told("%[ssl_fc]")[0].starts_with(&sent("%[ssl_fc]")));
    assert_eq!(told("US$5, 100%"), [""; 0]);
    let own = "[server]\nown_headers = { x-a = \"$host\", nel = '{\"a\":{}}' }";
    check(own, &[]);
    assert!(warnings(own).iter().any(|told| told.contains("\"$host\"") && told.contains("the same for every request")));
}

#[test]
fn an_identity_header_is_not_taken_from_who_was_proven() {
    let keys = "\n[identity.providers.certificates]\nkind = \"mtls\"";
    let edits = "request_headers = { remove = [\"x-auth-subject\"] }";
    let told = |auth: &str| warnings(&format!("{ROUTE}{edits}\n{auth}{keys}"));
    let is_told = |told: &[String]| told.iter().any(|warning| warning.contains("which no edit removes"));
    assert!(is_told(&told("auth = { providers = [\"certificates\"] }")));
    assert!(!is_told(&told("")));
}

#[test]
fn the_example_of_the_documentation_holds() {
    let text = include_str!("../../../docs/operating.md");
    let (_, section) = text.split_once("\n## Headers that a route edits\n").unwrap();
    let (_, after) = section.split_once("```toml\n").unwrap();
    let (example, _) = after.split_once("```").unwrap();
    check(example, &[]);
    assert_eq!(built(example).request_headers.set.len(), 3);
    assert_eq!(warnings(example), [""; 0]);
}

#[test]
fn what_ends_circles_is_better_left_there() {
    let told = |edits: &str| warnings(&format!("{ROUTE}request_headers = {{ {edits} }}"));
    let goes = |what: &str| format!("\"forwarded\" is {what}, and with it what tells that a request goes in a circle");
    for (edits, what) in [
        ("remove = [\"x-a\", \"Forwarded\"]", Some("removed")),
        ("set = { Forwarded = \"for={client_ip}\" }", Some("replaced")),
        ("add = { forwarded = \"for={client_ip}\" }", None),
        ("remove = [\"x-forwarded-for\"]", None),
    ] {
        let told = told(edits);
        assert_eq!(
            told.iter().any(|told| what.is_some_and(|what| told.contains(&goes(what)))),
            what.is_some(),
            "{told:?}"
        );
        assert_eq!(told.len(), usize::from(what.is_some()), "{told:?}");
    }
    let part = "[upstreams.u]\nendpoints = [\"b:1\"]\n[[aggregates]]\npath = \"/d\"\n\
                parts = [{ name = \"a\", upstream = \"u\", path = \"/\", request_headers = { remove = [\"forwarded\"] } }]\n";
    assert!(warnings(part).iter().any(|told| told.contains(&goes("removed"))));
}

#[test]
fn what_browsers_act_upon_is_not_a_clients_to_write() {
    let told = |name: &str, value: &str| {
        warnings(&format!("{ROUTE}response_headers = {{ set = {{ {name} = \"{value}\" }} }}"))
    };
    for name in [
        "Refresh",
        "link",
        "content-security-policy",
        "content-security-policy-report-only",
        "access-control-allow-origin",
        "access-control-allow-headers",
        "clear-site-data",
        "strict-transport-security",
    ] {
        let message =
            format!("browsers act upon \"{}\", and this value is the client's own", name.to_ascii_lowercase());
        for value in ["0; url={header:x-next}", "{id}", "{host}"] {
            let told = told(name, value);
            assert!(told.len() == 1 && told[0].contains(&message), "{name} {value} {told:?}");
        }
        assert_eq!(told(name, "0; url=/a; {request_id}"), [""; 0], "{name}");
    }
    assert_eq!(told("x-next", "{header:x-next}"), [""; 0]);
    // One that the gateway answers itself is looked at too.
    let own = "[[routes]]\npath = \"/a\"\nanswer = {}\nresponse_headers = { set = { link = \"<{header:x-next}>\" } }";
    assert_eq!(warnings(own).len(), 1);
}

#[test]
fn a_redirect_leads_where_somebody_wrote() {
    let location = |value: &str| format!("response_headers = {{ set = {{ location = \"{value}\" }} }}");
    let message = "this leads to any host: of `//evil.example/a` it is all that a browser looks at";
    check_route(&location("{uri}"), &[&format!("4:41: {message}")]);
    for value in ["{path}", "https://a.example{uri}", "/login?to={uri}"] {
        assert_eq!(warnings(&format!("{ROUTE}{}", location(value))), [""; 0], "{value}");
    }
    let told = warnings(&format!("{ROUTE}{}", location("{header:x-next}")));
    assert!(told.len() == 1 && told[0].contains("where it leads is the client's to say"), "{told:?}");
    let unmerged = format!("{ROUTE}{}\n[server]\nmerge_slashes = false", location("{path}"));
    check(&unmerged, &[&format!("4:41: {message}")]);
}

#[test]
fn what_only_proxies_say_is_not_made_of_what_clients_say() {
    let told = |server: &str, name: &str, value: &str| {
        let text = format!("{ROUTE}request_headers = {{ set = {{ {name} = \"{value}\" }} }}\n{server}");
        let told = warnings(&text);
        told.into_iter().filter(|told| told.contains("which services take from proxies")).count()
    };
    for name in ["X-Real-IP", "x-forwarded-for", "x-forwarded-host", "forwarded", "client-cert"] {
        assert_eq!(told("", name, "{header:true-client-ip}"), 1, "{name}");
        assert_eq!(told("", name, "{id}"), 1, "{name}");
        assert_eq!(told("", name, "{client_ip}"), 0, "{name}");
        assert_eq!(told("[server]\ntrusted_proxies = [\"10.0.0.0/8\"]", name, "{header:true-client-ip}"), 0, "{name}");
    }
    assert_eq!(told("", "x-tenant", "{id}"), 0);
    assert_eq!(told("", "x-forwarded-prefix", "/t/{id}"), 0, "of the path, which is the client's in any case");
}
