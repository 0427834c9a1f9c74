//! Scratch.
fn main() {
    std::fs::write("reports/schema/result.schema.json", reports::result::schema()).unwrap();
}
