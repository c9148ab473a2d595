//! What the process is, and what it was given.

use serde_json::{Value, json};

use super::{Case, Space, Wish, Wishes, calls};

/// The namespaces by their names in a configuration and in `/proc`; some have a link for children besides.
const NAMESPACES: [(&str, &[&str]); 8] = [
    ("pid", &["pid", "pid_for_children"]),
    ("network", &["net"]),
    ("ipc", &["ipc"]),
    ("uts", &["uts"]),
    ("mount", &["mnt"]),
    ("cgroup", &["cgroup"]),
    ("user", &["user"]),
    ("time", &["time", "time_for_children"]),
];

/// Nothing is in there.
const EMPTY_LIST: [&str; 0] = [];

pub(super) fn foretell(case: &Case<'_>, wishes: &mut Wishes) {
    identity(case, wishes);
    given(case, wishes);
    inherited(case, wishes);
    streams(wishes);
    namespaces(case, wishes);
    cgroup(case, wishes);
    processes(case, wishes);
    wishes.is("/notified", &json!(EMPTY_LIST));
    wishes.is("/pushed", &json!(false));
}

fn identity(case: &Case<'_>, wishes: &mut Wishes) {
    let (uid, gid) = (case.or("/process/user/uid", json!(0)), case.or("/process/user/gid", json!(0)));
    wishes.is(
        "/ids",
        &json!({"uid": uid, "gid": gid, "uids": [uid, uid, uid, uid], "gids": [gid, gid, gid, gid]}),
    );
    let mut groups: Vec<_> = case.list("/process/user/additionalGids").filter_map(Value::as_u64).collect();
    groups.sort_unstable();
    wishes.is("/groups", &json!(groups));
    wishes.is("/umask", &case.or("/process/user/umask", json!(0o22)));
    // Made while the process is root, in its user namespace if it has one.
    let keyring = format!("keyring;0;0;3f1b0000;_ses.{}", case.id);
    wishes.is("/keyring", &json!(calls::refusal(case, "keyctl").unwrap_or(keyring)));
}

fn given(case: &Case<'_>, wishes: &mut Wishes) {
    wishes.is("/args", &case.or("/process/args", json!([])));
    wishes.is("/cwd", &case.or("/process/cwd", json!("/")));
    let mut env: Vec<_> = case.texts("/process/env").map(str::to_owned).collect();
    if !env.iter().any(|variable| variable.starts_with("HOME=")) {
        // As in the passwd file of the bundles' template.
        env.push(format!(
            "HOME={}",
            match case.user() {
                0 => "/root",
                1000 => "/home",
                _ => "/",
            }
        ));
    }
    wishes.is("/env", &json!(env));
    for (field, name) in [("/hostname", "host"), ("/domainname", "domain")] {
        let pointer = format!("/names/{name}");
        let value = case.asked(field).cloned().unwrap_or_else(|| case.caller.at(&pointer));
        wishes.is(&pointer, &value);
    }
    let domain = if case.asked("/linux/personality/domain") == Some(&json!("LINUX32")) { 8 } else { 0 };
    wishes.is("/personality", &json!(domain));
    wishes.is(
        "/oomScoreAdj",
        &match case.asked("/process/oomScoreAdj") {
            Some(score) => json!(score.to_string()),
            None => case.caller.at("/oomScoreAdj"),
        },
    );
    memory_policy(case, wishes);
    time_offsets(case, wishes);
}

fn memory_policy(case: &Case<'_>, wishes: &mut Wishes) {
    if let Some(errno) = calls::refusal(case, "get_mempolicy") {
        return wishes.is("/memoryPolicy", &json!(errno));
    }
    let number = |mode: &str| {
        ["MPOL_DEFAULT", "MPOL_PREFERRED", "MPOL_BIND", "MPOL_INTERLEAVE"].iter().position(|one| *one == mode)
    };
    let mode = case.asked("/linux/memoryPolicy/mode").and_then(Value::as_str).and_then(number).unwrap_or(0);
    let nodes: Vec<u64> = case
        .asked("/linux/memoryPolicy/nodes")
        .and_then(Value::as_str)
        .into_iter()
        .flat_map(|list| list.split(','))
        .filter_map(|one| one.parse().ok())
        .collect();
    wishes.is("/memoryPolicy", &json!({"mode": mode, "nodes": nodes}));
}

fn time_offsets(case: &Case<'_>, wishes: &mut Wishes) {
    if !case.is_new("time") {
        return wishes.is("/timeOffsets", &case.caller.at("/timeOffsets"));
    }
    let line = |clock: &str| {
        let offset = |part: &str| case.or(&format!("/linux/timeOffsets/{clock}/{part}"), json!(0));
        format!("{clock:<10} {:>10} {:>9}", offset("secs").to_string(), offset("nanosecs").to_string())
    };
    wishes.is("/timeOffsets", &json!(format!("{}\n{}", line("monotonic"), line("boottime"))));
}

fn scheduling(case: &Case<'_>, wishes: &mut Wishes) {
    let place = |all: &[&str], pointer: &str| {
        let word = case.asked(pointer)?.as_str()?;
        all.iter().position(|one| *one == word)
    };
    let policies = ["SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE"];
    let classes = ["", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"];
    let mut wanted = case.caller.at("/scheduler");
    if let Some(policy) = place(&policies, "/process/scheduler/policy") {
        wanted["policy"] = json!(policy);
        wanted["nice"] = case.or("/process/scheduler/nice", json!(0));
    }
    if let Some(class) = place(&classes, "/process/ioPriority/class") {
        let level = case.asked("/process/ioPriority/priority").and_then(Value::as_u64).unwrap_or(0);
        wanted["io"] = json!(((class as u64) << 13) | level);
    }
    wishes.is("/scheduler", &wanted);
}

/// What the configuration does not name comes from the caller, and nothing else does.
fn inherited(case: &Case<'_>, wishes: &mut Wishes) {
    scheduling(case, wishes);
    for place in ["/label", "/traits/slack"] {
        wishes.is(place, &case.caller.at(place));
    }
    wishes.is("/rlimits", &case.caller.at("/rlimits"));
    for limit in case.list("/process/rlimits") {
        let name = limit["type"].as_str().unwrap_or_default();
        wishes.is(&format!("/rlimits/{name}"), &json!({"soft": limit["soft"], "hard": limit["hard"]}));
    }
    let cpus = case
        .asked("/linux/resources/cpu/cpus")
        .and_then(Value::as_str)
        .and_then(|one| one.parse::<u32>().ok());
    wishes.is("/affinity", &cpus.map_or_else(|| json!(every_cpu()), |cpu| json!([cpu])));
    wishes.is("/signals", &json!({"ignored": 0, "blocked": 0}));
    wishes.is("/tty", &json!({"stdio": [false, false, false], "controlling": false}));
}

/// The processors of this machine; a caller that may use some of them does not hand that on.
fn every_cpu() -> Vec<u32> {
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<u32>().ok()?..=last.parse().ok()?)
    };
    online.trim().split(',').filter_map(range).flatten().collect()
}

fn streams(wishes: &mut Wishes) {
    wishes.is("/descriptors/0", &json!("/dev/null"));
    wishes.wish("/descriptors/1", Wish::Ends(".out".into()));
    wishes.wish("/descriptors/2", Wish::Ends(".err".into()));
}

fn namespaces(case: &Case<'_>, wishes: &mut Wishes) {
    for (kind, links) in NAMESPACES {
        for link in links {
            let place = format!("/namespaces/{link}");
            let outside = case.caller.at(&place);
            wishes.wish(
                place,
                match case.namespace(kind) {
                    Space::Shared => Wish::Is(outside),
                    Space::New => Wish::IsNot(outside),
                    Space::Joined(joined) => Wish::Is(json!(joined)),
                },
            );
        }
    }
    let new = json!({"names": ["lo"], "loopback": true});
    let interfaces = if case.is_new("network") { new } else { case.caller.at("/interfaces") };
    match case.namespace("network") {
        Space::Joined(_) => wishes.is("/interfaces", &json!({"names": ["lo"], "loopback": true})),
        _ => wishes.is("/interfaces", &interfaces),
    }
}

/// The lines of `/proc/self/cgroup`: the root of the new namespace, or the path in each hierarchy of the caller's world
/// that has one.
fn cgroup(case: &Case<'_>, wishes: &mut Wishes) {
    let outside = case.caller.at("/cgroup");
    let path = case.asked("/linux/cgroupsPath").and_then(Value::as_str).unwrap_or_default();
    let line = |line: &str| {
        let (hierarchy, _) = line.rsplit_once(':')?;
        let is_unified = hierarchy.starts_with("0:");
        Some(match case.is_new("cgroup") {
            true => format!("{hierarchy}:/"),
            false if is_unified => format!("{hierarchy}:{path}"),
            false => line.to_owned(),
        })
    };
    let lines: Vec<_> = outside.as_str().unwrap_or_default().lines().filter_map(line).collect();
    wishes.is("/cgroup", &json!(lines.join("\n")));
}

fn processes(case: &Case<'_>, wishes: &mut Wishes) {
    wishes.is("/session/leads", &json!(true));
    let alone = case.is_new("pid");
    for (place, value) in [("pid", 1), ("group", 1), ("session", 1), ("parent", 0)] {
        let wish = if alone { Wish::Is(json!(value)) } else { Wish::Something("a number of the host's") };
        wishes.wish(format!("/session/{place}"), wish);
    }
    wishes.wish(
        "/traits/processes",
        match alone {
            true => Wish::Is(json!([1])),
            false => Wish::Something("those of the host"),
        },
    );
    let program = case.texts("/process/args").next().unwrap_or_default();
    // Who is not root in a user namespace of the host's may be looked at all the same, having executed a file that it may read.
    wishes.is("/traits/dumpable", &json!(1));
    wishes.is("/traits/deathSignal", &json!(0));
    wishes.is("/traits/subreaper", &json!(0));
    wishes.is("/traits/threads", &json!("1"));
    wishes.is("/traits/exe", &json!(program));
    wishes.is("/traits/name", &json!(program.rsplit('/').next()));
}
