//! What a system call's name means in an architecture's table, according to libseccomp.

use libseccomp::{ScmpArch, ScmpSyscall};

use super::architecture::Architecture;
use crate::error::{ConfigError, Result};

/// A way to make a system call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Way {
    pub(super) number: u32,
    /// What the first argument selects where several calls share a number; the call's own arguments are then in
    /// memory, where a filter can't look.
    pub(super) selector: Option<u64>,
}

/// An architecture's table.
pub(super) struct Table {
    arch: ScmpArch,
    /// The numbers of calls that can be made both directly and through a multiplexer; looked up when first needed.
    direct: Option<Vec<(String, u32)>>,
}

/// Calls that share a number: libseccomp's numbers for them below this one, the name of what they share.
const MULTIPLEXERS: [(i32, &str); 2] = [(-100, "socketcall"), (-200, "ipc")];
/// The most calls that one multiplexer has.
const SELECTORS: i32 = 99;
/// Tables with multiplexers are shorter than this, counted from where they begin.
const TABLE_LENGTH: i32 = 512;

impl Table {
    /// The table of an architecture.
    ///
    /// # Errors
    /// libseccomp doesn't know it.
    pub(super) fn of(architecture: Architecture) -> Result<Self> {
        let name = architecture.constant();
        let arch = name.parse().ok().filter(|arch| ScmpSyscall::from_name_by_arch("read", *arch).is_ok());
        let arch = arch.ok_or_else(|| {
            let (major, minor, micro) = version();
            let problem = format!("libseccomp {major}.{minor}.{micro} doesn't know {name}; remove it");
            ConfigError::new("/linux/seccomp/architectures", problem)
        })?;
        Ok(Table { arch, direct: None })
    }

    /// All ways to make the call; none if libseccomp doesn't know it, or the table doesn't have it.
    pub(super) fn ways(&mut self, name: &str) -> Vec<Way> {
        let number = self.number(name);
        match u32::try_from(number) {
            Ok(number) => vec![Way { number, selector: None }],
            Err(_) => self.shared_ways(name, number),
        }
    }

    /// libseccomp's number: a negative one for what the table has not, or not for itself.
    fn number(&self, name: &str) -> i32 {
        ScmpSyscall::from_name_by_arch(name, self.arch).map_or(-1, i32::from)
    }

    fn shared_ways(&mut self, name: &str, pseudo: i32) -> Vec<Way> {
        let shared = MULTIPLEXERS.iter().find_map(|(base, multiplexer)| {
            let selector = u64::try_from(base - pseudo).ok().filter(|_| base - pseudo <= SELECTORS)?;
            let number = u32::try_from(self.number(multiplexer)).ok()?;
            Some(Way { number, selector: Some(selector) })
        });
        let Some(shared) = shared else {
            return Vec::new();
        };
        let direct = self.direct().iter().filter(|(direct, _)| direct == name);
        direct.map(|(_, number)| Way { number: *number, selector: None }).chain([shared]).collect()
    }

    // libseccomp tells the name of a direct number, but not the number of such a name.
    fn direct(&mut self) -> &[(String, u32)] {
        let begin = self.number("exit") - 1;
        let arch = self.arch;
        self.direct.get_or_insert_with(|| {
            let names = (begin..begin + TABLE_LENGTH).filter_map(|number| {
                let name = ScmpSyscall::from(number).get_name_by_arch(arch).ok()?;
                let is_shared =
                    ScmpSyscall::from_name_by_arch(&name, arch).is_ok_and(|call| i32::from(call) < 0);
                is_shared.then_some((name, u32::try_from(number).ok()?))
            });
            names.collect()
        })
    }
}

/// The version of libseccomp, or zeros if it won't say.
pub(super) fn version() -> (u32, u32, u32) {
    libseccomp::ScmpVersion::current()
        .map_or((0, 0, 0), |version| (version.major, version.minor, version.micro))
}
