//! A page as a document: what it says, and whether it may be shown at all.

use roxmltree::{Document, Node};

/// A page as XML: the few HTML elements that have no end are closed.
pub(crate) fn as_xml(html: &str) -> String {
    let mut xml = String::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>").expect("an HTML document");
    while let Some(at) = rest.find("<meta") {
        let end = at + rest[at..].find('>').unwrap();
        xml += &rest[..end];
        xml += "/>";
        rest = &rest[end + 1..];
    }
    xml + rest
}

pub(crate) fn words(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|one| one.text()).collect::<Vec<_>>().join(" ")
}

/// Everything that makes a page unfit to be shown: broken marks, anything from outside, anything that runs.
pub(crate) fn check_page(name: &str, html: &str) {
    let xml = as_xml(html);
    let document = Document::parse(&xml).unwrap_or_else(|error| panic!("{name} is not well-formed: {error}"));
    for node in document.descendants().filter(Node::is_element) {
        let tag = node.tag_name().name();
        assert!(!["script", "link", "img", "iframe", "object", "embed", "base"].contains(&tag), "{name}: <{tag}>");
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on"), "{name}: {}", attribute.name());
            assert!(!["src", "action"].contains(&attribute.name()), "{name}: {}", attribute.name());
            let leads = attribute.value();
            let is_near = !leads.starts_with(['/', '.']) && !leads.contains(':') && leads.matches('/').count() == 1;
            assert!(attribute.name() != "href" || (tag == "a" && is_near), "{name}: a link to {leads}");
            assert!(!attribute.value().contains("NaN"), "{name}: {} is not a number", attribute.name());
        }
        if tag == "svg" && node.attribute("viewBox").is_some() && node.attribute("aria-hidden").is_none() {
            assert!(node.attribute("aria-label").is_some_and(|label| label.len() > 10), "{name}: a plot without words");
            assert!(node.descendants().any(|one| one.tag_name().name() == "path"), "{name}: an empty plot");
        }
    }
    for outside in ["http://", "https://", "url(", "@import", "javascript:"] {
        let allowed = outside == "http://" && name == "load";
        assert!(allowed || !html.contains(outside), "{name} names {outside}");
    }
}
