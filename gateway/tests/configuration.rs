//! A configuration as a whole: the contract's file, a file with many mistakes, short forms.

use std::path::{Path, PathBuf};

use gateway::config::{LoadError, Problems, Purpose, Severity, load};

fn contract(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/contract").join(file)
}

fn messages(problems: &Problems, severity: Severity) -> Vec<&str> {
    problems.iter().filter(|problem| problem.severity == severity).map(|problem| problem.message.as_str()).collect()
}

#[test]
fn the_contract_needs_only_what_is_not_built_yet() {
    let Err(LoadError::Invalid(problems)) = load(&contract("reference.toml"), Purpose::Check) else {
        panic!("the contract names features that are not built")
    };
    let later = messages(&problems, Severity::Error);
    let later: Vec<&str> = later.iter().map(|text| text.strip_suffix(" not built yet").unwrap_or(text)).collect();
    assert_eq!(
        later,
        [
            "[identity.providers.main]: identity providers are",
            "[identity.providers.opaque]: identity providers are",
            "[identity.providers.keys]: identity providers are",
            "[stores.shared]: stores are",
            "[rate_limits.public]: rate limits are",
            "[rate_limits.per_user]: rate limits are",
            "[[routes]] auth: authentication is",
            "[[routes]] rate_limits: rate limits are",
            "[[aggregates]]: aggregates are",
            "[[batches]]: batches are",
        ],
        "{problems}"
    );
}
