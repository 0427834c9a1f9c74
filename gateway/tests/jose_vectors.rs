//! Tokens that others made (`data/jose`): Project Wycheproof's and the standards' own, through the library and through
//! `gateway verify-jws`. What is to be refused is refused, what is to hold holds; where we judge otherwise than the
//! vector, it says why.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use gateway::jws::{Algorithm, Key, KeySet, verify};
use serde_json::{Value, json};

/// A vector: its name, a key, a token, whether the token is to hold.
struct Vector {
    id: Value,
    jwk: Value,
    jws: String,
    holds: bool,
}

/// Where we judge otherwise than Wycheproof: the vectors, our judgement, and why.
const DIFFERENT: &[(&[u64], bool, &str)] = &[
    (
        &[346, 350],
        false,
        "the key says PS256, the token PS384: a key has one algorithm (RFC 7517, 4.4; RFC 8725, 3.1); without `alg` it holds",
    ),
    (&[367, 370], true, "byte for byte the token of vector 357, which is to hold: no padding is left in it"),
    (&[372, 373], false, "a question mark is no base64url (RFC 7515, 2; the like in 361 to 364 is to be refused)"),
];

impl Vector {
    fn read(line: &str) -> Self {
        let mut line: Value = serde_json::from_str(line).expect("a vector");
        let holds = line["result"] == "valid";
        Self { id: line["id"].take(), jwk: line["jwk"].take(), jws: line["jws"].as_str().unwrap().to_owned(), holds }
    }

    /// What we hold to be right.
    fn expected(&self) -> bool {
        let id = self.id.as_u64();
        let different = DIFFERENT.iter().find(|(ids, ..)| id.is_some_and(|id| ids.contains(&id)));
        different.map_or(self.holds, |(_, ours, _)| {
            assert_ne!(*ours, self.holds, "{} is in the list for nothing", self.id);
            *ours
        })
    }

    fn judged_by_the_library(&self) -> bool {
        let Ok(key) = Key::from_jwk(&self.jwk) else { return false };
        verify(self.jws.as_bytes(), &KeySet::single(key), Algorithm::ALL, 8192).is_ok()
    }
}

fn read(file: &str) -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jose").join(file);
    std::fs::read_to_string(path).expect("vectors").lines().map(Vector::read).collect()
}

/// The whole file of the project, where `WYCHEPROOF` says where it is.
fn whole() -> Vec<Vector> {
    let Some(path) = std::env::var_os("WYCHEPROOF") else { return Vec::new() };
    let text = std::fs::read_to_string(&path).expect("the file that WYCHEPROOF names");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let groups = file["testGroups"].as_array().expect("groups").iter();
    let vectors = groups.flat_map(|group| {
        let jwk = group.get("public").unwrap_or(&group["private"]).clone();
        group["tests"].as_array().unwrap().iter().map(move |test| Vector {
            id: test["tcId"].clone(),
            jwk: jwk.clone(),
            jws: test["jws"].as_str().unwrap().to_owned(),
            holds: test["result"] == "valid",
        })
    });
    vectors.collect()
}

/// What `gateway verify-jws` says of each.
fn judged_by_the_program(vectors: &[Vector]) -> Vec<bool> {
    let mut lines = String::new();
    for vector in vectors {
        lines += &format!("{}\n", json!({ "id": vector.id, "jwk": vector.jwk, "jws": vector.jws }));
    }
    let mut program = Command::new(env!("CARGO_BIN_EXE_gateway"));
    let mut program = program.arg("verify-jws").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = program.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = program.wait_with_output().unwrap();
    writer.join().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers = answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let judged: Vec<Value> = answers.collect();
    assert_eq!(judged.len(), vectors.len());
    for (answer, vector) in judged.iter().zip(vectors) {
        assert_eq!(answer["id"], vector.id);
        assert!(answer["valid"] == true || answer["reason"].is_string(), "{answer}");
    }
    judged.into_iter().map(|answer| answer["valid"] == true).collect()
}

fn judge(vectors: &[Vector]) {
    for (vector, by_program) in vectors.iter().zip(judged_by_the_program(vectors)) {
        let expected = vector.expected();
        assert_eq!(vector.judged_by_the_library(), expected, "the library, vector {}", vector.id);
        assert_eq!(by_program, expected, "the program, vector {}", vector.id);
    }
}

#[test]
fn wycheproofs_vectors_are_judged_as_they_say() {
    let vectors = read("wycheproof.jsonl");
    assert_eq!(vectors.len(), 86);
    judge(&vectors);
    judge(&whole());
}

#[test]
fn what_we_refuse_for_its_key_holds_once_the_key_says_no_other_algorithm() {
    let of_another_algorithm = |vector: &Vector| matches!(vector.id.as_u64(), Some(346 | 350));
    let mut vectors = read("wycheproof.jsonl");
    vectors.retain(of_another_algorithm);
    assert_eq!(vectors.len(), 2);
    for vector in &mut vectors {
        vector.jwk.as_object_mut().unwrap().remove("alg");
        assert!(vector.judged_by_the_library(), "vector {}", vector.id);
    }
}

#[test]
fn the_examples_of_the_standards_are_judged_as_they_say() {
    let vectors = read("rfc.jsonl");
    assert_eq!(vectors.iter().filter(|vector| vector.holds).count(), 9);
    judge(&vectors);
}
