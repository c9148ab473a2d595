//! Annotations that set properties of a container's unit: `org.systemd.property.NAME` with a value as GLib writes it.
//! Pure.
//!
//! Whoever may write annotations is often not whoever runs the host. So a property can be set only if it is in the
//! list below: how the unit ends, and when in relation to others. Not what would run something, open a path, become
//! another user, pull in or stop other units, or lift a limit.

use std::collections::HashMap;

use super::properties::{Property, Value};
use crate::error::ConfigError;
use crate::plan::Pointer;

/// How their names begin.
pub const PREFIX: &str = "org.systemd.property.";

/// The types of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Flag,
    Signed,
    Number,
    Text,
    Texts,
}

impl Type {
    /// What a value may say about its type in front: GLib's words, and D-Bus's letters after an `@`.
    fn words(self) -> [&'static str; 2] {
        match self {
            Type::Flag => ["boolean", "@b"],
            Type::Signed => ["int32", "@i"],
            Type::Number => ["uint64", "@t"],
            Type::Text => ["string", "@s"],
            Type::Texts => ["@as", "@as"],
        }
    }

    fn example(self) -> &'static str {
        match self {
            Type::Flag => "true or false",
            Type::Signed => "a number such as 15",
            Type::Number => "a number such as uint64 5000000",
            Type::Text => "a text such as 'inactive'",
            Type::Texts => "a list such as ['a.service', 'b.service']",
        }
    }
}

/// The properties that may be set.
const ALLOWED: [(&str, Type); 14] = [
    ("After", Type::Texts),
    ("Before", Type::Texts),
    ("CollectMode", Type::Text),
    ("DefaultDependencies", Type::Flag),
    ("FinalKillSignal", Type::Signed),
    ("KillSignal", Type::Signed),
    ("ManagedOOMMemoryPressure", Type::Text),
    ("ManagedOOMPreference", Type::Text),
    ("ManagedOOMSwap", Type::Text),
    ("OOMPolicy", Type::Text),
    ("RuntimeMaxUSec", Type::Number),
    ("SendSIGHUP", Type::Flag),
    ("SendSIGKILL", Type::Flag),
    ("TimeoutStopUSec", Type::Number),
];

/// The properties that annotations ask for, in the order of their names.
///
/// # Errors
/// A property may not be set like this, or its value is none.
pub(super) fn properties(
    annotations: Option<&HashMap<String, String>>,
) -> Result<Vec<Property>, ConfigError> {
    let mut wanted: Vec<(&str, &str)> = annotations
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value.as_str())))
        .collect();
    wanted.sort_unstable();
    wanted.into_iter().map(|(name, value)| one(name, value)).collect()
}

fn one(name: &str, text: &str) -> Result<Property, ConfigError> {
    let refuse = |problem| {
        Err(ConfigError::new(Pointer::of("/annotations").child(format!("{PREFIX}{name}")), problem))
    };
    // Settings in files count in seconds, and properties in microseconds.
    let seconds = name.strip_suffix("Sec").filter(|start| !start.ends_with('U'));
    let known = seconds.map_or(name.into(), |start| format!("{start}USec"));
    let Some((_, kind)) = ALLOWED.iter().find(|(each, _)| *each == known) else {
        let names: Vec<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
        return refuse(format!(
            "the property {name:?} of a unit can't be set by an annotation; those that can are {}",
            names.join(", ")
        ));
    };
    let value = if seconds.is_some() { microseconds(text) } else { value(text, *kind) };
    match value {
        Some(value) => Ok(Property { name: known, value }),
        None if seconds.is_some() => refuse(format!("{text:?} is no number of seconds")),
        None => refuse(format!("{text:?} is no value of this property: give {}", kind.example())),
    }
}

/// Seconds, with a fraction perhaps, and with any number's type in front.
fn microseconds(text: &str) -> Option<Value> {
    const TYPES: [&str; 7] = ["uint64", "int64", "uint32", "int32", "uint16", "int16", "double"];
    let number = TYPES.iter().find_map(|kind| text.trim().strip_prefix(kind)).unwrap_or(text).trim();
    if !number.bytes().all(|letter| letter.is_ascii_digit() || letter == b'.') {
        return None;
    }
    let microseconds = number.parse::<f64>().ok()? * 1e6;
    (microseconds < u64::MAX as f64).then_some(Value::Number(microseconds.round() as u64))
}

/// A value of that type; it may say itself which one it is.
fn value(text: &str, kind: Type) -> Option<Value> {
    let text = text.trim();
    let typed = kind.words().iter().find_map(|word| text.strip_prefix(word)?.strip_prefix(' '));
    let text = typed.unwrap_or(text).trim();
    match kind {
        Type::Flag => text.parse().ok().map(Value::Flag),
        Type::Signed => text.parse().ok().map(Value::Signed),
        Type::Number => text.parse().ok().map(Value::Number),
        Type::Text => match quoted(text)? {
            (word, "") => Some(Value::Text(word)),
            _ => None,
        },
        Type::Texts => list(text).map(Value::Texts),
    }
}

fn list(text: &str) -> Option<Vec<String>> {
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let (word, after) = quoted(rest)?;
        texts.push(word);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) if !next.trim().is_empty() => next.trim_start(),
            None if after.is_empty() => after,
            _ => return None,
        };
    }
    Some(texts)
}

/// The text between the quotes that this begins with, and what comes after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut letters = text.chars();
    let quote = letters.next().filter(|letter| matches!(letter, '\'' | '"'))?;
    let mut word = String::new();
    loop {
        match letters.next()? {
            letter if letter == quote => return Some((word, letters.as_str())),
            '\\' => word.push(match letters.next()? {
                letter @ ('\\' | '\'' | '"') => letter,
                _ => return None,
            }),
            letter if letter.is_control() => return None,
            letter => word.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> Result<String, ConfigError> {
        let annotations = HashMap::from([(format!("{PREFIX}{name}"), text.to_owned())]);
        properties(Some(&annotations)).map(|properties| properties[0].to_string())
    }

    #[test]
    fn values_of_every_type() {
        for (name, text, property) in [
            ("CollectMode", "'inactive'", "CollectMode=inactive"),
            ("CollectMode", "\"inactive\"", "CollectMode=inactive"),
            ("CollectMode", "string 'in\\'active'", "CollectMode=in'active"),
            ("KillSignal", "15", "KillSignal=15"),
            ("KillSignal", "@i 15", "KillSignal=15"),
            ("SendSIGHUP", " true ", "SendSIGHUP=true"),
            ("SendSIGHUP", "boolean false", "SendSIGHUP=false"),
            ("TimeoutStopUSec", "uint64 5", "TimeoutStopUSec=5"),
            ("TimeoutStopUSec", "5", "TimeoutStopUSec=5"),
            ("TimeoutStopSec", "1.5", "TimeoutStopUSec=1500000"),
            ("TimeoutStopSec", "uint32 2", "TimeoutStopUSec=2000000"),
            ("After", "['a.service', \"b.service\"]", "After=a.service b.service"),
            ("After", "@as []", "After="),
        ] {
            assert_eq!(of(name, text).unwrap(), property, "{name} {text}");
        }
    }

    #[test]
    fn malformed_values_are_errors() {
        for (name, text) in [
            ("CollectMode", ""),
            ("CollectMode", "inactive"),
            ("CollectMode", "'"),
            ("CollectMode", "'a"),
            ("CollectMode", "'a' b"),
            ("CollectMode", "'a\\"),
            ("CollectMode", "'a\\x'"),
            ("CollectMode", "'a\0'"),
            ("CollectMode", "uint64 5"),
            ("KillSignal", "'TERM'"),
            ("KillSignal", "99999999999"),
            ("KillSignal", "uint64 9"),
            ("KillSignal", "int3215"),
            ("SendSIGHUP", "yes"),
            ("TimeoutStopUSec", "-1"),
            ("TimeoutStopUSec", "uint64"),
            ("TimeoutStopSec", "-1"),
            ("TimeoutStopSec", "inf"),
            ("TimeoutStopSec", "1e30"),
            ("TimeoutStopSec", "99999999999999999999"),
            ("TimeoutStopSec", "."),
            ("After", "'a'"),
            ("After", "["),
            ("After", "]"),
            ("After", "['a',]"),
            ("After", "['a' 'b']"),
            ("After", "[,]"),
            ("After", "['a', 5]"),
        ] {
            let error = of(name, text).unwrap_err();
            assert_eq!(error.pointer.as_str(), format!("/annotations/{PREFIX}{name}"), "{text}");
        }
    }

    #[test]
    fn what_could_harm_the_host_is_refused_whatever_its_value() {
        for name in [
            "ExecStart",
            "ExecStop",
            "ExecStartPre",
            "RootDirectory",
            "User",
            "Group",
            "ExtraFileDescriptors",
            "Environment",
            "StandardOutput",
            "StandardInputFile",
            "PIDFile",
            "Wants",
            "Requires",
            "BindsTo",
            "Conflicts",
            "OnFailure",
            "Slice",
            "Delegate",
            "MemoryMax",
            "DeviceAllow",
            "DevicePolicy",
            "PIDs",
            "BPFProgram",
            "IPIngressFilterPath",
            "",
            "USec",
            "Sec",
            "execstart",
            "KillSignal ",
            "é",
        ] {
            let problem = of(name, "'/bin/x'").unwrap_err().problem;
            assert!(problem.contains("can't be set by an annotation"), "{name}: {problem}");
        }
    }

    #[test]
    fn other_annotations_are_none_of_this() {
        let annotations = HashMap::from([("org.systemd.propertyX".to_owned(), "x".to_owned())]);
        assert_eq!(properties(Some(&annotations)), Ok(Vec::new()));
        assert_eq!(properties(None), Ok(Vec::new()));
    }
}
