//! What commands print for others to read.

use std::io::{self, Write};

/// What it is called where it cannot be written.
pub const NAME: &str = "standard output";

/// Writes to standard output and flushes it. A reader that has gone away is no reason to fail; a full disk is, or a
/// result would be cut where somebody relies on it.
///
/// # Errors
/// What the system says.
pub fn print(text: &str) -> io::Result<()> {
    print_to(&mut io::stdout().lock(), text)
}

fn print_to(out: &mut impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where every write ends like this.
    struct Ends(io::ErrorKind);

    impl Write for Ends {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_goes_away_is_forgiven_and_a_full_disk_is_not() {
        let mut text = Vec::new();
        print_to(&mut text, "a result").unwrap();
        assert_eq!(text, b"a result");
        assert!(print_to(&mut Ends(io::ErrorKind::BrokenPipe), "a result").is_ok());
        let error = print_to(&mut Ends(io::ErrorKind::StorageFull), "a result").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
