//! `gateway verify-jws`: the verifier alone, for people and for test vectors. A line in, a line out.

use std::io::{self, BufRead, BufReader, Read, Write};

use clap::Args;
use serde_json::{Value, json};

use super::{COULD_NOT_RUN, DONE, output};
use crate::jws::{Algorithm, Key, KeySet, parse_json, verify};

/// The largest line that is read: any token and key set that may be, and room for JSON.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Verify signatures: JSON lines `{"id", "jwk", "jws"}` in, `{"id", "valid", "reason"}` out.
///
/// No claim is read: a payload is bytes. What is checked is what the gateway checks before it reads one: that the token
/// has its one form, that the key meets the policy, that `alg` fits the key, that the signature holds.
#[derive(Debug, Args)]
#[command(
    after_help = "Each line in has an answer, in the same order; a line that is not understood is answered with \"malformed_line\".\nBlank lines are passed over. `jwk` is a key or a whole key set; a private key verifies as its public half.\n\nExamples:\n  gateway verify-jws < vectors.jsonl\n  echo '{\"id\":1,\"jwk\":{\"kty\":\"oct\",\"k\":\"...\"},\"jws\":\"eyJ...\"}' | gateway verify-jws\n\nExit codes: 0 every line is answered, whatever the answers are, 3 it cannot read or write."
)]
pub(super) struct VerifyJws {
    /// A longer token is refused before it is read.
    #[arg(long, value_name = "BYTES", default_value_t = 8192)]
    max_token_bytes: usize,
}

impl VerifyJws {
    pub(super) fn run(&self) -> u8 {
        match self.answer_all(io::stdin().lock(), io::stdout().lock()) {
            // A reader that goes away has what it wanted.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                output::problem(&format!("error: {error}"));
                COULD_NOT_RUN
            }
            _ => DONE,
        }
    }

    fn answer_all(&self, input: impl Read, output: impl Write) -> io::Result<()> {
        let mut input = BufReader::with_capacity(64 << 10, input);
        let mut output = io::BufWriter::new(output);
        let mut line = Vec::new();
        while read_line(&mut input, &mut line)? {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            writeln!(output, "{}", self.answer(&line))?;
            // Whoever types, or waits for an answer before the next line, gets it; a file is not slowed down.
            if input.buffer().is_empty() {
                output.flush()?;
            }
        }
        output.flush()
    }

    fn answer(&self, line: &[u8]) -> Value {
        if line.len() > MAX_LINE_BYTES {
            return json!({ "id": null, "valid": false, "reason": "line_too_large" });
        }
        let strict = parse_json(line);
        // A line with a member twice says perhaps which it is.
        let id = match &strict {
            Ok(question) => question.get("id").cloned(),
            Err(_) => serde_json::from_slice::<Value>(line).ok().and_then(|question| question.get("id").cloned()),
        };
        let reason = match strict {
            Ok(question) => self.judge(&question),
            Err(_) => "malformed_line",
        };
        json!({ "id": id, "valid": reason == VALID, "reason": reason })
    }

    fn judge(&self, question: &Value) -> &'static str {
        let (Some(jwk), Some(jws)) = (question.get("jwk"), question.get("jws")) else { return "malformed_line" };
        // JSON serialisation, or nothing at all.
        let Some(jws) = jws.as_str() else { return "not_compact" };
        let keys = if jwk.get("keys").is_some() {
            KeySet::from_json(jwk).map(|(keys, _)| keys).map_err(|error| error.as_str())
        } else {
            Key::from_jwk(jwk).map(KeySet::single).map_err(|error| error.as_str())
        };
        match keys {
            Ok(keys) => match verify(jws.as_bytes(), &keys, Algorithm::ALL, self.max_token_bytes) {
                Ok(_) => VALID,
                Err(refusal) => refusal.as_str(),
            },
            Err(reason) => reason,
        }
    }
}

const VALID: &str = "ok";

/// Reads a line into the buffer; of one that is too large, a byte more than may be. False at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    input.by_ref().take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', line)?;
    if line.len() > MAX_LINE_BYTES && line.last() != Some(&b'\n') {
        pass_over(input)?;
    }
    Ok(!line.is_empty())
}

/// Passes over what is left of a line.
fn pass_over(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        if let Some(end) = memchr::memchr(b'\n', buffer) {
            input.consume(end + 1);
            return Ok(());
        }
        let all = buffer.len();
        input.consume(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(input: &[u8]) -> Vec<Value> {
        let mut output = Vec::new();
        VerifyJws { max_token_bytes: 8192 }.answer_all(input, &mut output).unwrap();
        output
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    /// RFC 7515, appendix A.1.
    const KEY: &str =
        r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    const TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn each_line_has_an_answer_and_none_ends_the_run() {
        let good = format!(r#"{{"id":"a","jwk":{KEY},"jws":"{TOKEN}"}}"#);
        let lines = [
            good.as_str(),
            "",
            "  ",
            "not json",
            r#"{"id":[1],"jwk":{}}"#,
            r#"{"id":7,"id":8,"jwk":{},"jws":""}"#,
            &format!(r#"{{"id":9,"jwk":{KEY},"jws":{{"payload":""}}}}"#),
            &format!(r#"{{"id":10,"jwk":{{"keys":[{KEY}]}},"jws":"{TOKEN}"}}"#),
            &format!(r#"{{"id":11,"jwk":{{"keys":[{KEY},{KEY}]}},"jws":"{TOKEN}"}}"#),
            "null",
            "{\"id\":\"\u{feff}\"",
            &good,
        ];
        let mut input = lines.join("\n").into_bytes();
        input.extend_from_slice(b"\n\xff\xfe\n");
        let told: Vec<(Value, bool, String)> = answers(&input)
            .into_iter()
            .map(|answer| {
                (
                    answer["id"].clone(),
                    answer["valid"].as_bool().unwrap(),
                    answer["reason"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        let expected = [
            (json!("a"), true, "ok"),
            (json!(null), false, "malformed_line"),
            (json!([1]), false, "malformed_line"),
            (json!(8), false, "malformed_line"),
            (json!(9), false, "not_compact"),
            (json!(10), true, "ok"),
            (json!(11), false, "ambiguous_key"),
            (json!(null), false, "malformed_line"),
            (json!(null), false, "malformed_line"),
            (json!("a"), true, "ok"),
            (json!(null), false, "malformed_line"),
        ];
        assert_eq!(told, expected.map(|(id, valid, reason)| (id, valid, reason.to_owned())));
    }

    #[test]
    fn a_line_without_end_takes_no_memory_and_no_other_line() {
        let mut input = vec![b'x'; 5 * MAX_LINE_BYTES];
        input.push(b'\n');
        input.extend_from_slice(format!(r#"{{"id":1,"jwk":{KEY},"jws":"{TOKEN}"}}"#).as_bytes());
        let told = answers(&input);
        assert_eq!(told.len(), 2);
        assert_eq!((&told[0]["reason"], &told[1]["reason"]), (&json!("line_too_large"), &json!("ok")));
    }
}
