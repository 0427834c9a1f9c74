//! `clients`: networks, and that somebody is there.

use super::{built, check, check_route, errors, warnings};

const ROUTE: &str = "[[routes]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\n";

#[test]
fn networks_are_read_with_those_that_are_left_out() {
    let clients =
        built(&format!("{ROUTE}clients = [\"10.0.0.0/8\", \"!10.1.0.0/16\", \"::1\"]")).matches.clients.clone();
    assert_eq!(clients.to_string(), "10.0.0.0/8, ::1/128, but not 10.1.0.0/16");
    assert!(built(ROUTE).matches.clients.is_empty());
    check_route(
        "clients = [\"10.0.0.0/8\", \"!inside\"]",
        &["4:26: \"!inside\" is not a network, perhaps with a `!` before it: it is an address and a prefix length"],
    );
    check_route(
        "clients = [\"10.1.2.0/24\", \"10.2.0.0/16\", \"!10.1.0.0/16\"]",
        &["4:12: no client is there: all of it is left out by a network with a `!`"],
    );
    let warned = warnings(&format!("{ROUTE}clients = [\"!10.0.0.1/8\"]"));
    assert_eq!(
        warned,
        ["4:12: \"!10.0.0.1/8\" is all of 10.0.0.0/8 (write 10.0.0.0/8, or 10.0.0.1 for the one address)"]
    );
}

#[test]
fn routes_for_the_same_clients_cannot_be_told_apart_and_others_can() {
    let two = |one: &str, other: &str| errors(&format!("{ROUTE}clients = [{one}]\n{ROUTE}clients = [{other}]"));
    assert_eq!(two("\"10.0.0.0/8\", \"!10.1.0.0/16\"", "\"!10.1.0.0/16\", \"10.0.0.0/8\"").len(), 1);
    assert_eq!(two("\"10.0.0.0/8\"", "\"10.1.0.0/16\""), [""; 0]);
    assert_eq!(two("\"10.0.0.0/8\"", "\"!10.0.0.0/8\""), [""; 0]);
    check(&format!("{ROUTE}clients = [\"10.0.0.0/8\"]\n{ROUTE}"), &[]);
}
