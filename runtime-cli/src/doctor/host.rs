//! The machine and the caller.

use std::path::Path;

use runtime_core::Host;
use runtime_core::host::Modules;
use rustix::process::geteuid;

use super::{Finding, list, read};

/// The oldest kernel on which containers are made.
const FLOOR: (u32, u32) = (5, 12);
/// From here on the kernel keeps the exit status of a process for those who waited without being its parent.
const KEEPS_EXITS: (u32, u32) = (6, 15);

/// Capabilities that making any container takes, and what each is for.
const NEEDED: [(u32, &str); 8] = [
    (0, "CHOWN"),
    (6, "SETGID"),
    (7, "SETUID"),
    (8, "SETPCAP"),
    (12, "NET_ADMIN"),
    (18, "SYS_CHROOT"),
    (21, "SYS_ADMIN"),
    (27, "MKNOD"),
];
pub(super) const SYS_RESOURCE: u32 = 24;

const NAMESPACES: [&str; 8] = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time"];
const FILE_SYSTEMS: [&str; 6] = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup2"];

/// What is known of the machine.
pub(crate) struct Facts {
    /// As plans see it.
    pub(crate) host: Host,
    /// The file systems that the kernel knows, of those that are loaded.
    pub(crate) file_systems: Vec<String>,
}

impl Facts {
    /// Looks at the machine.
    ///
    /// # Errors
    /// `/proc` says nothing.
    pub(crate) fn gather() -> Result<Self, runtime_core::Error> {
        let known = read("/proc/filesystems").unwrap_or_default();
        let file_systems =
            known.lines().filter_map(|line| line.split_whitespace().last()).map(String::from).collect();
        Ok(Facts { host: Host { modules: Modules::probe(), ..Host::probe()? }, file_systems })
    }

    pub(super) fn has(&self, capability: u32) -> bool {
        self.host.permitted & (1 << capability) != 0
    }
}

/// Everything about the machine, in the order in which a container would meet it.
pub(crate) fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings =
        vec![kernel(facts.host.kernel), privileges(facts), resources(facts), memfd(), namespaces()];
    findings.push(user_namespaces(read("/proc/sys/user/max_user_namespaces").as_deref()));
    findings.extend(cgroups(&facts.host));
    findings.push(seccomp(read("/proc/sys/kernel/seccomp/actions_avail").as_deref()));
    findings.push(file_systems(&facts.file_systems));
    findings.push(overlay(&facts.file_systems));
    findings.push(proc(&read("/proc/self/mountinfo").unwrap_or_default()));
    findings.push(keyrings());
    findings.push(security_modules(facts.host.modules));
    findings
}

fn kernel((major, minor): (u32, u32)) -> Finding {
    let found = format!("Linux {major}.{minor}");
    match (major, minor) {
        version if version < FLOOR => {
            Finding::bad("kernel", found, format!("Linux {}.{} or newer is needed", FLOOR.0, FLOOR.1))
        }
        version if version < KEEPS_EXITS => {
            let advice =
                "before Linux 6.15 `wait` may come too late for the exit status when a parent reaps at once";
            Finding::fair("kernel", found, advice)
        }
        _ => Finding::good("kernel", found),
    }
}

fn privileges(facts: &Facts) -> Finding {
    let missing: Vec<_> =
        NEEDED.iter().filter(|(number, _)| !facts.has(*number)).map(|(_, name)| name).collect();
    match (geteuid().as_raw(), missing.is_empty()) {
        (0, true) => Finding::good("privileges", "root, with the capabilities that are needed"),
        (0, false) => {
            Finding::bad("privileges", format!("root, without {}", list(missing)), "grant these capabilities")
        }
        (uid, _) => {
            let advice = "containers of ordinary users need a user namespace (`spec --rootless` writes one), newuidmap \
                          and newgidmap if they are to have more ids than one, and for limits a cgroup that an \
                          administrator has handed over";
            Finding::fair("privileges", format!("user {uid}"), advice)
        }
    }
}

fn resources(facts: &Facts) -> Finding {
    const SUBJECT: &str = "CAP_SYS_RESOURCE";
    if facts.has(SYS_RESOURCE) {
        return Finding::good(SUBJECT, "granted");
    }
    let advice =
        "process.rlimits can't exceed the hard limits of this process, and oomScoreAdj can't be lowered";
    Finding::fair(SUBJECT, "missing", advice)
}

fn memfd() -> Finding {
    const SUBJECT: &str = "files in memory";
    match read("/proc/sys/vm/memfd_noexec").as_deref() {
        Some("2") => {
            let advice = "the init program is executed from one: sysctl vm.memfd_noexec=1";
            Finding::bad(SUBJECT, "may not be executed", advice)
        }
        _ => Finding::good(SUBJECT, "may be executed"),
    }
}

fn namespaces() -> Finding {
    let there = |name: &&&str| Path::new("/proc/self/ns").join(name).exists();
    let missing: Vec<_> = NAMESPACES.iter().filter(|name| !there(name)).collect();
    match missing.as_slice() {
        [] => Finding::good("namespaces", list(NAMESPACES)),
        missing => Finding::fair(
            "namespaces",
            format!("the kernel lacks {}", list(missing)),
            "containers that ask for these are refused",
        ),
    }
}

fn user_namespaces(most: Option<&str>) -> Finding {
    const SUBJECT: &str = "user namespaces";
    match most {
        None => Finding::fair(SUBJECT, "none", "the kernel was built without them"),
        Some("0") => Finding::fair(SUBJECT, "none may be made", "sysctl user.max_user_namespaces=10000"),
        Some(most) => Finding::good(SUBJECT, format!("up to {most}")),
    }
}

fn cgroups(host: &Host) -> Vec<Finding> {
    const SUBJECT: &str = "cgroups";
    let (v1, v2) = (&host.cgroups.v1, &host.cgroups.v2);
    let mut findings = Vec::new();
    if !v1.is_empty() {
        let names = list(v1.iter().flat_map(|each| &each.controllers));
        findings.push(Finding::good(SUBJECT, format!("version 1, with {names}")));
    }
    if let Some(v2) = v2 {
        let found = format!("version 2 on {}, with {}", v2.mount.display(), list(&v2.controllers));
        let has = |name: &&&str| v2.controllers.iter().any(|each| each == *name);
        let elsewhere = |name: &&&str| host.cgroups.v1_with(name).is_some();
        let missing: Vec<_> =
            ["cpu", "memory", "pids"].iter().filter(|name| !has(name) && !elsewhere(name)).collect();
        findings.push(match missing.as_slice() {
            [] => Finding::good(SUBJECT, found),
            missing => Finding::fair(
                SUBJECT,
                found,
                format!(
                    "limits of {} are refused: have the controllers delegated to this cgroup",
                    list(missing)
                ),
            ),
        });
    }
    if findings.is_empty() {
        let advice = "mount one: mount -t cgroup2 none /sys/fs/cgroup";
        findings.push(Finding::bad(SUBJECT, "no hierarchy is mounted", advice));
    }
    findings
}

fn seccomp(actions: Option<&str>) -> Finding {
    match actions {
        Some(actions) => Finding::good("seccomp", actions),
        None => Finding::fair("seccomp", "none", "containers with a filter are refused by this kernel"),
    }
}

fn file_systems(known: &[String]) -> Finding {
    let missing: Vec<_> =
        FILE_SYSTEMS.iter().filter(|name| !known.iter().any(|each| each == *name)).collect();
    match missing.as_slice() {
        [] => Finding::good("file systems", list(FILE_SYSTEMS)),
        missing => Finding::fair(
            "file systems",
            format!("{} are not there, or not loaded", list(missing)),
            "mounts of these types may be refused",
        ),
    }
}

fn overlay(known: &[String]) -> Finding {
    match known.iter().any(|each| each == "overlay") {
        true => Finding::good("overlay", "known to the kernel"),
        false => Finding::fair(
            "overlay",
            "not there, or not loaded",
            "engines need it for images: modprobe overlay",
        ),
    }
}

// Options that hide processes also hide what is needed to control them.
fn proc(mountinfo: &str) -> Finding {
    let line = mountinfo.lines().find(|line| line.split(' ').nth(4) == Some("/proc"));
    let Some(line) = line else { return Finding::bad("/proc", "not mounted", "mount -t proc proc /proc") };
    let options = line.rsplit(' ').next().unwrap_or_default();
    let hiding = |option: &str| option.starts_with("subset=") || option.starts_with("hidepid=");
    match options.split(',').find(|option| hiding(option) && *option != "hidepid=0") {
        Some(option) if option.starts_with("subset=") => Finding::bad(
            "/proc",
            format!("mounted with {option}"),
            "mount a whole one: mount -o remount,subset= /proc",
        ),
        Some(option) => Finding::fair(
            "/proc",
            format!("mounted with {option}"),
            "users other than root see no containers of others",
        ),
        None => Finding::good("/proc", "mounted, and hides nothing"),
    }
}

fn keyrings() -> Finding {
    match read("/proc/sys/kernel/keys/root_maxkeys") {
        Some(most) => Finding::good("keyrings", format!("root may have {most} keys")),
        None => Finding::fair("keyrings", "none", "containers get no session keyring of their own"),
    }
}

// A machine without any is in good order: engines ask what there is before they name labels.
fn security_modules(Modules { apparmor, selinux }: Modules) -> Finding {
    const SUBJECT: &str = "labels";
    match (apparmor, selinux) {
        (true, _) => Finding::good(SUBJECT, "AppArmor is at work"),
        (_, true) => Finding::good(SUBJECT, "SELinux is at work"),
        _ => Finding::fair(
            SUBJECT,
            "neither AppArmor nor SELinux is at work",
            "configurations with a profile or a label are refused",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn kernels_are_too_old_or_old_or_new() {
        let verdicts = [(5, 10), (5, 12), (6, 14), (6, 15), (7, 0)].map(|version| kernel(version).verdict);
        assert_eq!(verdicts, [Verdict::Bad, Verdict::Fair, Verdict::Fair, Verdict::Good, Verdict::Good]);
    }

    #[test]
    fn what_hides_processes_is_told() {
        let line = |options: &str| format!("22 27 0:21 / /proc rw,relatime - proc proc {options}\n");
        for (options, verdict) in [
            ("rw", Verdict::Good),
            ("rw,hidepid=0", Verdict::Good),
            ("rw,hidepid=invisible", Verdict::Fair),
            ("rw,subset=pid", Verdict::Bad),
        ] {
            assert_eq!(proc(&line(options)).verdict, verdict, "{options}");
        }
        assert_eq!(proc("").verdict, Verdict::Bad);
    }

    #[test]
    fn a_machine_may_have_no_user_namespaces() {
        let verdicts = [None, Some("0"), Some("7")].map(|most| user_namespaces(most).verdict);
        assert_eq!(verdicts, [Verdict::Fair, Verdict::Fair, Verdict::Good]);
    }

    #[test]
    fn a_machine_may_have_a_security_module() {
        let verdict = |apparmor, selinux| security_modules(Modules { apparmor, selinux }).verdict;
        assert_eq!([verdict(true, false), verdict(false, true)], [Verdict::Good, Verdict::Good]);
        assert_eq!(verdict(false, false), Verdict::Fair);
    }

    #[test]
    fn whatever_is_not_good_comes_with_advice() {
        for finding in examine(&Facts::gather().unwrap()) {
            assert_eq!(finding.advice.is_none(), finding.verdict == Verdict::Good, "{finding:?}");
        }
    }
}
