//! A configuration that serves in production is a scenario's by mistake: nothing of it may be asked.

use super::*;

/// A configuration whose upstream has this endpoint, and more.
fn with(endpoint: &str, more: &str) -> String {
    format!("{}\n{more}", GATEWAY.replace("mock://orders/1", endpoint))
}

/// The small scenario with `[gateway] allow_loopback`.
fn allowing(addresses: &str) -> String {
    SCENARIO.replace("config =", &format!("allow_loopback = [{addresses}]\nconfig ="))
}

#[track_caller]
fn refuses(scenario: &str, gateway: &str, expected: &[&str]) {
    let text = refused(scenario, gateway);
    for expected in expected {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
}

#[test]
fn an_address_elsewhere_is_refused_where_it_stands_whatever_is_allowed() {
    let place =
        "gateway.toml:3:45: error: the upstream `orders` connects to 192.0.2.7:80, which is not on this machine";
    refuses(
        SCENARIO,
        &with("192.0.2.7:80", ""),
        &[place, "a run never leaves it", "endpoints = [\"mock://orders/0\"]"],
    );
    let here = "`192.0.2.7:80` is no address on this machine";
    refuses(&allowing("\"192.0.2.7:80\""), &with("192.0.2.7:80", ""), &[place, here]);
    refuses(SCENARIO, &with("orders.internal:8080", ""), &["connects to orders.internal:8080, which is not on this"]);
    let discovered = "[upstreams.other]\ndiscovery = { dns = \"orders.internal:8080\" }\n";
    let route = "[[routes]]\nname = \"other\"\npath = \"/other\"\nupstream = \"other\"\n";
    refuses(SCENARIO, &with("mock://orders/1", &format!("{discovered}{route}")), &["the upstream `other` connects to"]);
    let url = "[[routes]]\nname = \"short\"\npath = \"/short\"\nupstream = \"http://192.0.2.9:8080\"\n";
    refuses(SCENARIO, &with("mock://orders/1", url), &["gateway.toml:12:12: error", "connects to 192.0.2.9:8080"]);
}

#[test]
fn one_on_this_machine_is_asked_only_where_the_scenario_names_it() {
    let gateway = with("127.0.0.9:28081", "");
    let said =
        "gateway.toml:3:45: error: the upstream `orders` connects to 127.0.0.9:28081, which is not the scenario's";
    refuses(SCENARIO, &gateway, &[said, "in [gateway]: allow_loopback = [\"127.0.0.9:28081\"]"]);
    let folder = written(&allowing("\"127.0.0.9:28081\""), &gateway);
    load(&folder.path().join("s.toml")).unwrap_or_else(|error| panic!("{error}"));
    refuses(&allowing("\"127.0.0.9:1\""), &gateway, &[said, "nothing in the gateway's configuration connects to"]);
    // A mock's own port may be the same number, and is another service.
    refuses(SCENARIO, &with("127.0.0.1:2", ""), &["connects to 127.0.0.1:2, which is not the scenario's"]);
}

#[test]
fn stores_collectors_and_key_servers_are_addresses_too() {
    let more = |text: &str| with("mock://orders/1", text);
    let store = "[stores.shared]\nurl = \"redis://127.0.0.9:6390\"\n";
    refuses(SCENARIO, &more(store), &["the store `shared` connects to 127.0.0.9:6390", "url = \"mock://redis\""]);
    let tracing = "[telemetry.tracing]\notlp_endpoint = \"http://127.0.0.9:24318\"\n";
    refuses(
        SCENARIO,
        &more(tracing),
        &["the export of spans connects to 127.0.0.9:24318", "leave `otlp_endpoint` out"],
    );
    let keys = "[identity.providers.main]\nkind = \"jwt\"\nissuer = \"https://idp.example\"\naudiences = [\"api\"]\n\
                jwks = { url = \"https://idp.example/keys\" }\n";
    refuses(SCENARIO, &more(keys), &["the provider `main` connects to idp.example:443, which is not on this machine"]);
    let scenario = format!("{SCENARIO}[redis]\ninstances = 1\n");
    let folder = written(&scenario, &more("[stores.shared]\nurl = \"mock://redis\"\n"));
    load(&folder.path().join("s.toml")).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn who_tells_of_others_is_not_asked_even_on_this_machine() {
    let more = |text: &str| with("mock://orders/1", text);
    let provider = "[identity.providers.main]\nkind = \"jwt\"\nissuer = \"http://127.0.0.1:9\"\naudiences = [\"api\"]\n\
                    jwks = { discovery = \"http://127.0.0.1:9\" }\n";
    for (text, who) in [
        ("[stores.shared]\nurl = \"redis+cluster://127.0.0.1:6390\"\n", "the store `shared` asks 127.0.0.1:6390"),
        ("[stores.shared]\nurl = \"redis+sentinel://127.0.0.1:6390/main\"\n", "the store `shared` asks 127.0.0.1:6390"),
        (provider, "the provider `main` asks 127.0.0.1:9"),
    ] {
        let scenario = allowing("\"127.0.0.1:6390\", \"127.0.0.1:9\"");
        refuses(&scenario, &more(text), &[who, "connects to whatever it is told", "it cannot be allowed"]);
    }
}

#[test]
fn an_address_is_told_where_it_stands_and_not_where_a_longer_one_does() {
    let two = with("127.0.0.1:8080", "").replace("\"mock://orders/0\"", "\"127.0.0.1:80\"");
    let text = refused(&allowing("\"127.0.0.1:8080\""), &two);
    let line = text.lines().find(|line| line.contains("connects to 127.0.0.1:80,")).unwrap_or_else(|| panic!("{text}"));
    let column = GATEWAY.lines().nth(2).unwrap().find("\"mock://orders/0\"").unwrap() + 1;
    assert!(line.contains(&format!("gateway.toml:3:{column}: error")), "{line}");
}

#[test]
fn in_virtual_time_there_is_nothing_but_mocks() {
    for more in [
        "[stores.shared]\nurl = \"redis://127.0.0.1:6390\"\n",
        "[telemetry.tracing]\notlp_endpoint = \"http://127.0.0.1:4318\"\n",
    ] {
        let text = refused(&simulated(), &with("mock://orders/1", more));
        assert!(text.contains("error: the virtual runtime has mocks and nothing else, and the "), "{text}");
        assert!(text.contains("run the scenario with runtime = \"sockets\""), "{text}");
    }
    refuses(&simulated(), &with("192.0.2.7:80", ""), &["the upstream `orders` connects to 192.0.2.7:80"]);
}

#[test]
fn what_is_hardly_meant_is_a_warning() {
    let expect = "[[expect]]\nfigure = 'load.steady.requests'\nmin = 1\n";
    let warnings = |scenario: &str, gateway: &str| {
        let folder = written(scenario, gateway);
        crate::scenario::warnings(&load(&folder.path().join("s.toml")).unwrap_or_else(|error| panic!("{error}")))
    };
    assert!(warnings(&format!("{SCENARIO}{expect}"), GATEWAY).is_empty());
    let nothing = warnings(SCENARIO, GATEWAY);
    assert!(nothing.len() == 1 && nothing[0].starts_with("nothing is expected: write [[expect]]"), "{nothing:?}");
    let one = GATEWAY.replace(", { address = \"mock://orders/1\", weight = 3 }", "");
    let unreached = warnings(&format!("{SCENARIO}{expect}"), &one);
    assert!(unreached.len() == 1 && unreached[0].contains("nothing reaches `orders/1`"), "{unreached:?}");
}
