//! What a panic says, for whoever catches one and goes on: in a log, or in a report.

use std::any::Any;

/// The words that it was raised with.
#[must_use]
pub fn panic_words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it says nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_in_its_own_words() {
        let of = |panic: Box<dyn Any + Send>| panic_words(&*panic).to_owned();
        assert_eq!(of(Box::new("fixed")), "fixed");
        assert_eq!(of(Box::new("made".to_owned())), "made");
        assert_eq!(of(Box::new(1)), "it says nothing");
    }
}
