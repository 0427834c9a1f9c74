//! `cargo xtask tidy`: the rules of the layout, on this repository.

use crate::failure::{Failure, refuse_unknown};
use crate::tidy::{Finding, RULES, Tree, mend, warnings};
use crate::workspace::root;

/// Checks every rule and prints what breaks one as `file:line: rule: what to do`.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    refuse_unknown(args, &["--verbose", "--fix"])?;
    let has = |option: &str| args.iter().any(|arg| arg == option);
    let is_verbose = has("--verbose");
    let mut tree = Tree::read(&root())?;
    if has("--fix") {
        fix(&tree)?;
        tree = Tree::read(&root())?;
    }
    let mut count = 0;
    for rule in RULES {
        let findings = (rule.check)(&tree);
        count += findings.len();
        for finding in &findings {
            print_finding(finding, rule.name);
        }
        if let Some(background) = rule.background.filter(|_| is_verbose || !findings.is_empty()) {
            println!("{}", background());
        }
    }
    if is_verbose {
        warnings(&tree).iter().for_each(|finding| print_finding(finding, "warning"));
    }
    let files = tree.files.len();
    match count {
        0 => println!("tidy: {files} files, {} rules, nothing to do", RULES.len()),
        _ => return Err(Failure::check(format!("{count} places in {files} files break a rule"))),
    }
    Ok(())
}

/// Writes the files that a machine can mend. The contract's copy is not ours to change.
fn fix(tree: &Tree) -> Result<(), Failure> {
    for file in tree.files.iter().filter(|file| !file.path.starts_with("docs/contract/")) {
        let mended = mend(file);
        if mended != file.text {
            let failed = |e| Failure::cannot_run(format!("{}: {e}", file.path));
            std::fs::write(root().join(&file.path), mended).map_err(failed)?;
            println!("mended {}", file.path);
        }
    }
    Ok(())
}

fn print_finding(finding: &Finding, rule: &str) {
    println!("{}:{}: {rule}: {}", finding.path, finding.line, finding.advice);
}
