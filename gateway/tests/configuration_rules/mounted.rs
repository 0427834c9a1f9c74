//! A gateway that is mounted in a program, whose server says how requests come, or does not.

use std::path::Path;

use gateway::config::{Doors, Registered, load_text_for};

/// What is warned of where requests come so, as `line:column: message`; or what is wrong.
fn said(text: &str, doors: Doors) -> Vec<String> {
    let registered = Registered::new([]).reached_by(doors);
    let problems = match load_text_for(text, Path::new("gateway.toml"), &registered) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.iter().cloned().collect(),
    };
    problems.iter().map(|problem| format!("{}:{}: {}", problem.line, problem.column, problem.message)).collect()
}

const UNTOLD: &str = "a gateway that is mounted in a program is not told";

#[test]
fn what_hangs_on_tls_needs_somebody_who_tells_of_it() {
    let https = |value: &str| format!("[[routes]]\npath = \"/\"\nanswer = {{}}\nhttps = \"{value}\"\n");
    let redirected = format!("4:9: {UNTOLD} who comes over TLS: every client is redirected, for ever");
    assert_eq!(said(&https("redirect"), Doors::Mounted), [redirected.as_str()]);
    assert_eq!(said(&https("redirect"), Doors::Unsaid), [redirected.as_str()], "no listener is written");
    let refused = format!("4:9: {UNTOLD} who comes over TLS: every client gets 403");
    assert_eq!(said(&https("require"), Doors::Mounted), [refused]);
    assert_eq!(said(&https("redirect"), Doors::Told), [""; 0]);
    let own = said(&https("redirect"), Doors::Own);
    assert!(own.len() == 1 && own[0].contains("nobody can come over TLS"), "{own:?}");
    let listener = "[[listeners]]\naddress = \"127.0.0.1:1\"\n";
    let own = said(&format!("{}{listener}", https("redirect")), Doors::Unsaid);
    assert!(own.len() == 1 && own[0].contains("nobody can come over TLS"), "{own:?}");
    let unread = "5:1: `listeners` is not looked at by a gateway that is mounted in a program";
    assert_eq!(said(&format!("{}{listener}", https("redirect")), Doors::Mounted), [redirected.as_str(), unread]);
    assert_eq!(said(&format!("{}{listener}", https("redirect")), Doors::Told), [""; 0], "their names may be told");
    let proxied =
        format!("{}[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\nhsts = {{ max_age = \"1h\" }}", https("require"));
    assert_eq!(said(&proxied, Doors::Mounted), [""; 0], "a proxy tells");
    let hsts = "[server]\nhsts = { max_age = \"1h\" }\n[[routes]]\npath = \"/\"\nanswer = {}\n";
    assert_eq!(said(hsts, Doors::Mounted), [format!("2:8: {UNTOLD} who comes over TLS: no answer has `hsts`")]);
    assert_eq!(said(hsts, Doors::Own), [""; 0]);
}

#[test]
fn certificates_and_listeners_are_told_by_the_program_alone() {
    let mtls = "[identity.providers.jobs]\nkind = \"mtls\"\n[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n\
                [[routes]]\npath = \"/\"\nanswer = {}\nauth = { providers = [\"jobs\"] }\n";
    let told = format!("2:8: {UNTOLD} of clients' certificates, so nobody can prove anything by one");
    assert_eq!(said(mtls, Doors::Mounted), [told]);
    assert_eq!(said(mtls, Doors::Told), [""; 0]);
    let own = said(mtls, Doors::Own);
    assert!(own.len() == 1 && own[0].contains("no listener asks clients for certificates"), "{own:?}");
    let listeners = "[[listeners]]\nname = \"in\"\naddress = \"127.0.0.1:1\"\n\
                     [[routes]]\nname = \"one\"\npath = \"/1\"\nanswer = {}\nlisteners = [\"in\"]\n\
                     [[routes]]\npath = \"/2\"\nanswer = {}\nlisteners = [\"in\"]\n";
    let told = format!("8:14: {UNTOLD} by which listener a request comes: nobody reaches \"one\", \"/2\"");
    assert_eq!(said(listeners, Doors::Mounted), [told]);
    assert_eq!(said(listeners, Doors::Told), [""; 0]);
    assert_eq!(said(listeners, Doors::Own), [""; 0]);
}

#[test]
fn a_redirect_to_a_scheme_by_which_clients_may_come_is_a_circle() {
    let redirect = "[[routes]]\npath = \"/\"\nredirect = { scheme = \"https\" }\n";
    assert_eq!(said(redirect, Doors::Mounted), [""; 0], "nobody comes by it, as far as is known");
    let told = said(redirect, Doors::Told);
    assert!(told.len() == 1 && told[0].contains("in a circle"), "{told:?}");
}
