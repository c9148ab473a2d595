//! What a bundle needs, held against the machine: what its plan would find missing.

use std::path::Path;

use runtime_core::plan::{self, Action, Deed, LoanSource, Plan};
use runtime_core::step::{Labelled, Step};
use runtime_core::{Bundle, ContainerId};
use rustix::fs::Access;
use rustix::process::{Resource, getrlimit};

use super::host::{Facts, SYS_RESOURCE};
use super::{Finding, read};

/// Looks at a bundle without making anything of it.
pub(crate) fn examine(path: &Path, id: &ContainerId, facts: &Facts) -> Vec<Finding> {
    let bundle = match Bundle::open(path) {
        Ok(bundle) => bundle,
        Err(error) => return vec![Finding::bad("bundle", error.to_string(), "correct it")],
    };
    let mut findings: Vec<_> = bundle
        .spec()
        .warnings()
        .iter()
        .map(|warning| Finding::fair("config.json", warning.to_string(), "it is left out"))
        .collect();
    if let Err(error) = bundle.check_rootfs() {
        findings.push(Finding::bad("root file system", error.to_string(), "put one there"));
    }
    match plan::create(bundle.spec(), &facts.host, &plan::Request::new(id, bundle.rootfs())) {
        Err(error) => findings.push(Finding::bad("config.json", error.to_string(), "correct it")),
        Ok(plan) => findings.extend(needs(&plan, facts)),
    }
    if findings.is_empty() {
        findings.push(Finding::good("bundle", "nothing that it needs is missing"));
    }
    findings
}

fn needs(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let entries = plan.entries.iter();
    entries
        .flat_map(|entry| {
            let missing = match &entry.deed {
                Deed::Host(action) => of_action(action, facts),
                Deed::Init(step) => of_step(step, facts).into_iter().collect(),
            };
            let origin = entry.origin.to_string();
            missing.into_iter().map(move |finding| Finding { subject: origin.clone(), ..finding })
        })
        .collect()
}

fn of_action(action: &Action, facts: &Facts) -> Vec<Finding> {
    match action {
        Action::LendMount(loan) => match &loan.source {
            LoanSource::Path(path) | LoanSource::Device { path, .. } => there(path).into_iter().collect(),
            // It is made together with the container.
            LoanSource::Cgroup(_) | LoanSource::Sysfs => Vec::new(),
        },
        Action::LendNamespace(namespace) => there(&namespace.path).into_iter().collect(),
        Action::Clone { join, .. } => join.iter().filter_map(|namespace| there(&namespace.path)).collect(),
        Action::RunHooks(hooks) => hooks.hooks.iter().filter_map(|hook| executable(&hook.path)).collect(),
        Action::TellAgent(agent) if agent.socket.is_absolute() => there(&agent.socket).into_iter().collect(),
        Action::WritePidFile(path) => path.parent().and_then(there).into_iter().collect(),
        Action::SetRlimit { resource, hard, .. } => rlimit(*resource, *hard, facts).into_iter().collect(),
        Action::SetOomScoreAdj(score) => oom_score(*score, facts).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn of_step(step: &Step<plan::Owned>, facts: &Facts) -> Option<Finding> {
    match step {
        Step::Mount { fstype, .. } => {
            let name = fstype.to_string_lossy();
            (!facts.file_systems.iter().any(|known| *known == name)).then(|| {
                let found = format!("the file system {name:?} is not there, or not loaded");
                Finding::fair("", found, format!("modprobe {name}, if there is such a module"))
            })
        }
        Step::SetLimit { resource, hard, .. } => rlimit(*resource, *hard, facts),
        Step::SetLabel { of: Labelled::Profile, label } => {
            let loaded = read("/sys/kernel/security/apparmor/profiles")?;
            profile(label.to_string_lossy().trim_start_matches("exec "), &loaded)
        }
        _ => None,
    }
}

/// The list has one line for each, `NAME (MODE)`. A name with `:` or `&` is about other lists, or several profiles.
fn profile(name: &str, loaded: &str) -> Option<Finding> {
    let is_it = |line: &str| line.rsplit_once(" (").is_some_and(|(each, _)| each == name);
    let is_plain = name != "unconfined" && !name.contains([':', '&']);
    (is_plain && !loaded.lines().any(is_it)).then(|| {
        let found = format!("the AppArmor profile {name:?} is not loaded");
        Finding::bad("", found, "load it: apparmor_parser --replace FILE")
    })
}

fn there(path: &Path) -> Option<Finding> {
    let missing = std::fs::symlink_metadata(path).and_then(|_| std::fs::metadata(path)).err()?;
    let words = runtime_core::error::words(rustix::io::Errno::from_io_error(&missing)?);
    Some(Finding::bad("", format!("{}: {words}", path.display()), "make it before the container is made"))
}

fn executable(path: &Path) -> Option<Finding> {
    let errno = rustix::fs::access(path, Access::EXEC_OK).err()?;
    let found = format!("the hook {}: {}", path.display(), runtime_core::error::words(errno));
    Some(Finding::bad("", found, "install it, or take it out"))
}

fn rlimit(resource: u32, hard: u64, facts: &Facts) -> Option<Finding> {
    let ours = getrlimit(by_number(resource)?).maximum.unwrap_or(u64::MAX);
    (hard > ours && !facts.has(SYS_RESOURCE)).then(|| {
        let found = format!("a hard limit of {hard} is above {ours}, that of this process");
        Finding::bad("", found, "raise it with CAP_SYS_RESOURCE, or ask for less")
    })
}

fn by_number(resource: u32) -> Option<Resource> {
    let known = [
        Resource::Cpu,
        Resource::Fsize,
        Resource::Data,
        Resource::Stack,
        Resource::Core,
        Resource::Rss,
        Resource::Nproc,
        Resource::Nofile,
        Resource::Memlock,
        Resource::As,
        Resource::Locks,
        Resource::Sigpending,
        Resource::Msgqueue,
        Resource::Nice,
        Resource::Rtprio,
        Resource::Rttime,
    ];
    known.into_iter().find(|each| *each as u32 == resource)
}

fn oom_score(score: i32, facts: &Facts) -> Option<Finding> {
    let ours: i32 = read("/proc/self/oom_score_adj")?.parse().ok()?;
    (score < ours && !facts.has(SYS_RESOURCE)).then(|| {
        let found = format!("an oom score adjustment of {score} is below {ours}, that of this process");
        Finding::bad("", found, "lower it with CAP_SYS_RESOURCE, or ask for more")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_loaded_or_is_not() {
        let loaded = "docker-default (enforce)\n/usr/bin/man (complain)\nwith (odd) name (kill)\n";
        for (name, missing) in [
            ("docker-default", false),
            ("with (odd) name", false),
            ("unconfined", false),
            (":other:profile", false),
            ("docker", true),
            ("with", true),
        ] {
            assert_eq!(profile(name, loaded).is_some(), missing, "{name}");
        }
    }
}
