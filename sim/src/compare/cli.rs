//! The command line of `sim compare`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{KNOWN, Options, compare};
use crate::cli::{ScenarioArguments, parse_bin};
use crate::peers::OURS;

pub(crate) const HELP: &str = "\
Examples:
  sim compare sim/scenarios/slow-endpoint.toml --peers nginx,haproxy,envoy
  sim compare s.toml --gateway-config next=next.gateway.toml    two configurations of this gateway
  sim compare s.toml --peers nginx --bin nginx=/opt/nginx/sbin/nginx
  sim compare s.toml --peers nginx --peer-config nginx=my-nginx.conf     what you run today
  sim compare s.toml --peers mine --peer-config mine=my.conf \\
      --peer-command 'mine=/opt/mine -c {config}'                        one that is not known here

nginx, HAProxy and Envoy are configured from the scenario, and what they lack is said beside the result. `cargo xtask peers` \
installs what it can. A configuration of your own has blanks that are filled in:

  {listen}            where it has to take requests; or {listen_host} and {listen_port}
  mock://orders/0     the first endpoint of `orders`; or mock-host:// and mock-port://
  {admin}             a free address for its own use; or {admin_host} and {admin_port}
  {dir}, {workers}    a folder for its files; how many threads or processes it may have

Exit codes: 0 compared, whoever is better, 1 the scenario or a file of --peer-config has a mistake, 2 usage, 3 could not run \
(a program is not there, or does not take its configuration), 4 the measurement is not valid.";

/// Run a scenario through other gateways too: how soon each leaves a sick endpoint alone, what it fails meanwhile
#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    /// The scenario's file, such as sim/scenarios/slow-endpoint.toml
    scenario: PathBuf,
    /// Gateways to compare with
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        default_value = "nginx,haproxy,envoy",
        default_value_if("gateway_config", clap::builder::ArgPredicate::IsPresent, "")
    )]
    peers: Vec<String>,
    /// Another configuration of our gateway, as in next=next.gateway.toml, to be compared with the scenario's own; may
    /// be repeated. No other gateways take part then, but those that --peers names
    #[arg(long, value_parser = parse_own, value_name = "NAME=FILE")]
    gateway_config: Vec<(String, PathBuf)>,
    /// Where a peer's program is, as in envoy=/opt/envoy; may be repeated
    #[arg(long, value_parser = parse_bin, value_name = "NAME=PATH")]
    bin: Vec<(String, PathBuf)>,
    /// A configuration of your own for a peer, with blanks; may be repeated
    #[arg(long, value_parser = parse_bin, value_name = "NAME=FILE")]
    peer_config: Vec<(String, PathBuf)>,
    /// The command line of a peer that is not known here; {config} is its configuration; may be repeated
    #[arg(long, value_parser = parse_pair, value_name = "NAME=COMMAND")]
    peer_command: Vec<(String, String)>,
    #[command(flatten)]
    shared: ScenarioArguments,
}

impl CompareArguments {
    /// The folder that was named for the result.
    pub(crate) fn out(&self) -> Option<PathBuf> {
        self.shared.start.out.clone()
    }

    /// Whether all that are named can take part, each under a name of its own.
    pub(crate) fn check(&self) -> Result<(), String> {
        let own: Vec<&String> = self.gateway_config.iter().map(|(name, _)| name).collect();
        let is_taken = |at: &usize| own[..*at].contains(&own[*at]) || self.peers.contains(own[*at]);
        if let Some(at) = (0..own.len()).find(is_taken) {
            return Err(format!("two take part as `{}`: give each a name of its own", own[at]));
        }
        let configs: Vec<&String> = self.peer_config.iter().map(|(name, _)| name).collect();
        let commands: Vec<&String> = self.peer_command.iter().map(|(name, _)| name).collect();
        let is_known = |name: &String| {
            KNOWN.contains(&name.as_str()) || name.is_empty() || commands.contains(&name) && configs.contains(&name)
        };
        if let Some(name) = self.peers.iter().find(|name| !is_known(name)) {
            let known = KNOWN.join(", ");
            let help = format!("bring one with --peer-command '{name}=…' and --peer-config {name}=FILE");
            return Err(format!("no configuration can be made for `{name}`, only for {known}; {help}"));
        }
        let mut named = self.bin.iter().map(|(name, _)| name).chain(configs).chain(commands);
        match named.find(|name| !self.peers.contains(name)) {
            Some(name) => Err(format!("`{name}` does not take part; name it with --peers")),
            None => Ok(()),
        }
    }

    /// Compares; the exit code and the message where that cannot be.
    pub(crate) fn run(self, command: String) -> Result<ExitCode, (u8, String)> {
        compare(&self.options(command)).map_err(|error| (error.exit_code(), error.to_string()))
    }

    fn options(self, command: String) -> Options {
        let mut peers = self.peers;
        peers.retain(|name| !name.is_empty());
        let mut seen = BTreeSet::new();
        peers.retain(|name| seen.insert(name.clone()));
        Options {
            programs: self.shared.programs(),
            scenario: self.scenario,
            peers,
            bins: self.bin.into_iter().collect(),
            configs: self.peer_config.into_iter().collect(),
            commands: self.peer_command.into_iter().collect(),
            own: self.gateway_config.into_iter().collect(),
            seed: self.shared.seed,
            json: self.shared.start.json,
            out: self.shared.start.out,
            command,
        }
    }
}

/// A name that is a folder's and a column's, and none that others have.
fn parse_own(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = parse_bin(text)?;
    let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    match is_name && name != OURS && !KNOWN.contains(&name.as_str()) {
        true => Ok((name, path)),
        false => Err(format!("`{name}` cannot be its name: letters, digits and `-`, and no other gateway's")),
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "write NAME=COMMAND".to_owned())?;
    let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    if !is_name {
        return Err(format!("`{name}` is no name"));
    }
    if value.trim().is_empty() {
        return Err(format!("`{name}` has no command"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_of_ours_has_a_name_of_its_own() {
        assert_eq!(parse_own("next=a/b.toml"), Ok(("next".to_owned(), PathBuf::from("a/b.toml"))));
        for text in ["next", "gateway=x", "nginx=x", "../x=y", "=y"] {
            assert!(parse_own(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pair_is_a_name_and_whatever_follows() {
        assert_eq!(parse_pair("mine=a -c {config} x=y"), Ok(("mine".to_owned(), "a -c {config} x=y".to_owned())));
        assert!(parse_pair("mine").is_err() && parse_pair("../x=y").is_err() && parse_pair("=y").is_err());
        assert_eq!(parse_pair("mine= "), Err("`mine` has no command".to_owned()));
    }
}
