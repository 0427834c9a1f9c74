//! `token_from` of providers: where tokens are looked for.

use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::settings::token_place::TokenPlace;
use crate::config::value::text;

/// Each place is named once.
pub(crate) fn distinct(context: &mut Context<'_>, provider: &Reader<'_>) {
    let mut seen: Vec<TokenPlace> = Vec::new();
    for node in provider.nodes("token_from") {
        let Some(Ok(place)) = node.text().map(text::token_place) else { continue };
        if seen.contains(&place) {
            context.report.error(node.at, format!("{} is named twice", quoted(node.shown())));
        }
        seen.push(place);
    }
}

/// Browsers send cookies by themselves, whoever wrote the page that makes them, and take them from whoever answers
/// under the domain. Of the latter the name can say that it is not so, and who writes it has thought of both.
pub(crate) fn ambient(context: &mut Context<'_>, provider: &Reader<'_>) {
    for node in provider.nodes("token_from") {
        let Some(Ok(TokenPlace::Cookie(name))) = node.text().map(text::token_place) else { continue };
        if !name.starts_with("__Host-") {
            let shown = quoted(&name);
            let message = format!("browsers take the cookie {shown} from every host of its domain, and over http too");
            let help = format!(
                "call it \"__Host-{name}\", and have whoever sets it say Secure, HttpOnly and SameSite: browsers send \
                 cookies with what other sites' pages ask for too"
            );
            context.report.warning(node.at, message, help);
        }
    }
}
