//! Which files of a suite's folder are scenarios.
//!
//! Gateway configurations and journeys lie beside them. They are told by their names, or by a scenario that names them,
//! so that nobody has to call a configuration otherwise than at home.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Names with these endings are no scenarios, whoever names them.
const OTHERS: [&str; 2] = ["gateway.toml", "journey.toml"];

/// The scenarios' files, in the order of their names.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn scenarios(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| may_be_scenario(path)).collect();
    files.sort();
    let named: BTreeSet<PathBuf> = files.iter().flat_map(|file| named_by(file)).collect();
    let is_named = |file: &PathBuf| std::fs::canonicalize(file).is_ok_and(|file| named.contains(&file));
    files.retain(|file| !is_named(file));
    Ok(files)
}

fn may_be_scenario(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".toml") && !OTHERS.iter().any(|other| name.ends_with(other))
}

/// The configuration and the journeys that a scenario names. Of a file that is no TOML, none: it will say so itself.
fn named_by(file: &Path) -> Vec<PathBuf> {
    let Some(scenario) = std::fs::read_to_string(file).ok().and_then(|text| text.parse::<Table>().ok()) else {
        return Vec::new();
    };
    let config = scenario.get("gateway").and_then(|gateway| gateway.get("config"));
    let loads = scenario.get("load").and_then(Value::as_array).into_iter().flatten();
    let names = config.into_iter().chain(loads.filter_map(|load| load.get("journey"))).filter_map(Value::as_str);
    let folder = file.parent().unwrap_or(Path::new(""));
    // A name that leads nowhere leaves nothing out, and one of itself neither.
    let paths = names.filter_map(|name| std::fs::canonicalize(folder.join(name)).ok());
    paths.filter(|path| std::fs::canonicalize(file).is_ok_and(|own| own != *path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_no_scenarios() {
        assert!(may_be_scenario(Path::new("a/steady.toml")));
        assert!(!may_be_scenario(Path::new("a/steady.gateway.toml")) && !may_be_scenario(Path::new("a/notes.md")));
    }

    #[test]
    fn what_a_scenario_names_is_none_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("late.toml", "[gateway]\nconfig = \"gw_late.toml\"\n[[load]]\njourney = \"./shop.toml\"\n");
        write("gw_late.toml", "[[listeners]]\n");
        write("shop.toml", "[[journeys]]\n");
        write("broken.toml", "[gateway]\nconfig = \n");
        write("own.toml", "[gateway]\nconfig = \"own.toml\"\n");
        write("nobody.toml", "[[listeners]]\n");
        let names: Vec<String> = scenarios(folder.path())
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["broken.toml", "late.toml", "nobody.toml", "own.toml"]);
        assert!(scenarios(&folder.path().join("none")).is_err());
    }
}
