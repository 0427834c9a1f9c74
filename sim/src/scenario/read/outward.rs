//! Nothing leaves the loopback interface: addresses of the gateway's configuration that are not the scenario's own are
//! refused where they stand. One on this machine may be allowed by `allow_loopback` in `[gateway]`; no other ever is.

use std::path::Path;

use super::super::model::{Runtime, Scenario};
use super::super::outbound::{Outbound, is_address_here};
use super::super::problem::Report;
use super::super::reader::Reader;
use super::world::GATEWAY_KEYS;

/// The key with what may be asked on this machine.
const ALLOWED: &str = "allow_loopback";

/// Holds every address that the gateways would connect to against what the scenario has and allows.
pub(super) fn check(reader: &Reader<'_>, scenario: &Scenario, config: &Path, report: &mut Report) {
    let Some(node) = reader.node("gateway") else { return };
    // Its keys were told already.
    let Some(part) = Reader::of(node, GATEWAY_KEYS, &mut Report::default()) else { return };
    let allowed = part.texts(ALLOWED, report);
    let template = &scenario.gateway.template;
    let found = match template.outbound(config, scenario.endpoints()) {
        Ok(found) => found,
        // What cannot be looked at is not let through.
        Err(problems) => return report.gateway(problems),
    };
    for address in allowed.iter().filter(|address| !is_address_here(address)) {
        let message = format!("`{address}` is no address on this machine");
        report.error_with(part.place(ALLOWED), message, "write an address and its port, as in \"127.0.0.1:9400\"");
    }
    let is_asked = |address: &&String| found.iter().any(|one| one.at() == **address);
    for address in allowed.iter().filter(|address| is_address_here(address) && !is_asked(address)) {
        let message = format!("nothing in the gateway's configuration connects to `{address}`");
        report.error_with(part.place(ALLOWED), message, "leave it out");
    }
    for one in &found {
        let Some((message, help)) = refusal(one, scenario.runtime, &allowed) else { continue };
        let at = template.place_of(&one.at(), &one.host).unwrap_or_else(|| part.place("config"));
        report.error_with(at, message, help);
    }
}

/// What is said of an address, and what to do about it; nothing of one that may be asked.
fn refusal(one: &Outbound, runtime: Runtime, allowed: &[String]) -> Option<(String, String)> {
    let (who, at, instead) = (&one.who, one.at(), one.instead);
    if runtime == Runtime::Virtual {
        let message = format!("the virtual runtime has mocks and nothing else, and {who} connects to {at}");
        let help = "name a mock of the scenario or leave it out, or run the scenario with runtime = \"sockets\"";
        return Some((message, help.to_owned()));
    }
    if !one.is_loopback() {
        let message = format!("{who} connects to {at}, which is not on this machine: a run never leaves it");
        return Some((message, instead.to_owned()));
    }
    if one.tells_of_others {
        let message = format!("{who} asks {at} where the others are, and connects to whatever it is told");
        let help = format!("{instead}; it cannot be allowed, since what it tells may be anywhere");
        return Some((message, help));
    }
    let message = format!("{who} connects to {at}, which is not the scenario's");
    let help =
        format!("{instead}; what may be asked, though it is real, is named in [gateway]: {ALLOWED} = [\"{at}\"]");
    (!allowed.contains(&at)).then_some((message, help))
}
