//! `cargo xtask contract`: the contract's copy in docs/contract is the contract.
//!
//! The source is the folder that `PORTCULLIS_CONTRACT` names, or ../shared/contract. Where neither is there, the copy
//! stands alone and there is nothing to compare.

use std::collections::BTreeMap;
use std::path::Path;

use crate::failure::{Failure, refuse_unknown};
use crate::workspace::{root, variable};

/// Compares both folders, byte for byte.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    refuse_unknown(args, &[])?;
    let chosen = variable("PORTCULLIS_CONTRACT");
    let source = chosen.clone().unwrap_or_else(|| root().join("../shared/contract"));
    if chosen.is_none() && !source.is_dir() {
        println!("skipped: no source of the contract beside the repository; PORTCULLIS_CONTRACT may name one");
        return Ok(());
    }
    let differing = differences(&read(&source)?, &read(&root().join("docs/contract"))?);
    if differing.is_empty() {
        println!("docs/contract is the same as {}", source.display());
        return Ok(());
    }
    let names = differing.join(", ");
    Err(Failure::check(format!("docs/contract differs from {}: {names}; copy it anew", source.display())))
}

type Folder = BTreeMap<String, Vec<u8>>;

fn read(folder: &Path) -> Result<Folder, Failure> {
    let unreadable = |e: std::io::Error| Failure::cannot_run(format!("{}: {e}", folder.display()));
    let mut files = Folder::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, std::fs::read(entry.path()).map_err(unreadable)?);
    }
    Ok(files)
}

fn differences(source: &Folder, copy: &Folder) -> Vec<String> {
    let changed = source.iter().filter_map(|(name, text)| match copy.get(name) {
        None => Some(format!("{name} is missing")),
        Some(copied) if copied != text => Some(format!("{name} is another")),
        Some(_) => None,
    });
    let added = copy.keys().filter(|name| !source.contains_key(*name)).map(|name| format!("{name} is not in it"));
    changed.chain(added).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_difference_is_named() {
        let folder = |files: &[(&str, &str)]| {
            files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect::<Folder>()
        };
        let source = folder(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(differences(&source, &source), Vec::<String>::new());
        let copy = folder(&[("a", "1"), ("b", "other"), ("d", "4")]);
        assert_eq!(differences(&source, &copy), ["b is another", "c is missing", "d is not in it"]);
    }
}
