//! Which build this is.

/// The version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from; empty where nobody told, as in a debug build.
pub const COMMIT: &str = env!("BUILD_COMMIT");

/// Both for people: `0.1.0 (63d38e8c0ffe)`.
pub fn version() -> String {
    match COMMIT.get(..12).unwrap_or(COMMIT) {
        "" => VERSION.to_owned(),
        short => format!("{VERSION} ({short})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_names_its_version_first() {
        let told = version();
        assert!(told.starts_with(VERSION), "{told}");
        assert_eq!(told.contains('('), !COMMIT.is_empty(), "{told}");
    }
}
