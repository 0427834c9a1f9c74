//! `gateway status`: what is wrong with a gateway that runs, asked of its admin API.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::{BAD, COULD_NOT_RUN, DONE, output};
use crate::fetch_failure::reason;
use crate::terminal::one_line;

/// The longest that it is asked for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Requests of a drain that are listed.
const MOST_IN_FLIGHT: usize = 10;

/// Say what is wrong with a gateway that runs, since when, why, which routes feel it, and what to do.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gateway status\n  gateway status --admin http://127.0.0.1:9901 --token-env ADMIN_TOKEN\n\nIt asks GET /status of the admin API, and nothing else.\n\nExit codes: 0 nothing is wrong, 1 something is, 3 the gateway could not be asked, or the\nresult not be written."
)]
pub(super) struct Status {
    /// Where the admin API is: an address, or a URL.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: String,
    /// The environment variable that has the admin token, as `token_env` of [admin].
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,
    /// Print the problems as the API has them, as JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(&self) -> u8 {
        let told = match self.ask() {
            Ok(told) => told,
            Err(why) => {
                output::problem(&format!("error: {}: {why}", one_line(&self.admin)));
                return COULD_NOT_RUN;
            }
        };
        let problems = told["problems"].as_array().cloned().unwrap_or_default();
        let said = if self.json {
            serde_json::to_string_pretty(&problems).unwrap_or_default()
        } else {
            in_words(&told, &problems)
        };
        output::result(&said).max(if wrong(&problems) == 0 { DONE } else { BAD })
    }

    fn ask(&self) -> Result<Value, String> {
        let token = match &self.token_env {
            None => None,
            Some(name) => {
                let value = std::env::var_os(name).and_then(|value| value.into_string().ok());
                Some(value.ok_or_else(|| format!("the variable {name} is not set"))?)
            }
        };
        let base = self.admin.trim_end_matches('/');
        let base = if base.contains("://") { base.to_owned() } else { format!("http://{base}") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(async {
            let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(reason)?;
            let request = client.get(format!("{base}/status"));
            let request = token.iter().fold(request, reqwest::RequestBuilder::bearer_auth);
            let answer = request.send().await.map_err(not_there)?;
            let status = answer.status();
            let told: Value = answer.json().await.map_err(|_| format!("it answers {status}, and no status"))?;
            match &told["problems"] {
                Value::Array(_) => Ok(told),
                _ => {
                    let detail = one_line(told["detail"].as_str().unwrap_or("no status"));
                    Err(format!("it answers {status}: {detail}{}", remedy(status, token.is_some())))
                }
            }
        })
    }
}

/// Why there is no answer, and where one would come from.
fn not_there(error: reqwest::Error) -> String {
    let is_connect = error.is_connect();
    let why = reason(error);
    let why = why.split(" (os error").next().unwrap_or(&why);
    let help = "; is it running? `address` of [admin] says where it is asked, and --admin names it";
    format!("{why}{}", if is_connect { help } else { "" })
}

/// What to do about an answer that is no status.
fn remedy(status: reqwest::StatusCode, has_token: bool) -> &'static str {
    match (status, has_token) {
        (reqwest::StatusCode::UNAUTHORIZED, false) => {
            " --token-env names the environment variable that has it, as `token_env` of [admin]"
        }
        (reqwest::StatusCode::UNAUTHORIZED, true) => " The variable that --token-env names holds another one",
        _ => "",
    }
}

/// How many problems there are; a drain is told among them, and is none.
fn wrong(problems: &[Value]) -> usize {
    problems.iter().filter(|problem| problem["what"] != "drain").count()
}

/// The head, and each problem with what belongs to it.
fn in_words(told: &Value, problems: &[Value]) -> String {
    let doing = if told["draining"] == true { "draining" } else { "serving" };
    let drain = &told["drain"];
    let doing = match (drain["since"].as_str(), drain["until"].as_str()) {
        (Some(since), Some(until)) => format!("{doing} since {}, until {} at most", one_line(since), one_line(until)),
        (Some(since), None) => format!("{doing} since {}", one_line(since)),
        (None, _) => doing.to_owned(),
    };
    let version = &told["config"]["version"];
    let mut text = match wrong(problems) {
        0 => format!("{doing}, configuration {version}: nothing is wrong"),
        1 => format!("{doing}, configuration {version}, 1 problem"),
        many => format!("{doing}, configuration {version}, {many} problems"),
    };
    for problem in problems {
        let word = |name: &str| one_line(problem[name].as_str().unwrap_or_default());
        let affects = &problem["affects"];
        let routes: Vec<&str> = affects["routes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let more = affects["more"].as_u64().filter(|more| *more > 0).map(|more| format!(" and {more} more"));
        let felt = match (affects["all"] == true, routes.is_empty()) {
            (true, _) => "any route".to_owned(),
            (false, true) => "no route".to_owned(),
            (false, false) => format!("{}{}", one_line(&routes.join(", ")), more.unwrap_or_default()),
        };
        // Whom a drain is felt by stands below it: the requests that it waits for.
        let felt = if problem["what"] == "drain" { String::new() } else { format!("\n  felt by  {felt}") };
        text.push_str(&format!(
            "\n\n{} {} {}\n  since    {}\n  why      {}{felt}\n  to do    {}",
            word("severity"),
            word("what"),
            word("name"),
            word("since"),
            word("why"),
            word("remedy"),
        ));
    }
    text.push_str(&oldest(drain));
    text
}

/// The requests that a drain waits for longest.
fn oldest(drain: &Value) -> String {
    let all = drain["oldest"].as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        return String::new();
    }
    let mut text = "\n\nin flight, the oldest first".to_owned();
    for one in all.iter().take(MOST_IN_FLIGHT) {
        let word = |name: &str| one_line(one[name].as_str().unwrap_or("-"));
        text.push_str(&format!(
            "\n  {:>7.1} s  {} {}  route {}  at {} {}  {}",
            one["age_ms"].as_f64().unwrap_or(0.0) / 1e3,
            word("method"),
            word("path"),
            word("route"),
            word("upstream"),
            word("endpoint"),
            word("request_id"),
        ));
    }
    let more = drain["more"].as_u64().unwrap_or(0) + all.len().saturating_sub(MOST_IN_FLIGHT) as u64;
    if more > 0 {
        text.push_str(&format!("\n  and {more} more: GET /status, `drain`"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_is_told_with_since_when_why_whom_and_what_to_do() {
        let problem = json!({
            "what": "store", "name": "shared", "severity": "bad", "since": "2026-11-30T07:05:12.484Z",
            "for_seconds": 5, "why": "127.0.0.1:22030: Connection refused", "remedy": "look at the store",
            "affects": { "all": false, "routes": ["a", "b\u{1b}[2J"], "more": 3 },
        });
        let told = json!({ "draining": false, "config": { "version": 2 } });
        let text = in_words(&told, &[problem]);
        let expected = "serving, configuration 2, 1 problem\n\nbad store shared\n  \
                        since    2026-11-30T07:05:12.484Z\n  why      127.0.0.1:22030: Connection refused\n  felt by  a, b";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with(" and 3 more\n  to do    look at the store") && !text.contains('\u{1b}'), "{text}");
        assert_eq!(in_words(&told, &[]), "serving, configuration 2: nothing is wrong");
    }

    #[test]
    fn a_drain_is_told_with_its_times_and_what_it_waits_for() {
        let one = |route: &str, age_ms: u64| {
            json!({
                "request_id": "r-1", "age_ms": age_ms, "route": route, "upstream": "up", "endpoint": "127.0.0.1:1",
                "method": "GET", "path": "/a\u{1b}", "part": false,
            })
        };
        let oldest: Vec<Value> = (0..12).map(|_| one("bytes", 31_250)).collect();
        let drain =
            json!({ "since": "2026-11-30T07:05:12Z", "until": "2026-11-30T07:05:42Z", "oldest": oldest, "more": 3 });
        let told = json!({ "draining": true, "drain": drain, "config": { "version": 2 } });
        let problem = json!({
            "what": "drain", "name": "this gateway", "severity": "warn", "since": "2026-11-30T07:05:12Z",
            "affects": { "all": false, "routes": [], "more": 0 }, "why": "13 requests are in flight", "remedy": "wait",
        });
        let of_drain = in_words(&told, &[problem]);
        assert!(of_drain.contains("in flight\n  to do    wait") && !of_drain.contains("felt by"), "{of_drain}");
        let text = in_words(&told, &[]);
        let head =
            "draining since 2026-11-30T07:05:12Z, until 2026-11-30T07:05:42Z at most, configuration 2: nothing is";
        assert!(text.starts_with(head), "{text}");
        assert!(
            text.contains("\n     31.2 s  GET /a") && text.contains("  route bytes  at up 127.0.0.1:1  r-1"),
            "{text}"
        );
        assert!(text.ends_with("\n  and 5 more: GET /status, `drain`") && !text.contains('\u{1b}'), "{text}");
    }
}
