//! Sets of methods: a bit for each standard one, a list for the others.

use http::Method;

/// The standard methods, in the order in which `Allow` names them.
static STANDARD: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

/// The bit of `HEAD`.
pub(super) const HEAD: u16 = 1 << 1;

/// The methods of a route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct MethodSet {
    /// As written.
    named: u16,
    /// As written, and `HEAD` where `GET` is.
    answered: u16,
    others: Vec<Method>,
    any: bool,
}

impl MethodSet {
    /// Empty means any method.
    pub(super) fn new(methods: &[Method]) -> Self {
        let mut set = Self { any: methods.is_empty(), ..Self::default() };
        for method in methods {
            match bit(method) {
                0 => set.others.push(method.clone()),
                bit => set.named |= bit,
            }
        }
        set.others.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        set.others.dedup();
        set.answered = set.named | if set.named & bit(&Method::GET) == 0 { 0 } else { HEAD };
        set
    }

    /// Whether there is no condition.
    pub(super) fn is_any(&self) -> bool {
        self.any
    }

    /// Whether a request of this method is answered; `GET` answers `HEAD`.
    #[inline]
    pub(super) fn answers(&self, method: &Method) -> bool {
        self.answers_bit(bit(method), method)
    }

    /// The same, where the method's bit is known already.
    #[inline]
    pub(super) fn answers_bit(&self, bit: u16, method: &Method) -> bool {
        self.any || self.answered & bit != 0 || (!self.others.is_empty() && self.others.contains(method))
    }

    /// Whether `HEAD` is answered though only `GET` is written.
    pub(super) fn answers_head_for_get(&self) -> bool {
        !self.any && self.answered & !self.named & HEAD != 0
    }

    /// Whether both answer a method that each of them names; who names none answers all.
    pub(super) fn shares_a_name(&self, other: &Self) -> bool {
        let named = self.named & other.named != 0 || self.others.iter().any(|method| other.others.contains(method));
        self.any || other.any || named
    }

    /// Adds the methods of another.
    pub(super) fn add(&mut self, other: &Self) {
        self.named |= other.named;
        self.answered |= other.answered;
        self.any |= other.any;
        self.others.extend(other.others.iter().cloned());
        self.others.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        self.others.dedup();
    }

    /// All that is answered, as `Allow` lists it: `GET, HEAD, POST`.
    pub(super) fn list(&self) -> String {
        let standard = STANDARD.iter().filter(|method| self.answered & bit(method) != 0);
        standard.chain(&self.others).map(Method::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// The bit of a standard method, by its place in `STANDARD`; 0 for others.
#[inline]
pub(super) fn bit(method: &Method) -> u16 {
    match *method {
        Method::GET => 1,
        Method::HEAD => HEAD,
        Method::POST => 1 << 2,
        Method::PUT => 1 << 3,
        Method::PATCH => 1 << 4,
        Method::DELETE => 1 << 5,
        Method::OPTIONS => 1 << 6,
        Method::TRACE => 1 << 7,
        Method::CONNECT => 1 << 8,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_answers_head_and_lists_it() {
        let set = MethodSet::new(&[Method::POST, Method::GET]);
        assert!(set.answers(&Method::HEAD) && set.answers_head_for_get() && !set.answers(&Method::PUT));
        assert_eq!(set.list(), "GET, HEAD, POST");
        assert!(!MethodSet::new(&[Method::HEAD]).answers(&Method::GET));
    }

    #[test]
    fn bits_are_places() {
        assert!(STANDARD.iter().enumerate().all(|(place, method)| bit(method) == 1 << place));
    }

    #[test]
    fn other_methods_are_told_apart_by_case() {
        let set = MethodSet::new(&[Method::from_bytes(b"PURGE").unwrap()]);
        assert!(set.answers(&Method::from_bytes(b"PURGE").unwrap()));
        assert!(!set.answers(&Method::from_bytes(b"purge").unwrap()));
        assert!(MethodSet::new(&[]).answers(&Method::TRACE));
    }
}
