//! The texts that a configuration was read from, kept so that what it comes to can be told when somebody asks: as a
//! value it would take many times the memory, for nobody.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::check::policies::Policies;
use super::check::{Context, Reader};
use super::effective;
use super::load::{Purpose, parse};
use super::parse::environment::ProcessEnvironment;
use super::parse::include;
use super::problem::Report;
use super::schema::ROOT;
use super::source::{Sources, Span};

/// The files of one configuration, as they were when it was loaded.
#[derive(Clone, Default)]
pub struct Written {
    /// Names and texts: the first is the file that was asked for, then come those that it includes.
    texts: Vec<(Arc<Path>, String)>,
}

impl Written {
    /// What was read.
    pub(super) fn of(sources: Sources) -> Self {
        Self { texts: sources.into_texts() }
    }

    /// What the files are called: the one that was asked for, then those that it includes.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.texts.iter().map(|(path, _)| &**path)
    }

    /// What the configuration comes to: each key with what holds for it, defaults and shared keys filled in, in the
    /// form in which two configurations are compared. Variables stay names. Secrets that are written in the texts are
    /// in it:
    /// [`crate::diff::masked`] hides them. Null where nothing was read.
    ///
    /// It takes as long as reading the texts: not for a thread that others wait for.
    pub fn effective(&self) -> Value {
        let (mut sources, mut report) = (Sources::default(), Report::default());
        let mut texts = self.texts.iter();
        let Some((path, text)) = texts.next() else { return Value::Null };
        let environment = &ProcessEnvironment;
        let mut root = parse(text.as_bytes(), path, &mut sources, environment, &mut report).table;
        for (path, text) in texts {
            let included = parse(text.as_bytes(), path, &mut sources, environment, &mut report).table;
            include::merge(&mut root, included, &ROOT, &sources, &mut report);
        }
        let policies = Policies::of(&root);
        let context = Context::new((&root, &policies), report, true, &sources, environment, Purpose::Check);
        effective::of(&context, &Reader::new(Some(&root), None, &ROOT, Span::default()))
    }
}

/// Names alone: there may be secrets in the texts.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::write;

    use crate::config::{Purpose, load, load_effective};

    #[test]
    fn what_the_texts_come_to_is_what_the_files_came_to_though_they_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        let route = |name: &str| {
            format!("[[routes]]\nname = '{name}'\npath = '/{name}'\npolicies = ['p']\nupstream = 'http://h'\n")
        };
        let main = "include = ['more/*.toml']\n[defaults.route]\ntimeout = '1s'\n[policies.p]\ncoalesce = true\n";
        std::fs::create_dir(folder.path().join("more")).unwrap();
        write(&file, format!("{main}{}", route("a"))).unwrap();
        write(folder.path().join("more/b.toml"), route("b")).unwrap();
        write(folder.path().join("more/c.toml"), "[upstreams.u]\nendpoints = ['h:1']\n# s3cret\n").unwrap();
        let (_, effective) = load_effective(&file, Purpose::Run).unwrap();
        let written = load(&file, Purpose::Run).unwrap().config.written;
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert_eq!(written.effective(), effective);
        assert_eq!(
            (&effective["routes"]["b"]["timeout"], &effective["routes"]["b"]["coalesce"]),
            (&"1s".into(), &true.into())
        );
        let names: Vec<_> = written.files().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["gateway.toml", "b.toml", "c.toml"]);
        assert!(!format!("{written:?}").contains("s3cret"));
    }
}
