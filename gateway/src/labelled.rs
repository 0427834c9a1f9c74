//! Enums of which each variant has one fixed text: for metrics, records and answers.

/// An enum with `ALL`, its variants in order, and `as_str`, the text of each.
macro_rules! labelled {
    (
        $(#[$meta:meta])* pub enum $name:ident, $text_doc:literal;
        $($(#[$doc:meta])* $variant:ident = $text:literal;)*
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every one, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            #[doc = $text_doc]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

pub(crate) use labelled;
