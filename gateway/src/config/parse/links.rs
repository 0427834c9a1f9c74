//! Symbolic links on the way to a file: what they lead to is exchanged where they stand, or where they lead.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::include::{listed, reach};

/// Links on one way, as Linux follows them (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The folders in which it shows that a path leads elsewhere, or that what it leads to changes: those in which links on
/// its way stand, and the one that they lead to. None where there is no link. A path with stars is all that it fits
/// now.
pub(crate) fn folders_of_links(path: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    // Once for all files of a folder: there may be thousands.
    for above in path.parent().into_iter().flat_map(reach) {
        follow(&above, &mut folders);
    }
    for link in reach(path).iter().filter(|file| file.is_symlink()) {
        follow(link, &mut folders);
    }
    folders
}

/// Goes a way to its end, or as far as there is one.
fn follow(path: &Path, folders: &mut BTreeSet<PathBuf>) {
    let steps = |path: &Path| path.components().map(|step| step.as_os_str().to_owned()).collect::<Vec<OsString>>();
    let mut left: VecDeque<OsString> = steps(path).into();
    let mut at = PathBuf::new();
    let mut links = 0;
    while let Some(step) = left.pop_front() {
        match Path::new(&step).components().next() {
            // Links are behind: what is above is where `..` leads.
            Some(Component::ParentDir) if at.file_name().is_some() => _ = at.pop(),
            Some(Component::ParentDir) if at.has_root() => {}
            Some(Component::CurDir) | None => {}
            _ => match std::fs::read_link(at.join(&step)) {
                Ok(target) if links < MAX_LINKS => {
                    links += 1;
                    folders.insert(listed(&at).to_path_buf());
                    steps(&target).into_iter().rev().for_each(|step| left.push_front(step));
                }
                _ => at.push(&step),
            },
        }
    }
    if links > 0 {
        // Of a file its folder; of a folder itself, and what it stands in tells of its end.
        let there = at.ancestors().find(|level| listed(level).is_dir());
        folders.extend(there.map(|there| listed(there).to_path_buf()));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_change_shows_where_links_stand_and_where_they_lead() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let at = |path: &str| root.join(path);
        for there in ["etc/routes", "elsewhere/deep", "releases/1/etc", "releases/2"] {
            std::fs::create_dir_all(at(there)).unwrap();
        }
        for there in ["etc/plain.toml", "elsewhere/real.toml", "releases/1/g.toml", "releases/1/etc/a.toml"] {
            std::fs::write(at(there), "").unwrap();
        }
        for (target, link) in [
            ("../elsewhere/real.toml", "etc/g.toml"),
            ("releases/1", "current"),
            ("../../etc/g.toml", "etc/routes/twice.toml"),
            ("../gone/x.toml", "etc/nowhere.toml"),
            ("round.toml", "etc/round.toml"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        symlink(at("current/etc"), at("etc/absolute")).unwrap();
        let of = |path: &str, expected: &[&str]| {
            let expected: BTreeSet<PathBuf> = expected.iter().map(|path| at(path)).collect();
            assert_eq!(folders_of_links(&at(path)), expected, "{path}");
        };
        of("etc/plain.toml", &[]);
        of("etc/gone.toml", &[]);
        of("etc/g.toml", &["etc", "elsewhere"]);
        of("current/g.toml", &["", "releases/1"]);
        of("current/../2/g.toml", &["", "releases/2"]);
        of("etc/routes/*.toml", &["etc/routes", "etc", "elsewhere"]);
        of("etc/routes/twice.toml", &["etc/routes", "etc", "elsewhere"]);
        of("etc/nowhere.toml", &["etc", ""]);
        of("etc/round.toml", &["etc"]);
        of("etc/absolute/*.toml", &["etc", "", "releases/1/etc"]);
        of("current/gone/*.toml", &["", "releases/1"]);
    }
}
