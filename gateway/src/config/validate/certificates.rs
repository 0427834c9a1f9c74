//! Certificates and keys that tables name, whoever shows them.

use crate::clock;
use crate::config::certificates::{self, Fault};
use crate::config::check::{Context, Reader};
use crate::config::key_files;
use crate::config::ocsp;
use crate::config::problem::quoted;

/// A certificate comes with its key.
pub(crate) fn both(context: &mut Context<'_>, table: &Reader<'_>) {
    if table.get("cert").is_some() != table.get("key").is_some() {
        context.report.error(table.at, "`cert` and `key` belong together");
    }
}

/// They can be used, the key is the certificate's, and nobody else's to read; the certificate holds for these names.
pub(crate) fn can_be_used(context: &mut Context<'_>, table: &Reader<'_>, names: &[&str]) {
    let (Some(cert), Some(key)) = (table.get("cert"), table.get("key")) else { return };
    let (Some(cert_file), Some(key_file)) = (context.file(cert), context.file(key)) else { return };
    match context.certificate(&cert_file, &key_file) {
        Err(Fault::Certificate(why)) => context.report.error(cert.at, format!("{}: {why}", quoted(cert.shown()))),
        Err(Fault::Key(why)) => context.report.error(key.at, format!("{}: {why}", quoted(key.shown()))),
        Ok(certified) => {
            for doubt in certificates::doubts(&certified, names, clock::unix_seconds()) {
                context.report.warning(cert.at, doubt, "get one from whoever signs yours");
            }
        }
    }
    if key_files::is_open_to_all(&key_file) {
        let help = "`chmod 600` it: whoever reads it can pretend to be this gateway";
        context.report.warning(key.at, format!("{} can be read by everybody", quoted(key.shown())), help);
    }
}

/// A file of those who sign certificates; whether it can be used.
pub(crate) fn roots(context: &mut Context<'_>, table: &Reader<'_>, key: &str) -> bool {
    let Some(node) = table.get(key) else { return true };
    let Some(Err(why)) = context.file(node).map(|file| certificates::roots(&file)) else { return true };
    context.report.error(node.at, format!("{}: {why}", quoted(node.shown())));
    false
}

/// An OCSP response is about the certificate beside it, and holds. Where it is not, it is not shown, and that is told:
/// a certificate that was renewed before its response must not keep a configuration out.
pub(crate) fn stapled(context: &mut Context<'_>, table: &Reader<'_>) {
    let Some(node) = table.get("ocsp") else { return };
    let (Some(cert), Some(key)) = (table.get("cert"), table.get("key")) else {
        return context.report.error(node.at, "`ocsp` is about a `cert`, which is not there");
    };
    // What is wrong with the certificate has been said.
    let files = context.file(cert).zip(context.file(key));
    let Some(certified) = files.and_then(|(cert, key)| context.certificate(&cert, &key).ok()) else { return };
    match context.file(node).map(|file| ocsp::about(&certified, &file)) {
        Some(Err(why)) => {
            let message = format!("{} is not shown: {why}", quoted(node.shown()));
            context.report.warning(node.at, message, "get one of this certificate; a changed file is in force at once");
        }
        Some(Ok(staple)) if staple.until.is_some_and(|until| until <= clock::unix_seconds()) => {
            let message = format!("{} does not hold any more: it is not shown", quoted(node.shown()));
            context.report.warning(
                node.at,
                message,
                "get one anew, every few days; a changed file is in force at once",
            );
        }
        _ => {}
    }
}
