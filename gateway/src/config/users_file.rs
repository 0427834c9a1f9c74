//! Files of users as `htpasswd` writes them, a line each: `NAME:HASH`. Read when the configuration is, and checked with
//! it. Only hashes are taken that are dear to compute: from all others, passwords are found within minutes once the
//! file is in the wrong hands.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::key_files::read;
use super::problem::quoted;
use super::settings::basic::{Argon2id, PasswordHash, User};

/// The largest file; a hundred thousand users take about ten mebibytes.
const MAX_BYTES: u64 = 16 << 20;
/// The longest name, bytes: it becomes a header, a label of limits and a part of records.
const MAX_NAME_BYTES: usize = 255;
/// The dearest bcrypt: about a second of a core.
const MAX_COST: u32 = 15;
/// Below this cost of bcrypt, passwords are guessed too fast from a file that was lost.
const GOOD_COST: u32 = 10;
/// The dearest Argon2id: KiB of memory, passes over it, and both together, in KiB.
const MAX_MEMORY: u32 = 256 << 10;
const MAX_PASSES: u32 = 64;
const MAX_WORK: u64 = 1 << 20;
/// Lanes of Argon2id, which are computed one after another.
const MAX_LANES: u32 = 16;

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Users {
    /// In the order of their names.
    pub(crate) users: Vec<User>,
    /// What can be used, and should be dearer.
    pub(crate) doubt: Option<String>,
}

/// The users of a file.
///
/// # Errors
/// What is wrong with it, with the line, and how to write a better one. No hash is quoted.
pub(crate) fn users(file: &Path) -> Result<Users, String> {
    let bytes = read(file, MAX_BYTES)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut known: BTreeMap<&str, (usize, PasswordHash)> = BTreeMap::new();
    let mut doubt = None;
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim_end())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, rest) = line.split_once(':').ok_or_else(|| format!("line {number}: it is no NAME:HASH"))?;
        let is_name = !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control);
        if !is_name {
            return Err(format!("line {number}: a name has 1 to {MAX_NAME_BYTES} bytes, and none that controls"));
        }
        // What stands behind another colon is a comment, as nginx has it.
        let hash = rest.split(':').next().unwrap_or(rest);
        let hash = parse(hash).map_err(|why| format!("line {number}: {}", remedy(name, &why)))?;
        if let PasswordHash::Bcrypt(text) = &hash
            && cost_of(text).is_some_and(|cost| cost < GOOD_COST)
        {
            doubt.get_or_insert_with(|| {
                format!("line {number}: {}", remedy(name, "has a cost below 10, and is guessed too fast"))
            });
        }
        if let Some((before, _)) = known.insert(name, (number, hash)) {
            return Err(format!("line {number}: {} is in line {before} already", quoted(name)));
        }
    }
    let users = known.into_iter().map(|(name, (_, hash))| User { name: name.into(), hash }).collect();
    Ok(Users { users, doubt })
}

fn remedy(name: &str, why: &str) -> String {
    format!("the password of {} {why}; `htpasswd -B -C 12 FILE {name}` writes a good one", quoted(name))
}

/// A hash.
///
/// # Errors
/// Why it is none that is taken, as what follows "the password of NAME".
fn parse(text: &str) -> Result<PasswordHash, String> {
    let kinds = [
        ("$2a$", "is of an old bcrypt ($2a$)"),
        ("$2x$", "is of an old bcrypt ($2x$)"),
        ("$argon2i$", "is hashed by Argon2i, and Argon2id is taken"),
        ("$argon2d$", "is hashed by Argon2d, and Argon2id is taken"),
        ("$apr1$", "is hashed by MD5, and is guessed too fast"),
        ("$1$", "is hashed by MD5, and is guessed too fast"),
        ("{SHA}", "is hashed by SHA-1, and is guessed too fast"),
        ("{SSHA}", "is hashed by SHA-1, and is guessed too fast"),
        ("$5$", "is hashed by SHA-256, which is not taken"),
        ("$6$", "is hashed by SHA-512, which is not taken"),
        ("{PLAIN}", "is written as it is"),
    ];
    if text.starts_with("$2y$") || text.starts_with("$2b$") {
        bcrypt(text)
    } else if let Some(parts) = text.strip_prefix("$argon2id$") {
        argon2id(parts).map(PasswordHash::Argon2id)
    } else {
        let known = kinds.iter().find(|(prefix, _)| text.starts_with(prefix));
        Err(known.map_or("is written as it is, or hashed by crypt", |(_, why)| *why).to_owned())
    }
}

fn cost_of(text: &str) -> Option<u32> {
    text.get(4..6)?.parse().ok()
}

fn bcrypt(text: &str) -> Result<PasswordHash, String> {
    let broken = "has a bcrypt hash that is cut off, or changed";
    let is_whole = text.len() == 60 && text.parse::<bcrypt::HashParts>().is_ok();
    match cost_of(text).filter(|_| is_whole) {
        Some(4..=MAX_COST) => Ok(PasswordHash::Bcrypt(text.into())),
        Some(cost) => Err(format!("has a bcrypt cost of {cost}: 4 to {MAX_COST} are taken, beyond it takes seconds")),
        None => Err(broken.to_owned()),
    }
}

/// `v=19$m=M,t=T,p=P$SALT$HASH`
fn argon2id(text: &str) -> Result<Argon2id, String> {
    let broken = || "has an Argon2id hash that is cut off, or changed".to_owned();
    let parts: Vec<&str> = text.split('$').collect();
    let [version, costs, salt, hash] = parts[..] else { return Err(broken()) };
    if version != "v=19" {
        return Err("is hashed by an old Argon2id: v=19 is taken".to_owned());
    }
    let costs: Vec<&str> = costs.split(',').collect();
    let [memory, passes, lanes] = costs[..] else { return Err(broken()) };
    let number = |text: &str, key: &str| text.strip_prefix(key)?.parse::<u32>().ok();
    let numbers = (number(memory, "m="), number(passes, "t="), number(lanes, "p="));
    let (Some(memory), Some(passes), Some(lanes)) = numbers else { return Err(broken()) };
    let bytes = |text: &str| STANDARD_NO_PAD.decode(text).ok();
    let (Some(salt), Some(hash)) = (bytes(salt), bytes(hash)) else { return Err(broken()) };
    let fits = (1..=MAX_LANES).contains(&lanes)
        && (8 * lanes..=MAX_MEMORY).contains(&memory)
        && (1..=MAX_PASSES).contains(&passes)
        && u64::from(memory) * u64::from(passes) <= MAX_WORK;
    if !fits {
        return Err(format!(
            "has costs of Argon2id that are not taken: m is 8*p to {MAX_MEMORY}, m*t at most {MAX_WORK}, p at most {MAX_LANES}"
        ));
    }
    if !(8..=64).contains(&salt.len()) || !(16..=64).contains(&hash.len()) {
        return Err(broken());
    }
    Ok(Argon2id { memory, passes, lanes, salt: salt.into(), hash: hash.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Users, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users");
        std::fs::write(&file, text).unwrap();
        users(&file)
    }

    fn bcrypt_of(cost: u32) -> String {
        let made = bcrypt::hash_with_salt(b"secret", 4, [7; 16]).unwrap().to_string();
        made.replace("$04$", &format!("${cost:02}$"))
    }

    const ARGON2ID: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn users_are_read_as_htpasswd_writes_them() {
        let text = format!(
            "# people\n\nzoe:{}\r\nada:{}:a comment\nöre:{ARGON2ID}\n",
            bcrypt_of(12).replace("$2b$", "$2y$"),
            bcrypt_of(10)
        );
        let read = of(&text).unwrap();
        let names: Vec<&str> = read.users.iter().map(|user| &*user.name).collect();
        assert_eq!((names, read.doubt), (vec!["ada", "zoe", "öre"], None));
        assert!(matches!(&read.users[2].hash, PasswordHash::Argon2id(hash) if hash.hash.len() == 32));
        assert!(of("").unwrap().users.is_empty());
        assert!(!format!("{:?}", read.users).contains("$2"), "no hash is shown");
    }

    #[test]
    fn a_hash_that_is_guessed_from_is_named_with_its_line_and_its_remedy() {
        let good = bcrypt_of(12);
        let with = |hash: &str| format!("ada:{good}\n\nbob:{hash}\n");
        for (hash, why) in [
            ("secret", "is written as it is, or hashed by crypt"),
            ("", "is written as it is, or hashed by crypt"),
            ("rOJ8Oo1Uu8n7A", "is written as it is, or hashed by crypt"),
            ("{PLAIN}secret", "is written as it is"),
            ("$apr1$x$y", "is hashed by MD5, and is guessed too fast"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "is hashed by SHA-1, and is guessed too fast"),
            ("$6$x$y", "is hashed by SHA-512, which is not taken"),
            (&good.replace("$2b$", "$2a$"), "is of an old bcrypt ($2a$)"),
            (&good[..59], "has a bcrypt hash that is cut off, or changed"),
            (&good.replace("$12$", "$1x$"), "has a bcrypt hash that is cut off, or changed"),
            (&bcrypt_of(17), "has a bcrypt cost of 17: 4 to 15 are taken, beyond it takes seconds"),
            (&ARGON2ID.replace("argon2id", "argon2i"), "is hashed by Argon2i, and Argon2id is taken"),
            (&ARGON2ID.replace("v=19", "v=16"), "is hashed by an old Argon2id: v=19 is taken"),
            (&ARGON2ID.replace("$c2", "$c*"), "has an Argon2id hash that is cut off, or changed"),
            (&ARGON2ID.replace(",p=1", ""), "has an Argon2id hash that is cut off, or changed"),
        ] {
            let told = of(&with(hash)).unwrap_err();
            let expected =
                format!("line 3: the password of \"bob\" {why}; `htpasswd -B -C 12 FILE bob` writes a good one");
            assert_eq!(told, expected);
        }
        for costs in ["m=7,t=1,p=1", "m=524288,t=1,p=1", "m=64,t=0,p=1", "m=262144,t=5,p=1", "m=512,t=1,p=17"] {
            let told = of(&with(&ARGON2ID.replace("m=64,t=1,p=1", costs))).unwrap_err();
            assert!(told.contains("has costs of Argon2id that are not taken"), "{costs}: {told}");
        }
        for (text, why) in [
            ("ada", "line 1: it is no NAME:HASH".to_owned()),
            (&format!(":{good}"), "line 1: a name has 1 to 255 bytes, and none that controls".to_owned()),
            (&format!("ada:{good}\nada:{good}"), "line 2: \"ada\" is in line 1 already".to_owned()),
        ] {
            assert_eq!(of(text).unwrap_err(), why);
        }
        let doubt = of(&format!("ada:{}", bcrypt_of(5))).unwrap().doubt.unwrap();
        assert!(doubt.starts_with("line 1: the password of \"ada\" has a cost below 10"), "{doubt}");
    }
}
