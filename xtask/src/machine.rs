//! What this machine has and lacks: programs, the system's package manager, the right to install.
//!
//! Packages are installed only as root or with passwordless sudo (Homebrew needs neither). Otherwise the exact command
//! is printed. Nothing ever asks a question, so that it works without a terminal.

use std::process::Command;

use crate::failure::Failure;
use crate::process::{command, find, run, succeeds};

/// A system's package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    Apt,
    Dnf,
    Apk,
    Pacman,
    Brew,
}

/// All that we know, in the order in which they are looked for. Homebrew is last: on Linux it comes beside another.
const MANAGERS: [(Manager, &str); 5] = [
    (Manager::Apt, "apt-get"),
    (Manager::Dnf, "dnf"),
    (Manager::Apk, "apk"),
    (Manager::Pacman, "pacman"),
    (Manager::Brew, "brew"),
];

impl Manager {
    /// The words that install packages without a question.
    fn install_words(self) -> &'static [&'static str] {
        match self {
            Self::Apt => &["apt-get", "install", "-y", "--no-install-recommends"],
            Self::Dnf => &["dnf", "install", "-y"],
            Self::Apk => &["apk", "add", "--no-cache"],
            Self::Pacman => &["pacman", "-Sy", "--noconfirm", "--needed"],
            Self::Brew => &["brew", "install"],
        }
    }
}

/// A program that something needs, and the packages that bring it.
#[derive(Debug)]
pub(crate) struct Need {
    /// What it is for, as the end of "needed for ...".
    pub(crate) purpose: &'static str,
    /// Any one of these is enough.
    pub(crate) programs: &'static [&'static str],
    pub(crate) apt: &'static [&'static str],
    pub(crate) dnf: &'static [&'static str],
    pub(crate) apk: &'static [&'static str],
    pub(crate) pacman: &'static [&'static str],
    pub(crate) brew: &'static [&'static str],
}

impl Need {
    /// Whether a program is already there.
    pub(crate) fn is_met(&self) -> bool {
        self.programs.iter().any(|program| find(program).is_some())
    }

    fn packages(&self, manager: Manager) -> &'static [&'static str] {
        match manager {
            Manager::Apt => self.apt,
            Manager::Dnf => self.dnf,
            Manager::Apk => self.apk,
            Manager::Pacman => self.pacman,
            Manager::Brew => self.brew,
        }
    }
}

/// How this process may install packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    Direct,
    Sudo,
    None,
}

fn manager() -> Option<Manager> {
    MANAGERS.iter().find(|(_, program)| find(program).is_some()).map(|(manager, _)| *manager)
}

fn right(manager: Manager) -> Right {
    if manager == Manager::Brew {
        return Right::Direct;
    }
    let is_root = command("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if is_root {
        Right::Direct
    } else if succeeds(command("sudo").args(["-n", "true"])) {
        Right::Sudo
    } else {
        Right::None
    }
}

/// The command line that a person types to install these needs.
fn advice(manager: Option<Manager>, missing: &[&Need]) -> String {
    let Some(manager) = manager else {
        let programs: Vec<_> = missing.iter().map(|need| need.programs.join(" or ")).collect();
        return format!("no known package manager here; install: {}", programs.join(", "));
    };
    let sudo = if manager == Manager::Brew { "" } else { "sudo " };
    let packages: Vec<_> = missing.iter().flat_map(|need| need.packages(manager)).copied().collect();
    format!("run: {sudo}{} {}", manager.install_words().join(" "), packages.join(" "))
}

fn privileged(right: Right, words: &[&str]) -> Command {
    // Under `RUNLEVEL=1` Debian's packages install a server without starting it: nobody asked for a service.
    let quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"];
    let prefix: &[&str] = if right == Right::Sudo { &["sudo", "-n"] } else { &[] };
    let all: Vec<&str> = prefix.iter().chain(&quiet).chain(words).copied().collect();
    let mut command = command(all[0]);
    command.args(&all[1..]);
    command
}

/// Finds what is needed, installs what is missing where that is allowed, and says exactly what to install where not.
///
/// Fails with code 3 if something is missing in the end.
pub(crate) fn ensure(needs: &[Need]) -> Result<(), Failure> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} (needed for {})", need.programs.join(" or "), need.purpose);
    }
    let manager = manager();
    let advice = advice(manager, &missing);
    let Some(manager) = manager else { return Err(Failure::cannot_run(advice)) };
    let right = right(manager);
    if right == Right::None {
        return Err(Failure::cannot_run(format!("no right to install packages; {advice}")));
    }
    if manager == Manager::Apt {
        // A fresh image has no lists. A failing mirror is not yet a failure: the install decides.
        let _ = run(&mut privileged(right, &["apt-get", "update", "-qq"]));
    }
    let packages = missing.iter().flat_map(|need| need.packages(manager));
    let words: Vec<&str> = manager.install_words().iter().chain(packages).copied().collect();
    let installed = run(&mut privileged(right, &words));
    let still: Vec<_> = missing.iter().filter(|need| !need.is_met()).map(|need| need.programs.join(" or ")).collect();
    match (installed, still.is_empty()) {
        (_, true) => Ok(()),
        (Err(failure), false) => {
            Err(Failure::cannot_run(format!("{}; still missing: {}; {advice}", failure.message, still.join(", "))))
        }
        (Ok(()), false) => Err(Failure::cannot_run(format!("still missing: {}; {advice}", still.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEED: Need = Need {
        purpose: "a test",
        programs: &["no-such-program-here", "nor-this-one"],
        apt: &["thing", "thing-dev"],
        dnf: &["thing-devel"],
        apk: &["thing"],
        pacman: &["thing"],
        brew: &["thing"],
    };

    #[test]
    fn advice_is_a_command_line_for_each_package_manager() {
        let cases = [
            (Some(Manager::Apt), "run: sudo apt-get install -y --no-install-recommends thing thing-dev"),
            (Some(Manager::Dnf), "run: sudo dnf install -y thing-devel"),
            (Some(Manager::Apk), "run: sudo apk add --no-cache thing"),
            (Some(Manager::Pacman), "run: sudo pacman -Sy --noconfirm --needed thing"),
            (Some(Manager::Brew), "run: brew install thing"),
            (None, "no known package manager here; install: no-such-program-here or nor-this-one"),
        ];
        for (manager, expected) in cases {
            assert_eq!(advice(manager, &[&NEED]), expected);
        }
    }

    #[test]
    fn sudo_never_asks_for_a_password() {
        let command = privileged(Right::Sudo, &["apk", "add", "x"]);
        assert_eq!(command.get_program(), "sudo");
        assert_eq!(command.get_args().next().unwrap(), "-n");
        assert_eq!(privileged(Right::Direct, &["apk", "add", "x"]).get_program(), "env");
    }

    #[test]
    fn a_need_is_met_by_any_of_its_programs() {
        assert!(!NEED.is_met());
        assert!(Need { programs: &["no-such-program-here", "sh"], ..NEED }.is_met());
        assert!(ensure(&[Need { programs: &["sh"], ..NEED }]).is_ok(), "nothing is missing, nothing is installed");
    }
}
