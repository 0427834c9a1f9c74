//! Rounds on disk, turn by turn, one JSON object a line.

use std::path::Path;

use super::metric::Round;
use super::{GateError, write};

/// Writes rounds, over what the file held.
///
/// # Errors
/// When the file cannot be written.
pub fn save(rounds: &[Round], path: &Path) -> Result<(), GateError> {
    let line = |round: &Round| {
        let json = serde_json::to_string(round);
        json.unwrap_or_else(|error| unreachable!("a round is plain data and always JSON: {error}")) + "\n"
    };
    write(path, &rounds.iter().map(line).collect::<String>())
}

/// Reads rounds; none of a file that is not there.
///
/// # Errors
/// When the file cannot be read, or holds something else.
pub fn load(path: &Path) -> Result<Vec<Round>, GateError> {
    let file = |source| GateError::File { path: path.to_path_buf(), source };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let rounds: Result<Vec<Round>, _> = text.lines().map(serde_json::from_str).collect();
            rounds.map_err(|error| file(error.into()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(file(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::metric::{Figures, Metric};
    use super::*;

    #[test]
    fn what_is_saved_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rounds.jsonl");
        assert_eq!(load(&path).unwrap(), []);
        let mut base = Figures { cpu_turns: vec![9.5, 10.25], core_share: 0.75, ..Figures::default() };
        base.values.insert(Metric::Cpu, 9.875);
        let rounds = [Round { number: 1, order: vec![true, false], base, ..Round::default() }, Round::default()];
        save(&rounds, &path).unwrap();
        assert_eq!(load(&path).unwrap(), rounds);
        std::fs::write(&path, "{}\n").unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("rounds.jsonl"));
    }

    #[test]
    fn what_was_saved_before_stays_until_all_of_it_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kept) = (folder.path().join("rounds.jsonl"), folder.path().join("kept"));
        save(&[Round::default()], &path).unwrap();
        // Another name for the file: what is written over shows here, and what is put in its place does not.
        std::fs::hard_link(&path, &kept).unwrap();
        save(&[], &path).unwrap();
        assert_eq!((load(&kept).unwrap().len(), load(&path).unwrap().len()), (1, 0));
    }
}
