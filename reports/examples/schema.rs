//! Prints the JSON Schema of `result.json`; `cargo xtask schema` keeps the committed one equal to it.

use std::io::Write;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(reports::result::schema().as_bytes())
}
