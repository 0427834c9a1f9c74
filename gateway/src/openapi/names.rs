//! Names within the merged document: of components, which several services may call alike, and of operations.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// The sections of components that are taken from services' documents.
pub(super) const SECTIONS: [&str; 6] = ["schemas", "responses", "parameters", "examples", "requestBodies", "headers"];

/// Names that are taken, by section.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Operations' ids are a section of their own, which has no name.
    names: HashSet<(&'static str, String)>,
    /// How often a name had to be made another one, so that none is tried twice.
    made: HashMap<(&'static str, String), u32>,
}

impl Taken {
    /// Takes a component's name: as it is wished, else behind the prefix, else with a number.
    pub(super) fn component(&mut self, section: &'static str, wished: &str, prefix: &str) -> String {
        let (wished, prefix) = (fitting(wished), fitting(prefix));
        self.free(section, wished, &prefix)
    }

    /// Takes an operation's id in the same way.
    pub(super) fn operation(&mut self, wished: &str, prefix: &str) -> String {
        self.free("", wished.to_owned(), prefix)
    }

    fn free(&mut self, section: &'static str, wished: String, prefix: &str) -> String {
        if self.names.insert((section, wished.clone())) {
            return wished;
        }
        let base = format!("{prefix}.{wished}");
        let made = self.made.entry((section, base.clone())).or_insert(0);
        loop {
            *made += 1;
            let name = if *made == 1 { base.clone() } else { format!("{base}_{made}") };
            if self.names.insert((section, name.clone())) {
                return name;
            }
        }
    }
}

/// The text with nothing in it that a component's name may not have.
pub(super) fn fitting(text: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let name: String = text.chars().map(fits).take(128).collect();
    if name.is_empty() { "_".to_owned() } else { name }
}

/// What the components of one service's document are called in the merged one, and which of them are still to come.
#[derive(Debug, Default)]
pub(super) struct Renamed {
    names: HashMap<(&'static str, String), String>,
    /// Section, name in the service's document, name in the merged one.
    pending: Vec<(&'static str, String, String)>,
}

impl Renamed {
    /// The new name of a component, which is asked for from now on.
    pub(super) fn name(&mut self, taken: &mut Taken, (section, old): (&'static str, &str), prefix: &str) -> String {
        if let Some(name) = self.names.get(&(section, old.to_owned())) {
            return name.clone();
        }
        let name = taken.component(section, old, prefix);
        self.names.insert((section, old.to_owned()), name.clone());
        self.pending.push((section, old.to_owned(), name.clone()));
        name
    }

    /// A component that was asked for and is not yet there.
    pub(super) fn next(&mut self) -> Option<(&'static str, String, String)> {
        self.pending.pop()
    }
}

/// The section and name that a reference leads to; `None` where it is remote, or leads elsewhere.
pub(super) fn component_of(reference: &str) -> Option<(&'static str, String)> {
    let (section, name) = reference.strip_prefix("#/components/")?.split_once('/')?;
    let section = SECTIONS.into_iter().find(|known| *known == section)?;
    let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?;
    // What lies within a component has no name of its own.
    (!name.contains('/')).then(|| (section, name.replace("~1", "/").replace("~0", "~")))
}

/// Whether a value refers to another one.
pub(super) fn reference(value: &Value) -> Option<&str> {
    value.get("$ref").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_of_a_name_gets_its_services_and_the_third_a_number() {
        let mut taken = Taken::default();
        let names: Vec<String> = (0..3).map(|_| taken.component("schemas", "Order item", "orders")).collect();
        assert_eq!(names, ["Order_item", "orders.Order_item", "orders.Order_item_2"]);
        assert_eq!(taken.component("responses", "Order item", "orders"), "Order_item", "sections do not collide");
        assert_eq!([taken.operation("list", "a"), taken.operation("list", "a")], ["list", "a.list"]);
    }

    #[test]
    fn a_component_is_asked_for_once() {
        let (mut taken, mut renamed) = (Taken::default(), Renamed::default());
        taken.component("schemas", "Problem", "");
        for _ in 0..2 {
            assert_eq!(renamed.name(&mut taken, ("schemas", "Problem"), "users"), "users.Problem");
        }
        assert_eq!(renamed.next(), Some(("schemas", "Problem".to_owned(), "users.Problem".to_owned())));
        assert_eq!(renamed.next(), None);
    }

    #[test]
    fn references_lead_to_components_of_this_document_alone() {
        let of = |text: &str| component_of(text);
        assert_eq!(of("#/components/schemas/a~1b%20c"), Some(("schemas", "a/b c".to_owned())));
        for elsewhere in [
            "",
            "x",
            "http://evil.test/#/components/schemas/A",
            "#/paths/~1a",
            "#/components/links/A",
            "#/components/schemas/A/properties/b",
            "other.json#/components/schemas/A",
            "#/components/schemas",
        ] {
            assert_eq!(of(elsewhere), None, "{elsewhere}");
        }
    }
}
