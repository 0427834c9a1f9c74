//! `gateway explain`: what would happen to a request, and why. Nothing is started, nothing is sent.

use std::path::PathBuf;

use clap::Args;

use super::output;
use super::{BAD, COULD_NOT_RUN, DONE, USAGE};
use crate::config::{Purpose, certificates, load};
use crate::explain::told::in_words;
use crate::explain::{Policies, Question, answer};
use crate::identity::Trial;

/// Tell which route a request would take, what happens to it there, and why the other routes did not match.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gateway explain --config gateway.toml GET /api/orders/7\n  gateway explain POST 'http://api.example/api/orders?x=1' -H 'x-api-version: 2'\n\nExit codes: 0 a route matches, 1 none does, or it does not let the client in (for its address, its page, or a credential that is not good enough; that none is given is no refusal here), or the configuration is bad, 2 usage, 3 a file cannot be read or the answer not be written."
)]
pub(super) struct Explain {
    /// The configuration.
    #[arg(long, short, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
    /// The request's method.
    method: String,
    /// The request's URL, or only its path.
    url: String,
    /// A header of the request; may be repeated.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The request's body, where routes look into it.
    #[arg(long, short, value_name = "BODY")]
    data: Option<String>,
    /// The certificate (PEM) that the client shows in its handshake.
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The client's address: which routes are there for it (`clients`), whether the route's `addresses` let it in, and
    /// where a split keeps it by it. Of one of `trusted_proxies`, what the headers say of the client, the
    /// scheme and the host is believed.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<std::net::IpAddr>,
    /// The listener, by name, that the request comes by. Where none is said: one that speaks what the URL says
    /// (`https`: TLS), on its port before others; for a path alone the first.
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn run(&self) -> u8 {
        let question = match self.question() {
            Ok(question) => question,
            Err(why) => {
                output::problem(&format!("error: {why}"));
                return USAGE;
            }
        };
        let question = match self.cert.as_deref().map(|file| (file, certificates::chain(file))) {
            None => question,
            Some((_, Ok(chain))) => question.with_certificate(&chain),
            Some((file, Err(why))) => {
                output::problem(&format!("error: {}: {why}", file.display()));
                // What is no file is not opened: a pipe would be waited for.
                let is_read = file.is_file() && std::fs::File::open(file).is_ok();
                return if is_read { USAGE } else { COULD_NOT_RUN };
            }
        };
        let loaded = match load(&self.config, Purpose::Check) {
            Ok(loaded) => loaded,
            Err(error) => return output::unusable(&error),
        };
        let answer = answer(&loaded.config, &question);
        let told = if self.json {
            serde_json::to_string_pretty(&answer).unwrap_or_default()
        } else {
            let mut told = in_words(&answer).trim_end().to_owned();
            let has_listeners = loaded.config.routes.iter().any(|route| !route.matches.listeners.is_empty());
            if self.listener.is_none() && has_listeners && question.over_tls().is_none() {
                told.push_str("\nlistener   none is given, so the first: --listener NAME asks for another");
            }
            let has_clients = loaded.config.routes.iter().any(|route| !route.matches.clients.is_empty());
            if self.client.is_none() && has_clients {
                told.push_str("\nclient     none is given: --client ADDRESS asks for routes that are for some alone");
            }
            if !question.names_a_host() && loaded.config.routes.iter().any(|route| !route.matches.hosts.is_empty()) {
                told.push_str("\nhost       none is given: a whole URL, or -H 'host: NAME', asks for routes of one");
            }
            told
        };
        // Who is sent elsewhere first is asked nothing here; and a question without a credential is about the route.
        let is_refused = |trial: &Trial| trial.refuses() && !trial.has_no_credential();
        let is_let_in = |policies: &Policies| policies.to_https || !policies.auth.as_ref().is_some_and(is_refused);
        let passes = answer.refused.is_none() && answer.policies.as_ref().is_some_and(is_let_in);
        output::result(&told).max(if passes { DONE } else { BAD })
    }

    fn question(&self) -> Result<Question, String> {
        let headers: Vec<&str> = self.headers.iter().map(String::as_str).collect();
        let question = Question::parse(&self.method, &self.url, &headers)?;
        let question = match &self.data {
            Some(data) => question.with_body(data.as_bytes()),
            None => question,
        };
        let question = self.client.into_iter().fold(question, Question::asked_from);
        Ok(self.listener.clone().into_iter().fold(question, Question::by_listener))
    }
}
