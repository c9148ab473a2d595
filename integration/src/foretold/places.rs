//! Files, devices and hidden places, by really opening them.

use serde_json::{Value, json};

use super::wishes::step;
use super::{Case, Wish, Wishes};

/// What every container has in /dev: a path, a device's numbers.
const DEVICES: [(&str, u64, u64); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// The directories of the bundles' template.
const ROOT: [&str; 9] = ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "var"];

/// A device node that is foretold.
pub(super) struct Device {
    pub(super) path: String,
    pub(super) kind: String,
    numbers: (u64, u64),
    mode: u64,
    owner: (u64, u64),
}

/// The default devices, and those of the configuration.
pub(super) fn devices(case: &Case<'_>) -> Vec<Device> {
    let defaults = DEVICES.map(|(path, major, minor)| Device {
        path: path.into(),
        kind: "c".into(),
        numbers: (major, minor),
        mode: 0o666,
        owner: (0, 0),
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value, default| value.as_u64().unwrap_or(default);
    let asked = case.list("/linux/devices").map(|device| Device {
        path: text(&device["path"]),
        kind: text(&device["type"]),
        numbers: (number(&device["major"], 0), number(&device["minor"], 0)),
        mode: number(&device["fileMode"], 0o666),
        owner: (number(&device["uid"], 0), number(&device["gid"], 0)),
    });
    defaults.into_iter().chain(asked).collect()
}

/// What the prober is asked inside.
pub(super) fn question(config: &Value) -> Value {
    let at = |pointer| config.pointer(pointer).cloned().unwrap_or_else(|| json!([]));
    let asked = config["linux"]["devices"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|device| device["path"].as_str());
    let devices: Vec<_> = DEVICES.iter().map(|(path, ..)| *path).chain(asked).collect();
    json!({
        "masked": at("/linux/maskedPaths"), "readonly": at("/linux/readonlyPaths"), "sysctls": sysctls(config),
        "devices": devices, "files": LINKS.map(|(path, _)| path), "directories": ["/", "/dev"]
    })
}

/// What it is asked outside: which of the hidden places this kernel has.
pub(super) fn question_outside(config: &Value) -> Value {
    let at = |pointer| config.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let files: Vec<_> = at("/linux/maskedPaths").chain(at("/linux/readonlyPaths")).collect();
    json!({"files": files})
}

fn sysctls(config: &Value) -> Vec<String> {
    let all = config["linux"]["sysctl"].as_object().into_iter().flatten();
    all.map(|(name, _)| format!("/proc/sys/{}", name.replace('.', "/"))).collect()
}

pub(super) fn foretell(case: &Case<'_>, wishes: &mut Wishes) {
    hidden(case, wishes);
    for device in devices(case) {
        foretell_device(case, &device, wishes);
    }
    for (path, target) in LINKS {
        let place = format!("/files/{}", step(path));
        wishes.is(
            &place,
            &json!({
                "type": "l", "mode": 0o777, "uid": 0, "gid": 0, "target": target, "major": 0, "minor": 0
            }),
        );
    }
    for (name, value) in case.config["linux"]["sysctl"].as_object().into_iter().flatten() {
        wishes.is(&format!("/sysctls/{}", step(&format!("/proc/sys/{}", name.replace('.', "/")))), value);
    }
    listings(case, wishes);
    for (kind, pointer) in
        [("masked", "/linux/maskedPaths"), ("readonly", "/linux/readonlyPaths"), ("sysctls", "/linux/sysctl")]
    {
        let none = case.asked(pointer).is_none_or(|value| value == &json!([]) || value == &json!({}));
        if none {
            wishes.is(&format!("/{kind}"), &json!({}));
        }
    }
}

fn hidden(case: &Case<'_>, wishes: &mut Wishes) {
    let there = |path: &str| case.caller.at(&format!("/files/{}", step(path))).is_object();
    for path in case.texts("/linux/maskedPaths") {
        wishes.is(&format!("/masked/{}", step(path)), &json!(if there(path) { "empty" } else { "absent" }));
    }
    for path in case.texts("/linux/readonlyPaths") {
        let word = if there(path) { "denied:EROFS" } else { "absent" };
        wishes.is(&format!("/readonly/{}", step(path)), &json!(word));
    }
}

fn foretell_device(case: &Case<'_>, device: &Device, wishes: &mut Wishes) {
    let place = format!("/devices/{}", step(&device.path));
    let (major, minor) = device.numbers;
    // In a user namespace it is the host's node, and the host's root is nobody there.
    let owner = if case.in_user_namespace() { (65534, 65534) } else { device.owner };
    wishes.is(
        &place,
        &json!({
            "type": device.kind, "mode": device.mode, "uid": owner.0, "gid": owner.1, "target": null,
            "major": major, "minor": minor
        }),
    );
    for access in ["read", "write"] {
        let said = match (device.numbers, allowed(case, device, access)) {
            // There is no terminal.
            ((5, 0), _) => "denied:ENXIO",
            (_, true) => "opened",
            (_, false) => "denied:EPERM",
        };
        wishes.is(&format!("{place}/{access}"), &json!(said));
    }
}

/// What the device rules say: the last one that fits; nothing is allowed before the first, and the default devices
/// always are.
fn allowed(case: &Case<'_>, device: &Device, access: &str) -> bool {
    let letter = if access == "read" { 'r' } else { 'w' };
    let fits = |rule: &&Value| {
        let number = |name: &str, own: u64| rule[name].as_u64().is_none_or(|number| number == own);
        let kind = rule["type"].as_str().unwrap_or("a");
        (kind == "a" || kind == device.kind)
            && number("major", device.numbers.0)
            && number("minor", device.numbers.1)
            && rule["access"].as_str().unwrap_or("rwm").contains(letter)
    };
    let last = case.list("/linux/resources/devices").filter(fits).last();
    let is_default = DEVICES.iter().any(|(_, major, minor)| (*major, *minor) == device.numbers);
    is_default || last.is_some_and(|rule| rule["allow"] == true)
}

fn listings(case: &Case<'_>, wishes: &mut Wishes) {
    let tops = |directory: &str, paths: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        paths
            .filter_map(|path| {
                path.strip_prefix(directory)?.trim_start_matches('/').split('/').next().map(str::to_owned)
            })
            .filter(|name| !name.is_empty())
            .collect()
    };
    let devices = devices(case);
    let mounts: Vec<&str> = case.list("/mounts").filter_map(|mount| mount["destination"].as_str()).collect();
    let mut in_dev = tops(
        "/dev",
        &mut devices
            .iter()
            .map(|device| device.path.as_str())
            .chain(LINKS.map(|(path, _)| path))
            .chain(mounts.iter().copied().filter(|path| path.starts_with("/dev/"))),
    );
    let mut in_root = tops(
        "/",
        &mut mounts
            .iter()
            .copied()
            .chain(ROOT)
            .chain(case.texts("/process/cwd"))
            .chain(devices.iter().map(|device| device.path.as_str())),
    );
    in_root.extend(ROOT.map(str::to_owned));
    for (place, names) in [("/dev", &mut in_dev), ("/", &mut in_root)] {
        names.sort_unstable();
        names.dedup();
        wishes.wish(format!("/directories/{}", step(place)), Wish::Is(json!(names)));
    }
}
