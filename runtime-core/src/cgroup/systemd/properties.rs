//! Limits and device rules as properties of a unit. Pure.
//!
//! Systemd rounds some of them, and the kernel's files get the exact values after it. But it writes its own again when
//! it is reloaded, and so each limit that it knows is told to it as well.

use std::fmt;

use super::names::Wanted;
use crate::cgroup::devices::{Kind, MAKE, READ, Rule, WRITE};
use crate::cgroup::{DeviceRules, Hierarchies, Hierarchy, Knob, Tolerance, exceptions};

/// A property of a unit (org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// A value, by its type in D-Bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `b`
    Flag(bool),
    /// `i`
    Signed(i32),
    /// `t`; all bits set for no limit.
    Number(u64),
    /// `s`
    Text(String),
    /// `as`
    Texts(Vec<String>),
    /// `ay`
    Bytes(Vec<u8>),
    /// `au`
    Pids(Vec<u32>),
    /// `a(ss)`: devices and what may be done with them.
    Devices(Vec<(String, String)>),
}

impl Value {
    pub(super) fn signature(&self) -> &'static str {
        match self {
            Value::Flag(_) => "b",
            Value::Signed(_) => "i",
            Value::Number(_) => "t",
            Value::Text(_) => "s",
            Value::Texts(_) => "as",
            Value::Bytes(_) => "ay",
            Value::Pids(_) => "au",
            Value::Devices(_) => "a(ss)",
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |parts: Vec<String>| parts.join(" ");
        match self {
            Value::Flag(flag) => flag.fmt(f),
            Value::Signed(number) => number.fmt(f),
            Value::Number(u64::MAX) => f.write_str("infinity"),
            Value::Number(number) => number.fmt(f),
            Value::Text(text) => f.write_str(text),
            Value::Texts(texts) => f.write_str(&texts.join(" ")),
            Value::Bytes(bytes) => bytes.iter().rev().try_for_each(|byte| write!(f, "{byte:02x}")),
            Value::Pids(pids) => f.write_str(&joined(pids.iter().map(u32::to_string).collect())),
            Value::Devices(devices) => {
                let devices = devices.iter().map(|(device, access)| format!("{device}:{access}"));
                f.write_str(&joined(devices.collect()))
            }
        }
    }
}

pub(super) fn property(name: &str, value: Value) -> Property {
    Property { name: name.into(), value }
}

/// What every container's unit is, whatever its limits.
pub(super) fn of_unit(wanted: &Wanted, id: &str, hierarchies: &Hierarchies) -> Vec<Property> {
    let flag = |name, flag| property(name, Value::Flag(flag));
    let io = match hierarchies.v1_with("blkio") {
        Some(_) => "BlockIOAccounting",
        None => "IOAccounting",
    };
    let mut properties = vec![property("Description", Value::Text(format!("container {id}")))];
    if !wanted.is_slice() {
        properties.push(property("Slice", Value::Text(wanted.slice.clone())));
        // Below the unit, everything is the container's; no slice can say so.
        properties.push(flag("Delegate", true));
    }
    properties.extend([
        flag("DefaultDependencies", false),
        property("CollectMode", Value::Text("inactive-or-failed".into())),
        flag("CPUAccounting", true),
        flag("MemoryAccounting", true),
        flag(io, true),
        flag("TasksAccounting", true),
    ]);
    properties
}

/// The limits that this version of systemd knows. What it doesn't know, it doesn't touch.
pub(in crate::cgroup) fn of_limits<'a>(knobs: impl Iterator<Item = &'a Knob>, version: u32) -> Vec<Property> {
    let files: Vec<File<'_>> = knobs.filter_map(File::of).collect();
    let mut properties: Vec<Property> = Vec::new();
    for found in files.iter().flat_map(|file| file.properties(version, &files)) {
        // The last one of a name holds, as with the files.
        properties.retain(|earlier| earlier.name != found.name);
        properties.push(found);
    }
    properties
}

/// A file of the cgroup and its value.
struct File<'a> {
    v2: bool,
    name: &'a str,
    value: &'a str,
}

impl<'a> File<'a> {
    fn of(knob: &'a Knob) -> Option<Self> {
        let v2 = knob.hierarchy == Hierarchy::V2;
        let file = |name, value| Some(File { v2, name, value });
        match &knob.tolerance {
            // The scheduler's own file, for which systemd has a scale of its own.
            Tolerance::Instead { file: name, value } if v2 => file(name, value),
            _ => file(&knob.file, &knob.value),
        }
    }

    fn properties(&self, version: u32, all: &[File<'_>]) -> Vec<Property> {
        let amount = |name: &str| amount(self.value).map(|amount| property(name, Value::Number(amount)));
        let text = |name: &str, text: &str| Some(property(name, Value::Text(text.into())));
        let found = match (self.v2, self.name) {
            (true, "memory.max") => amount("MemoryMax"),
            (true, "memory.high") => amount("MemoryHigh"),
            (true, "memory.low") => amount("MemoryLow"),
            (true, "memory.min") => amount("MemoryMin"),
            (true, "memory.swap.max") => amount("MemorySwapMax"),
            (true, "cpu.weight") => amount("CPUWeight"),
            (true, "io.weight") => amount("IOWeight"),
            (false, "memory.limit_in_bytes") => amount("MemoryLimit"),
            (false, "cpu.shares") => amount("CPUShares"),
            (false, "blkio.weight") => amount("BlockIOWeight"),
            // It takes no zero, which the file gets.
            (_, "pids.max") => amount("TasksMax").map(|mut tasks| {
                tasks.value = if tasks.value == Value::Number(0) { Value::Number(1) } else { tasks.value };
                tasks
            }),
            (true, "cpu.idle") if version >= 252 => match self.value {
                "1" => Some(property("CPUWeight", Value::Number(0))),
                _ => Some(property("CPUWeight", Value::Number(u64::MAX))),
            },
            (true, "cpuset.cpus") if version >= 244 => cpus("AllowedCPUs", self.value),
            (true, "cpuset.mems") if version >= 244 => cpus("AllowedMemoryNodes", self.value),
            (true, "memory.oom.group") if version >= 253 => {
                text("OOMPolicy", if self.value.trim() == "1" { "kill" } else { "continue" })
            }
            (true, "cpu.max") => return quota(self.value.split_once(' '), version),
            (false, "cpu.cfs_quota_us" | "cpu.cfs_period_us") => {
                let value = |name| all.iter().find(|file| file.name == name).map(|file| file.value);
                let period = value("cpu.cfs_period_us").unwrap_or("100000");
                return quota(value("cpu.cfs_quota_us").map(|quota| (quota, period)), version);
            }
            _ => None,
        };
        found.into_iter().collect()
    }
}

/// A number, or the words of both versions for no limit.
fn amount(text: &str) -> Option<u64> {
    match text.trim() {
        "max" | "-1" => Some(u64::MAX),
        // A file with a default and lines for devices.
        text => text.strip_prefix("default ").unwrap_or(text).parse().ok(),
    }
}

/// How much of each second, in microseconds. Systemd keeps whole percents only, and never must it keep less.
fn quota(max: Option<(&str, &str)>, version: u32) -> Vec<Property> {
    const PERCENT: u64 = 10_000;
    let Some((quota, period)) = max else { return Vec::new() };
    let (Some(quota), Ok(period)) = (amount(quota), period.trim().parse::<u64>()) else { return Vec::new() };
    let each_second = match quota {
        u64::MAX => u64::MAX,
        quota => {
            let exact = (u128::from(quota) * 1_000_000).div_ceil(u128::from(period.max(1)));
            u64::try_from(exact).unwrap_or(u64::MAX - PERCENT).next_multiple_of(PERCENT)
        }
    };
    let mut properties = vec![property("CPUQuotaPerSecUSec", Value::Number(each_second))];
    if version >= 242 {
        properties.push(property("CPUQuotaPeriodUSec", Value::Number(period)));
    }
    properties
}

/// A list such as `0-3,6` as a mask, the first byte with the lowest numbers. What is no list is left to the kernel,
/// which says so.
fn cpus(name: &str, list: &str) -> Option<Property> {
    const MOST: usize = 1 << 16;
    let mut mask = Vec::new();
    for range in list.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= MOST {
            return None;
        }
        for number in first..=last {
            mask.resize(mask.len().max(number / 8 + 1), 0);
            *mask.get_mut(number / 8)? |= 1 << (number % 8);
        }
    }
    Some(property(name, Value::Bytes(mask)))
}

/// The devices that may be used. Rules that systemd can't express are left out: what it enforces comes on top of ours,
/// and so it may forbid nothing that they allow.
pub(super) fn of_devices(rules: Option<&DeviceRules>) -> Vec<Property> {
    let Some(allowed) = rules.and_then(exceptions::exceptions) else { return Vec::new() };
    let devices = allowed.iter().map(|rule| (device(rule), access(rule)));
    vec![
        property("DevicePolicy", Value::Text("strict".into())),
        property("DeviceAllow", Value::Devices(devices.collect())),
    ]
}

/// The numbers as a path need no node that is there, and a bare major number is what systemd calls a group of devices.
fn device(rule: &Rule) -> String {
    let kind = if rule.kind == Some(Kind::Block) { "block" } else { "char" };
    match (rule.major, rule.minor) {
        (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
        (Some(major), None) => format!("{kind}-{major}"),
        (None, _) => format!("{kind}-*"),
    }
}

fn access(rule: &Rule) -> String {
    let letters = [(READ, 'r'), (WRITE, 'w'), (MAKE, 'm')];
    letters.iter().filter(|(bit, _)| rule.access & bit != 0).map(|(_, letter)| letter).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn limits(knobs: &[(&str, &str)], version: u32) -> String {
        let knobs: Vec<Knob> =
            knobs.iter().map(|(file, value)| Knob::new(Hierarchy::V2, *file, value)).collect();
        text(&of_limits(knobs.iter(), version))
    }

    fn text(properties: &[Property]) -> String {
        properties.iter().map(Property::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn limits_of_version_2() {
        for (file, value, properties) in [
            ("memory.max", "1048576", "MemoryMax=1048576"),
            ("memory.max", "max", "MemoryMax=infinity"),
            ("memory.low", "5", "MemoryLow=5"),
            ("memory.swap.max", "0", "MemorySwapMax=0"),
            ("memory.high", "7", "MemoryHigh=7"),
            ("cpu.weight", "174", "CPUWeight=174"),
            ("io.weight", "default 300", "IOWeight=300"),
            ("io.weight", "8:0 300", ""),
            ("pids.max", "0", "TasksMax=1"),
            ("pids.max", "12", "TasksMax=12"),
            ("pids.max", "max", "TasksMax=infinity"),
            ("cpu.max", "50000 100000", "CPUQuotaPerSecUSec=500000; CPUQuotaPeriodUSec=100000"),
            ("cpu.max", "1234 10000", "CPUQuotaPerSecUSec=130000; CPUQuotaPeriodUSec=10000"),
            ("cpu.max", "max 20000", "CPUQuotaPerSecUSec=infinity; CPUQuotaPeriodUSec=20000"),
            ("cpu.max", "1 0", "CPUQuotaPerSecUSec=1000000; CPUQuotaPeriodUSec=0"),
            ("cpu.max", "?", ""),
            ("cpu.idle", "1", "CPUWeight=0"),
            ("cpuset.cpus", "0-1,9", "AllowedCPUs=0203"),
            ("cpuset.mems", "0", "AllowedMemoryNodes=01"),
            ("cpuset.cpus", "0-4294967295", ""),
            ("cpuset.cpus", "1-", ""),
            ("memory.oom.group", "1", "OOMPolicy=kill"),
            ("memory.oom.group", "0", "OOMPolicy=continue"),
            ("hugetlb.2MB.max", "5", ""),
            ("io.max", "8:0 rbps=1", ""),
        ] {
            assert_eq!(limits(&[(file, value)], 257), properties, "{file} = {value}");
        }
        assert_eq!(
            limits(&[("cpu.idle", "0"), ("cpu.weight", "59")], 257),
            "CPUWeight=59",
            "the last one holds"
        );
    }

    #[test]
    fn what_a_version_of_systemd_lacks_is_not_sent() {
        for (file, value, since) in [
            ("cpuset.cpus", "0", 244),
            ("cpuset.mems", "0", 244),
            ("cpu.idle", "1", 252),
            ("memory.oom.group", "1", 253),
        ] {
            assert_eq!(limits(&[(file, value)], since - 1), "", "{file}");
            assert_ne!(limits(&[(file, value)], since), "", "{file}");
        }
        assert_eq!(limits(&[("cpu.max", "1000 100000")], 241), "CPUQuotaPerSecUSec=10000");
    }

    #[test]
    fn limits_of_version_1() {
        let knobs = [
            ("memory.limit_in_bytes", "-1"),
            ("cpu.shares", "512"),
            ("cpu.cfs_period_us", "50000"),
            ("cpu.cfs_quota_us", "25000"),
            ("blkio.weight", "500"),
            ("pids.max", "7"),
            ("cpuset.cpus", "0"),
            ("memory.max", "9"),
        ];
        let knobs: Vec<Knob> =
            knobs.iter().map(|(file, value)| Knob::new(Hierarchy::V1("x"), *file, value)).collect();
        let right = "MemoryLimit=infinity; CPUShares=512; CPUQuotaPerSecUSec=500000; CPUQuotaPeriodUSec=50000; \
                     BlockIOWeight=500; TasksMax=7";
        assert_eq!(text(&of_limits(knobs.iter(), 247)), right);
    }

    fn rule(allow: bool, kind: Option<Kind>, major: Option<u32>, minor: Option<u32>, access: u8) -> Rule {
        Rule { allow, kind, major, minor, access }
    }

    fn devices(rules: &[Rule]) -> String {
        text(&of_devices(Some(&DeviceRules::from_rules(rules.to_vec()))))
    }

    #[test]
    fn devices_are_named_by_their_numbers() {
        let character = Some(Kind::Character);
        let none = rule(false, None, None, None, READ | WRITE | MAKE);
        let rules = [
            none,
            rule(true, character, Some(1), Some(3), READ | WRITE),
            rule(true, character, Some(136), None, READ | WRITE | MAKE),
            rule(true, Some(Kind::Block), None, None, MAKE),
            rule(true, None, Some(8), Some(0), READ),
        ];
        let right = "DevicePolicy=strict; DeviceAllow=/dev/char/1:3:rw char-136:rwm block-*:m /dev/block/8:0:rm \
                     /dev/char/8:0:r";
        assert_eq!(devices(&rules), right);
        assert_eq!(devices(&[none]), "DevicePolicy=strict; DeviceAllow=");
        assert_eq!(of_devices(None), []);
    }

    #[test]
    fn systemd_never_forbids_what_the_rules_allow() {
        let (character, all) = (Some(Kind::Character), READ | WRITE | MAKE);
        let denied = rule(false, character, Some(4), Some(5), WRITE);
        let hole = [rule(true, character, None, None, all), denied];
        assert_eq!(devices(&hole), "", "an exception from an exception");
        assert_eq!(devices(&[rule(true, None, None, None, all), denied]), "", "allowed but for exceptions");
        let wide = rule(true, character, None, Some(5), READ);
        assert!(devices(&[wide]).ends_with("char-*:r"), "a minor number of any major one");
    }

    #[test]
    fn a_slice_delegates_nothing() {
        let unit = |path: &str| {
            let wanted = Wanted::parse(Some(Path::new(path)), "ID", false).unwrap();
            text(&of_unit(&wanted, "ID", &Hierarchies::default()))
        };
        assert!(unit("a.slice:p:n").starts_with("Description=container ID; Slice=a.slice; Delegate=true; "));
        assert!(!unit("::b.slice").contains("lice="));
    }
}
