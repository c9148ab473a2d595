//! System calls that are missing, as on an old kernel or in a sandbox that doesn't know them.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use rustix::io::Errno;

/// The variable that takes calls away from every command of every test: `WITHOUT=ENOSYS:openat2,clone3`.
const VARIABLE: &str = "WITHOUT";

/// The calls that can be taken away, each with the numbers under which the kernel knows it and what belongs to it.
const CALLS: [(&str, &[libc::c_long]); 9] = [
    ("clone3", &[libc::SYS_clone3]),
    ("close_range", &[libc::SYS_close_range]),
    ("faccessat2", &[libc::SYS_faccessat2]),
    ("fsopen", &[libc::SYS_fsopen]),
    ("mount_setattr", &[libc::SYS_mount_setattr]),
    ("move_mount", &[libc::SYS_move_mount]),
    ("open_tree", &[libc::SYS_open_tree, OPEN_TREE_ATTR]),
    ("openat2", &[libc::SYS_openat2]),
    ("pidfd_open", &[libc::SYS_pidfd_open]),
];

/// 6.15 brought another one, which whoever doesn't know `open_tree` doesn't know either.
const OPEN_TREE_ATTR: libc::c_long = 467;

/// Nothing else tells that a process is the one that was meant.
const WITHOUT_OLDER_WAY: &str = "pidfd_open";

/// How a missing call is told: by kernels, and by sandboxes that know nothing better.
pub const ANSWERS: [Errno; 2] = [Errno::NOSYS, Errno::PERM];

/// Calls that are missing, and what a caller of them is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What the caller is told: one of [`ANSWERS`].
    pub errno: Errno,
    /// The names of the calls.
    pub calls: Vec<&'static str>,
}

impl Missing {
    /// These calls.
    ///
    /// # Panics
    /// When one of them can't be taken away.
    pub fn these(errno: Errno, calls: &[&str]) -> Self {
        let known = |name: &&str| entry(name).unwrap_or_else(|| panic!("{name} can't be taken away")).0;
        Self { errno, calls: calls.iter().map(known).collect() }
    }

    /// All that have an older way.
    pub fn all(errno: Errno) -> Self {
        let names = CALLS.iter().map(|(name, _)| *name);
        Self { errno, calls: names.filter(|name| *name != WITHOUT_OLDER_WAY).collect() }
    }

    /// Each of them alone.
    pub fn each(errno: Errno) -> impl Iterator<Item = Self> {
        Self::all(errno).calls.into_iter().map(move |name| Self { errno, calls: vec![name] })
    }

    /// What the environment takes away from all tests.
    ///
    /// # Panics
    /// When the variable says nothing that can be understood.
    pub fn everywhere() -> Option<&'static Self> {
        static MISSING: OnceLock<Option<Missing>> = OnceLock::new();
        let read = || std::env::var(VARIABLE).ok().map(|text| text.parse().expect("ERRNO:CALL[,CALL…]"));
        MISSING.get_or_init(read).as_ref()
    }

    /// The assignment that takes these calls away from all tests.
    pub fn assignment(&self) -> String {
        format!("{VARIABLE}={self}")
    }

    /// The numbers of the calls.
    pub fn numbers(&self) -> Vec<libc::c_long> {
        self.calls.iter().filter_map(|name| entry(name)).flat_map(|(_, numbers)| numbers).copied().collect()
    }
}

fn entry(name: &str) -> Option<(&'static str, &'static [libc::c_long])> {
    CALLS.into_iter().find(|(call, _)| *call == name)
}

/// What an errno is called here.
pub fn told(errno: Errno) -> &'static str {
    if errno == Errno::NOSYS { "ENOSYS" } else { "EPERM" }
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", told(self.errno), self.calls.join(","))
    }
}

impl FromStr for Missing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (errno, names) = text.split_once(':').ok_or("there is no colon")?;
        let errno = ANSWERS.into_iter().find(|one| told(*one) == errno).ok_or("no such errno")?;
        let known =
            |name| entry(name).map(|found| found.0).ok_or_else(|| format!("{name} can't be taken away"));
        Ok(Self { errno, calls: names.split(',').map(known).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::Missing;

    #[test]
    fn it_is_written_as_it_is_read() {
        let missing = Missing::these(Errno::PERM, &["open_tree", "clone3"]);
        assert_eq!(missing.to_string(), "EPERM:open_tree,clone3");
        assert_eq!(missing.to_string().parse(), Ok(missing.clone()));
        assert_eq!(missing.numbers(), [428, 467, 435]);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["openat2", "EIO:openat2", "EPERM:", "ENOSYS:openat2,read"] {
            assert!(text.parse::<Missing>().is_err(), "{text}");
        }
    }
}
