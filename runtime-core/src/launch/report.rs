//! Failures as sentences. Init reports numbers; the plan knows what they mean.

use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use super::Born;
use super::dialogue::Heard;
use crate::error::{Error, StepError};
use crate::plan::{Deed, Entry, Owned, Plan};
use crate::step::{Call, Labelled, Step};
use crate::wire::Failure;

/// The error of a host action, with its place in the plan.
pub(super) fn at_step(number: u32, entry: &Entry, error: Error) -> Error {
    match error {
        // A broken dialogue is init's failure, which is told elsewhere.
        Error::System { errno: Errno::PIPE | Errno::CONNRESET, .. } => error,
        Error::System { doing, errno } => Error::Step(Box::new(StepError {
            number,
            what: entry.deed.to_string(),
            origin: entry.origin.clone(),
            call: doing,
            errno,
        })),
        other => other,
    }
}

/// Why no process was born: what the kernel's words alone don't tell.
pub(super) fn not_born(errno: Errno) -> Error {
    let why = match errno {
        Errno::ACCESS => {
            " (a cgroup is entered by who may write to cgroup.procs of it, and of the one above it and the present one)"
        }
        Errno::AGAIN => {
            " (a limit on processes is reached: pids.max of the cgroup or of one above it, RLIMIT_NPROC of the user, \
             or kernel.pid_max)"
        }
        Errno::NOSPC => " (no more namespaces are allowed: see the limits in /proc/sys/user)",
        _ => "",
    };
    Error::System { doing: format!("clone3{why}"), errno }
}

/// Why a process can't be scheduled as asked for: what the kernel's words alone don't tell.
pub(super) fn not_scheduled(errno: Errno) -> Error {
    let why = match errno {
        Errno::PERM => {
            " (real-time policies and a nice value below the present one need CAP_SYS_NICE; SCHED_DEADLINE a process that \
             may run on all processors; and with version 1 a cgroup whose cpu.rt_runtime_us isn't 0)"
        }
        Errno::BUSY => " (SCHED_DEADLINE: so much time is not left on these processors)",
        _ => "",
    };
    Error::System { doing: format!("sched_setattr{why}"), errno }
}

/// What it means that init said this where something else was expected.
pub(crate) fn unexpected(plan: &Plan, heard: Heard) -> Error {
    match heard {
        Heard::Failed(failure) => failed(plan, failure),
        Heard::End => {
            Error::Died("the container's first process died while the container was being made".into())
        }
        Heard::AtBarrier(step) | Heard::Born { step, .. } => {
            Error::Died(format!("the init program stands at step {step}, where it should not"))
        }
    }
}

/// Why a process can't be entered: it may have failed before, and have said so.
pub(super) fn before(plan: &Plan, born: &Born, error: Error) -> Error {
    // A process that lives and says nothing would be listened to for ever.
    let _ = pidfd_send_signal(&born.process.pidfd, Signal::KILL);
    match born.dialogue.hear() {
        Ok(heard @ Heard::Failed(_)) => unexpected(plan, heard),
        _ => error,
    }
}

fn failed(plan: &Plan, failure: Failure) -> Error {
    let errno = Errno::from_raw_os_error(failure.errno);
    let call = Call::from_code(failure.call).map_or("an unknown call", Call::word);
    let Some(entry) = plan.entry(failure.step) else {
        let doing = format!("cannot start the init program: {call}");
        return Error::System { doing, errno };
    };
    if let Deed::Init(Step::FindProgram { candidates } | Step::Execute { candidates, .. }) = &entry.deed {
        return no_program(plan, candidates, errno);
    }
    let (what, origin) = match &entry.deed {
        Deed::Init(step) => match item_of(step, failure.item) {
            Some(what) => (what, entry.origin.child(failure.item)),
            None => (entry.deed.to_string(), entry.origin.clone()),
        },
        Deed::Host(_) => (entry.deed.to_string(), entry.origin.clone()),
    };
    let told = label_refused(&entry.deed, call, errno).or_else(|| no_room(&entry.deed, call, errno));
    let call = told.unwrap_or_else(|| call.into());
    Error::Step(Box::new(StepError { number: failure.step, what, origin, call, errno }))
}

/// What a security module says of a label. Users look for the first words, an engine for the file between backquotes.
fn label_refused(deed: &Deed, call: &str, errno: Errno) -> Option<String> {
    const PROFILE: &str = "apparmor failed to apply profile: ";
    const LABEL: &str = "selinux failed to set label: ";
    let Deed::Init(Step::SetLabel { of, .. }) = deed else { return None };
    let (words, unknown, file) = match of {
        Labelled::Profile => (PROFILE, "it has to be loaded before (aa-status): ", "apparmor/exec"),
        Labelled::Process => (LABEL, "the policy has to know it (seinfo): ", "exec"),
        Labelled::Keys => (LABEL, "the policy has to know it (seinfo): ", "keycreate"),
    };
    let unknown = if matches!(errno, Errno::NOENT | Errno::INVAL) { unknown } else { "" };
    Some(format!("{words}{unknown}{call} `/proc/thread-self/attr/{file}`"))
}

/// Why a further process can't be born where the container's are.
fn no_room(deed: &Deed, call: &str, errno: Errno) -> Option<String> {
    let full = matches!(deed, Deed::Init(Step::Emerge { .. })) && errno == Errno::AGAIN;
    full.then(|| {
        format!("{call} (the container's limit on processes is reached, /linux/resources/pids/limit)")
    })
}

/// The one path of a step about many.
fn item_of(step: &Step<Owned>, item: u32) -> Option<String> {
    let (verb, paths) = match step {
        Step::MaskPaths { paths, .. } => ("mask", paths),
        Step::ProtectPaths { paths } => ("make read-only", paths),
        _ => return None,
    };
    Some(format!("{verb} {}", paths.get(item as usize)?.to_string_lossy()))
}

/// Engines choose exit codes by these words.
fn no_program(plan: &Plan, candidates: &[std::ffi::CString], errno: Errno) -> Error {
    let name = plan
        .entries
        .iter()
        .find_map(|entry| match &entry.deed {
            Deed::Init(Step::Execute { arguments, .. }) => arguments.first(),
            _ => None,
        })
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let searched =
        candidates.len() != 1 || candidates.first().is_some_and(|path| path.to_string_lossy() != name);
    Error::Program { name, searched, errno }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_label_is_told_in_the_words_that_are_looked_for() {
        let told = |of, errno| {
            let deed = Deed::Init(Step::SetLabel { of, label: c"exec x".into() });
            let plan = Plan { entries: vec![Entry { origin: "/x".into(), deed }], filters: Vec::new() };
            let call = Call::Write as u8;
            failed(&plan, Failure { step: 1, errno, call, item: 0 }).to_string()
        };
        assert_eq!(
            told(Labelled::Profile, libc::ENOENT),
            "cannot set the AppArmor profile to x (step 1, /x of config.json): apparmor failed to apply profile: it \
             has to be loaded before (aa-status): write `/proc/thread-self/attr/apparmor/exec`: no such file or \
             directory"
        );
        let denied = told(Labelled::Process, libc::EACCES);
        assert!(
            denied.ends_with("failed to set label: write `/proc/thread-self/attr/exec`: permission denied")
        );
    }
}
