//! What a configuration asks for, compared with what the prober saw: a sandbox that is silently weaker fails.

use std::fs;

use serde_json::{Value, json};

use crate::PROBER;
use crate::missing::Missing;
use crate::test::Test;

/// The devices that every container has, with their numbers.
const DEVICES: [(&str, u64, u64); 5] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
];

const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

const NAMESPACES: [(&str, &str); 8] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
    ("cgroup", "cgroup"),
    ("user", "user"),
    ("time", "time"),
];

/// The capabilities in the order of their numbers.
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a configuration asks for.
#[derive(Debug)]
pub struct Expected<'a> {
    config: &'a Value,
}

/// Differences found so far.
struct Findings(Vec<String>);

impl Findings {
    fn same(&mut self, what: &str, wanted: &Value, seen: &Value) {
        self.check(wanted == seen, || format!("{what}: asked for {wanted}, sees {seen}"));
    }

    fn check(&mut self, fine: bool, sentence: impl FnOnce() -> String) {
        if !fine {
            self.0.push(sentence());
        }
    }
}

/// Runs the prober in a fresh container and returns the configuration it ran with and what it saw.
///
/// # Panics
/// When the container fails or the prober does not print its document.
pub fn probe(test: &Test, edit: impl FnOnce(&mut Value)) -> (Value, Value) {
    let mut bundle = test.bundle(edit);
    bundle.edit(|config| {
        let question = Expected { config }.question();
        config["process"]["args"] = json!([PROBER, question.to_string()]);
    });
    let outcome = test.run(&bundle).ok();
    let dump = serde_json::from_str(&outcome.stdout);
    let dump = dump.unwrap_or_else(|error| panic!("the prober printed no document ({error}): {outcome:#?}"));
    (bundle.config, dump)
}

fn list<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn texts<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v str> + use<'v> {
    list(value, pointer).filter_map(Value::as_str)
}

fn has(value: &Value, word: &str) -> bool {
    texts(value, "").any(|one| one == word)
}

impl<'a> Expected<'a> {
    /// The expectations of a configuration.
    pub fn of(config: &'a Value) -> Self {
        Self { config }
    }

    /// What the prober is asked.
    pub fn question(&self) -> Value {
        let at = |pointer| self.config.pointer(pointer).cloned().unwrap_or_else(|| json!([]));
        let sysctls = self.config["linux"]["sysctl"].as_object().into_iter().flatten();
        let sysctls: Vec<_> = sysctls.map(|(name, _)| sysctl_path(name)).collect();
        let devices = list(self.config, "/linux/devices").filter_map(|device| device["path"].as_str());
        let devices: Vec<_> = devices.chain(DEVICES.map(|(path, ..)| path)).chain(["/dev/tty"]).collect();
        json!({
            "masked": at("/linux/maskedPaths"), "readonly": at("/linux/readonlyPaths"), "sysctls": sysctls,
            "devices": devices, "files": LINKS.map(|(path, _)| path)
        })
    }

    /// Every way in which the sandbox is not what was asked for; empty when it is.
    pub fn differences(&self, seen: &Value) -> Vec<String> {
        let mut findings = Findings(Vec::new());
        self.identity(seen, &mut findings);
        self.capabilities(seen, &mut findings);
        self.process(seen, &mut findings);
        self.leftovers(seen, &mut findings);
        self.namespaces(seen, &mut findings);
        self.mounts(seen, &mut findings);
        self.paths(seen, &mut findings);
        self.devices(seen, &mut findings);
        findings.0
    }

    fn asked(&self, pointer: &str, default: Value) -> Value {
        self.config.pointer(pointer).cloned().unwrap_or(default)
    }

    fn identity(&self, seen: &Value, findings: &mut Findings) {
        let (uid, gid) =
            (self.asked("/process/user/uid", json!(0)), self.asked("/process/user/gid", json!(0)));
        findings.same("uids", &json!([uid, uid, uid, uid]), &seen["ids"]["uids"]);
        findings.same("gids", &json!([gid, gid, gid, gid]), &seen["ids"]["gids"]);
        let primary = |one: &&Value| **one != gid;
        let mut asked: Vec<_> = list(self.config, "/process/user/additionalGids").filter(primary).collect();
        let mut groups: Vec<_> = list(seen, "/groups").filter(primary).collect();
        asked.sort_by_key(|one| one.as_u64());
        groups.sort_by_key(|one| one.as_u64());
        findings.same("supplementary groups", &json!(asked), &json!(groups));
        findings.same("umask", &self.asked("/process/user/umask", json!(0o22)), &seen["umask"]);
    }

    /// The sets as they are after exec: root's come from the bounding set, everybody else's from the ambient one.
    fn capabilities(&self, seen: &Value, findings: &mut Findings) {
        let bits = |set: &str| -> u64 {
            let names = texts(self.config, &format!("/process/capabilities/{set}"));
            let number =
                |name: &str| CAPABILITIES.iter().position(|one| name.strip_prefix("CAP_") == Some(one));
            names.filter_map(number).fold(0, |all, number| all | 1 << number)
        };
        let root = self.asked("/process/user/uid", json!(0)) == json!(0);
        let (bounding, inheritable) = (bits("bounding"), bits("inheritable"));
        let ambient = bits("ambient") & inheritable & bits("permitted");
        let permitted = if root { bounding | inheritable } else { ambient };
        let wanted = [
            ("bounding", bounding),
            ("inheritable", inheritable),
            ("ambient", ambient),
            ("permitted", permitted),
            ("effective", permitted),
        ];
        for (set, wanted) in wanted {
            let seen = seen["capabilities"][set].as_u64().unwrap_or(u64::MAX);
            findings.check(wanted == seen, || {
                format!("{set} capabilities: expected {wanted:#x}, sees {seen:#x}")
            });
        }
        findings.same("securebits", &json!(0), &seen["securebits"]);
        let wanted = self.asked("/process/noNewPrivileges", json!(false));
        findings.same("noNewPrivileges", &wanted, &seen["noNewPrivileges"]);
        // What takes calls away from the runtime stays.
        let filtered = self.config.pointer("/linux/seccomp").is_some() || Missing::everywhere().is_some();
        findings.same("seccomp mode", &json!(if filtered { "2" } else { "0" }), &seen["seccomp"]);
    }

    fn process(&self, seen: &Value, findings: &mut Findings) {
        findings.same("args", &self.config["process"]["args"], &seen["args"]);
        findings.same("cwd", &self.config["process"]["cwd"], &seen["cwd"]);
        let names_home = texts(self.config, "/process/env").any(|one| one.starts_with("HOME="));
        let kept = |one: &&str| names_home || !one.starts_with("HOME=");
        let env: Vec<_> = texts(seen, "/env").filter(kept).collect();
        findings.same("env", &self.config["process"]["env"], &json!(env));
        for limit in list(self.config, "/process/rlimits") {
            let name = limit["type"].as_str().unwrap_or_default();
            let wanted = json!({"soft": limit["soft"], "hard": limit["hard"]});
            findings.same(name, &wanted, &seen["rlimits"][name]);
        }
        if let Some(score) = self.config.pointer("/process/oomScoreAdj") {
            findings.same("oomScoreAdj", &json!(score.to_string()), &seen["oomScoreAdj"]);
        }
        for (field, name) in [("hostname", "host"), ("domainname", "domain")] {
            if let Some(wanted) = self.config.get(field) {
                findings.same(field, wanted, &seen["names"][name]);
            }
        }
    }

    /// What nobody asked for, and what must therefore not be there.
    fn leftovers(&self, seen: &Value, findings: &mut Findings) {
        let open: Vec<_> =
            seen["descriptors"].as_object().into_iter().flatten().map(|(number, _)| number).collect();
        findings.same("open descriptors", &json!(["0", "1", "2"]), &json!(open));
        findings.same("signals", &json!({"ignored": 0, "blocked": 0}), &seen["signals"]);
        findings.same("the session is its own", &seen["session"]["pid"], &seen["session"]["session"]);
        let no_terminal = json!({"stdio": [false, false, false], "controlling": false});
        findings.same("terminals", &no_terminal, &seen["tty"]);
        let inherited = seen["keyring"].as_str().is_some_and(|ring| ring.contains("_uid_ses"));
        findings.check(!inherited, || format!("keyring: sees the caller's, {}", seen["keyring"]));
    }

    fn namespaces(&self, seen: &Value, findings: &mut Findings) {
        for (kind, link) in NAMESPACES {
            let asked = list(self.config, "/linux/namespaces").find(|namespace| namespace["type"] == kind);
            let ours = |path: &str| fs::read_link(path).unwrap_or_default().to_string_lossy().into_owned();
            let outside = json!(ours(&format!("/proc/self/ns/{link}")));
            let inside = &seen["namespaces"][link];
            match asked.map(|namespace| namespace["path"].as_str()) {
                None => findings.same(&format!("the {kind} namespace, which is shared"), &outside, inside),
                Some(None) => {
                    findings.check(outside != *inside, || format!("the {kind} namespace is not a new one"))
                }
                Some(Some(path)) => {
                    findings.same(&format!("the {kind} namespace"), &json!(ours(path)), inside)
                }
            }
        }
        let private = list(self.config, "/linux/namespaces").any(|namespace| namespace["type"] == "cgroup");
        let path =
            seen["cgroup"].as_str().and_then(|table| table.lines().find_map(|line| line.strip_prefix("0::")));
        findings.check(!private || path.is_none_or(|path| path == "/"), || format!("sees cgroup {path:?}"));
    }

    fn mounts(&self, seen: &Value, findings: &mut Findings) {
        for mount in list(self.config, "/mounts") {
            let place = mount["destination"].as_str().unwrap_or_default();
            let Some(found) = list(seen, "/mounts").filter(|one| one["at"] == place).last() else {
                findings.0.push(format!("nothing is mounted on {place}"));
                continue;
            };
            for option in ["ro", "nosuid", "nodev", "noexec", "noatime"] {
                let asked = has(&mount["options"], option);
                let fine = !asked || has(&found["options"], option);
                findings.check(fine, || format!("{place} lacks {option}: {}", found["options"]));
            }
            let writable = !has(&mount["options"], "ro") && has(&found["options"], "ro");
            findings.check(!writable, || format!("{place} is read-only, and should not be"));
        }
        let root = list(seen, "/mounts").find(|one| one["at"] == "/").unwrap_or(&Value::Null);
        let wanted = self.asked("/root/readonly", json!(false));
        findings.same("the root is read-only", &wanted, &json!(has(&root["options"], "ro")));
        let outside = list(seen, "/mounts").filter_map(|one| one["root"].as_str());
        let old: Vec<_> = outside.filter(|root| root.contains("/..")).collect();
        findings.check(old.is_empty(), || format!("can reach outside through {old:?}"));
    }

    fn paths(&self, seen: &Value, findings: &mut Findings) {
        for (path, found) in seen["masked"].as_object().into_iter().flatten() {
            let fine = found.as_str().is_some_and(|found| found != "content");
            findings.check(fine, || format!("masked path {path}: {found}"));
        }
        for (path, found) in seen["readonly"].as_object().into_iter().flatten() {
            let fine = found == "absent" || found == "denied:EROFS";
            findings.check(fine, || format!("read-only path {path}: {found}"));
        }
        for (name, wanted) in self.config["linux"]["sysctl"].as_object().into_iter().flatten() {
            // The kernel puts tabs between the numbers that it was given with spaces.
            let words = |value: &Value| {
                value.as_str().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            };
            let found = &seen["sysctls"][sysctl_path(name)];
            findings.same(name, &json!(words(wanted)), &json!(words(found)));
        }
    }

    fn devices(&self, seen: &Value, findings: &mut Findings) {
        for (path, major, minor) in DEVICES {
            let found = &seen["devices"][path];
            let kind = json!([found["type"], found["major"], found["minor"], found["mode"]]);
            findings.same(path, &json!(["c", major, minor, 0o666]), &kind);
            findings.same(&format!("reading {path}"), &json!("opened"), &found["read"]);
        }
        for (path, target) in LINKS {
            findings.same(path, &json!(target), &seen["files"][path]["target"]);
        }
        for device in list(self.config, "/linux/devices") {
            let path = device["path"].as_str().unwrap_or_default();
            let found = &seen["devices"][path];
            let kind = json!([found["type"], found["major"], found["minor"]]);
            findings.same(path, &json!([device["type"], device["major"], device["minor"]]), &kind);
        }
    }
}

fn sysctl_path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}
