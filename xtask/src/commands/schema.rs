//! `cargo xtask schema`: what the gateway says of its own configuration and `reports` of result files, committed.
//!
//! Each file is printed by the program that owns it; this only writes or compares.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, refuse_unknown};
use crate::process::{cargo, command, output, run as run_command};
use crate::workspace::{root, target_dir};

/// The generated files, and the arguments of the gateway that print them.
const GENERATED: &[(&str, &[&str])] =
    &[("gateway/config.schema.json", &["schema"]), ("docs/configuration.md", &["schema", "--markdown"])];

/// The form of result files; an example of `reports` prints it.
const RESULT_SCHEMA: &str = "reports/schema/result.schema.json";

/// Writes the generated files, or with `--check` fails if they are not what the gateway would print.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    refuse_unknown(args, &["--check"])?;
    let is_check = !args.is_empty();
    // As the tests build them, so that neither is built for this alone.
    run_command(&mut cargo(&["build", "--quiet", "--workspace", "--bin", "gateway", "--example", "schema"]))?;
    let mut printed = vec![(RESULT_SCHEMA, result_schema()?)];
    printed.extend(configuration()?);
    let mut differing = Vec::new();
    for (path, text) in printed {
        let file = root().join(path);
        if is_check {
            differing.extend(difference(&file, &text).map(|place| format!("{path}{place}")));
        } else {
            std::fs::write(&file, &text).map_err(|e| Failure::cannot_run(format!("{path}: {e}")))?;
            println!("wrote {path}");
        }
    }
    if differing.is_empty() {
        return Ok(());
    }
    Err(Failure::check(format!("not what the programs print: {}; run `cargo xtask schema`", differing.join(", "))))
}

fn result_schema() -> Result<Vec<u8>, Failure> {
    let printed = output(&mut command(built("examples/schema")))?;
    if printed.status.success() {
        return Ok(printed.stdout);
    }
    Err(Failure::check(format!("the result schema: {}", String::from_utf8_lossy(&printed.stderr))))
}

/// What the gateway prints, by file.
fn configuration() -> Result<Vec<(&'static str, Vec<u8>)>, Failure> {
    let gateway = built("gateway");
    GENERATED.iter().map(|(path, words)| Ok((*path, printed(&gateway, words)?))).collect()
}

/// What the gateway prints by these words. One that knows them no longer fails the check: nothing would be compared.
fn printed(gateway: &Path, words: &[&str]) -> Result<Vec<u8>, Failure> {
    let printed = output(command(gateway).args(words))?;
    if printed.status.success() {
        return Ok(printed.stdout);
    }
    let text = String::from_utf8_lossy(&printed.stderr);
    Err(Failure::check(format!("`gateway {}` failed: {text}", words.join(" "))))
}

/// Where cargo puts a program.
fn built(name: &str) -> PathBuf {
    target_dir().join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Where a file first differs from what it should hold, as the end of a sentence about it.
fn difference(file: &Path, expected: &[u8]) -> Option<String> {
    let Ok(found) = std::fs::read(file) else { return Some(" (missing)".to_owned()) };
    if found == expected {
        return None;
    }
    let lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (found, expected) = (lines(&found), lines(expected));
    let same = found.iter().zip(&expected).take_while(|(a, b)| a == b).count();
    Some(format!(":{}", same + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_prints_no_schema_fails_the_check() {
        let gateway = PathBuf::from("false");
        let error = printed(&gateway, &["schema"]).unwrap_err();
        assert!(error.message.contains("`gateway schema` failed"), "{error:?}");
    }

    #[test]
    fn a_difference_is_told_by_its_line() {
        let file = root().join("rustfmt.toml");
        let text = std::fs::read(&file).unwrap();
        assert_eq!(difference(&file, &text), None);
        assert_eq!(difference(&file, b"other"), Some(":1".to_owned()));
        assert_eq!(difference(&file, &[&text, &b"more"[..]].concat()), Some(format!(":{}", 1 + lines_of(&text))));
        assert_eq!(difference(Path::new("no/such/file"), b""), Some(" (missing)".to_owned()));
    }

    fn lines_of(text: &[u8]) -> usize {
        text.iter().filter(|byte| **byte == b'\n').count()
    }
}
