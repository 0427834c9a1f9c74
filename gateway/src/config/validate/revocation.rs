//! `client_crl` of a listener: which clients' certificates were taken back.

use crate::clock;
use crate::config::certificates;
use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::revocation_lists::{self, Doubt};

/// Lists can be used, and those who sign clients' certificates have signed them. One that has ended is no error:
/// whoever reloads something else, or starts a gateway anew, is not to be kept from it. It lets nobody in, though.
pub(crate) fn lists(context: &mut Context<'_>, tls: &Reader<'_>) {
    let nodes = tls.nodes("client_crl");
    let Some(first) = nodes.first() else { return };
    if tls.get("client_ca").is_none() || tls.text("client_auth") == "none" {
        let help = "write `client_ca`, and client_auth = \"required\" or \"optional\"";
        return context.report.warning(first.at, "no client is asked for a certificate, so this decides nothing", help);
    }
    // What is wrong with those who sign has been said.
    let signers = tls.get("client_ca").and_then(|node| context.file(node));
    let signers = signers.and_then(|file| Some((certificates::roots(&file).ok()?, certificates::chain(&file).ok()?)));
    let Some((roots, signers)) = signers else { return };
    let (mut all, now) = (Vec::new(), clock::unix_seconds());
    for node in nodes {
        let shown = quoted(node.shown());
        let lists = match context.file(node).map(|file| revocation_lists::of_file(&file)) {
            Some(Ok(lists)) => lists,
            Some(Err(why)) => {
                context.report.error(node.at, format!("{shown}: {why}"));
                continue;
            }
            None => continue,
        };
        for list in &lists {
            match revocation_lists::judge(list, &roots, &signers, now) {
                Err(why) => context.report.error(node.at, format!("{shown}: {why}")),
                Ok(doubts) => doubts.iter().for_each(|doubt| told(context, (node.at, &shown), doubt)),
            }
        }
        all.extend(lists);
    }
    if let Some(issuer) = revocation_lists::listed_twice(&all) {
        let message = format!("there are two lists of {issuer}, of which the first alone would be looked at");
        let help = "keep the newest; two keys of one name cannot be told apart by their lists";
        context.report.error_with(first.at, message, help);
    }
    for signer in revocation_lists::without_list(&all, &signers) {
        let message = format!("there is no list of {signer}: no client is let in whose certificate it has signed");
        context.report.warning(first.at, message, "add its list, also if it has taken nothing back");
    }
}

fn told(context: &mut Context<'_>, (at, shown): (crate::config::source::Span, &str), doubt: &Doubt) {
    let (message, help) = match doubt {
        Doubt::Ended(when) => (
            format!("{shown} has ended ({when}): no client is let in whose certificate its issuer has signed"),
            "get a new one, well before its `nextUpdate`; a changed file is in force at once",
        ),
        Doubt::Ending(left, when) => (
            format!(
                "{shown} ends in {left} ({when}): no client is let in from then on whose certificate its issuer has \
                 signed"
            ),
            "get a new one; a changed file is in force at once",
        ),
        Doubt::Unknown(issuer) => (
            format!("{shown} is the list of {issuer}, whom `client_ca` does not have"),
            "it counts where clients show that issuer's certificate beside their own",
        ),
    };
    context.report.warning(at, message, help);
}
