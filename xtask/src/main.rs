//! One door for people and CI: `cargo xtask COMMAND`.
//!
//! Everything that the project checks has a command here, and CI calls nothing else. It uses the standard library
//! alone, since everyone who runs the tests builds it first. Exit codes: 0 done, 1 a check failed (a program's own code
//! is passed on), 2 usage, 3 could not run.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks on its output")]

mod commands;
mod failure;
mod machine;
mod process;
mod tidy;
mod workspace;

use std::process::ExitCode;

use failure::Failure;

const HELP: &str = "\
usage: cargo xtask COMMAND [OPTIONS]

  test [-- ARGS]       set up what tests need, build the binaries, run all tests
                       (ARGS go to `cargo nextest run`, or to `cargo test`)
  ci                   every check, with a summary at the end
      --skip-test        all but the tests
      --only NAME        one check; may be repeated
      --list             print the checks' names
  tidy                 the rules of the layout
      --verbose          adds warnings and the tables of what is allowed
      --fix              first breaks long comments and cuts spaces at the ends of lines
  schema [--check]     regenerate gateway/config.schema.json, docs/configuration.md and
                       reports/schema/result.schema.json, or fail if they differ
  contract             compare docs/contract with $PORTCULLIS_CONTRACT or ../shared/contract, if there
  deny                 licences, banned and duplicate crates, sources, advisories
  bench-counts         instruction counts of the benches under valgrind, against benches/budgets.toml
  fuzz                 the fuzz targets, by cargo-fuzz where it is installed (docs/ci.md)
      --seconds N        for each target; 60 when absent
      --only TARGET      one target; may be repeated
      --plain            mutants of the seeds, blindly, as in CI
  peers [--no-install] set up nginx, HAProxy, Caddy, Envoy and Pingora for `sim peers`, and the reference gateways in
                       Python and Node for `sim article`
  dist                 the gateway as it is shipped, laid out by a profile of itself at work: target/pgo/gateway
  help                 this text

Exit codes: 0 done, 1 a check failed, 2 usage, 3 could not run. A failing program's own code is passed on.
";

fn dispatch(command: &str, args: &[String]) -> Result<(), Failure> {
    match command {
        "test" => commands::test::run(args),
        "ci" => commands::ci::run(args),
        "tidy" => commands::tidy::run(args),
        "schema" => commands::schema::run(args),
        "contract" => commands::contract::run(args),
        "deny" => commands::deny::run(args),
        "bench-counts" => commands::bench_counts::run(args),
        "fuzz" => commands::fuzz::run(args),
        "peers" => commands::peers::run(args),
        "dist" => commands::dist::run(args),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(Failure::usage(format!("unknown command `{command}`\n\n{HELP}"))),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = args.split_first() else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    match dispatch(command, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask {command}: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_command_is_a_usage_error_that_shows_the_commands() {
        let failure = dispatch("tset", &[]).unwrap_err();
        assert_eq!(failure.code, 2);
        assert!(failure.message.contains("unknown command `tset`"));
        assert!(failure.message.contains("bench-counts"));
    }

    #[test]
    fn an_unknown_option_is_a_usage_error_for_each_command() {
        for command in ["ci", "tidy", "schema", "contract", "deny", "bench-counts", "fuzz", "peers"] {
            let failure = dispatch(command, &["--nonsense".to_owned()]).unwrap_err();
            assert_eq!(failure.code, 2, "{command}");
            assert!(failure.message.contains("--nonsense"), "{command}: {}", failure.message);
        }
    }
}
