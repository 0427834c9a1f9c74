//! Why a command ended badly, and with which exit code.

/// The end of a command that did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What is said to the person, without a trailing newline.
    pub(crate) message: String,
    /// The exit code of the process.
    pub(crate) code: u8,
}

impl Failure {
    /// The thing that was asked about is bad.
    pub(crate) fn check(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// Something that the command needs is missing.
    pub(crate) fn cannot_run(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 3 }
    }
}

/// Refuses options that a command does not know.
pub(crate) fn refuse_unknown(args: &[String], known: &[&str]) -> Result<(), Failure> {
    match args.iter().find(|arg| !known.contains(&arg.as_str())) {
        None => Ok(()),
        Some(arg) if known.is_empty() => Err(Failure::usage(format!("unknown option `{arg}`; there are none"))),
        Some(arg) => Err(Failure::usage(format!("unknown option `{arg}`; known: {}", known.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_known_or_refused_by_name() {
        assert!(refuse_unknown(&["--check".to_owned()], &["--check"]).is_ok());
        let failure = refuse_unknown(&["--chekc".to_owned()], &["--check"]).unwrap_err();
        assert_eq!((failure.code, failure.message.as_str()), (2, "unknown option `--chekc`; known: --check"));
    }
}
