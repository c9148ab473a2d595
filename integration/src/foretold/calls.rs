//! What system calls answer: the filter's answer where the profile has one, the kernel's otherwise, which depends on what
//! the process may do.

use serde_json::{Value, json};

use super::capabilities::{Sets, number};
use super::{Case, Wish, Wishes};

/// Calls that a capability opens, and whether it does over namespaces of the process's own.
const PRIVILEGED: [(&str, &str, bool); 11] = [
    ("acct", "CAP_SYS_PACCT", false),
    ("fanotify_init", "CAP_SYS_ADMIN", false),
    ("fsopen", "CAP_SYS_ADMIN", true),
    ("move_mount", "CAP_SYS_ADMIN", true),
    ("pivot_root", "CAP_SYS_ADMIN", true),
    ("reboot", "CAP_SYS_BOOT", true),
    ("setdomainname", "CAP_SYS_ADMIN", true),
    ("sethostname", "CAP_SYS_ADMIN", true),
    ("swapoff", "CAP_SYS_ADMIN", false),
    ("swapon", "CAP_SYS_ADMIN", false),
    ("syslog", "CAP_SYSLOG", false),
];

/// The kernel's numbers of the errnos that profiles of the tests name.
const ERRNOS: [(u64, &str); 3] = [(1, "EPERM"), (13, "EACCES"), (38, "ENOSYS")];

pub(super) fn foretell(case: &Case<'_>, wishes: &mut Wishes) {
    let outside = case.caller.at("/syscalls");
    let effective = Sets::of(case).effective;
    for (name, privileged) in outside.as_object().into_iter().flatten() {
        let bare = &case.caller.bare["syscalls"][name];
        let opened = PRIVILEGED.iter().find(|(call, ..)| call == name).is_some_and(|(_, by, anywhere)| {
            let holds = number(by).is_some_and(|number| effective & 1 << number != 0);
            holds && (*anywhere || !case.in_user_namespace())
        });
        let wish = match case.asked("/linux/seccomp").map(|profile| verdict(profile, name)) {
            None | Some(Verdict::Allowed) => Wish::Is(if opened { privileged.clone() } else { bare.clone() }),
            Some(Verdict::Refused(errno)) => Wish::Is(json!(errno)),
            Some(Verdict::Depends) => Wish::Something("its rule looks at arguments"),
        };
        wishes.wish(format!("/syscalls/{name}"), wish);
    }
}

/// The answer of a filter that lets nobody make this call.
pub(super) fn refusal(case: &Case<'_>, call: &str) -> Option<String> {
    match verdict(case.asked("/linux/seccomp")?, call) {
        Verdict::Refused(errno) => Some(errno),
        Verdict::Allowed | Verdict::Depends => None,
    }
}

/// What a profile says of a call, whatever its arguments.
enum Verdict {
    Allowed,
    Refused(String),
    Depends,
}

fn verdict(profile: &Value, call: &str) -> Verdict {
    let rules = profile["syscalls"].as_array().into_iter().flatten();
    let named = |rule: &&Value| rule["names"].as_array().is_some_and(|names| names.contains(&json!(call)));
    match rules.filter(named).collect::<Vec<_>>().as_slice() {
        [] => action(&profile["defaultAction"], &profile["defaultErrnoRet"]),
        [rule] if rule["args"].as_array().is_none_or(Vec::is_empty) => {
            action(&rule["action"], &rule["errnoRet"])
        }
        _ => Verdict::Depends,
    }
}

fn action(action: &Value, errno: &Value) -> Verdict {
    if action == "SCMP_ACT_ALLOW" {
        return Verdict::Allowed;
    }
    let errno = errno.as_u64().unwrap_or(1);
    let name = ERRNOS.iter().find(|(number, _)| *number == errno);
    Verdict::Refused(name.map_or_else(|| errno.to_string(), |(_, name)| (*name).into()))
}
