//! New limits for a container that has some. Pure; `change` carries it out.

use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value};

use super::hierarchies::Hierarchies;
use super::knobs::{self, Knob, Result};
use crate::error::ConfigError;
use crate::plan::Pointer;

/// What an update will do.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The resources as they are then, to be asked about by the next update.
    pub resources: LinuxResources,
    /// The limits that are set, in this order, with the fields that ask for them.
    pub knobs: Vec<(Pointer, Knob)>,
    /// More memory than this must not be in use, in bytes.
    pub at_most: Option<u64>,
}

/// Plans new limits for a container whose resources are `saved`. Pointers begin with `/linux/resources`.
///
/// Fields that are missing, or zero where zero means that there is no such field, leave the limit alone; a limit that
/// the kernel knows only together with another one is completed from `saved`. Device rules never change.
///
/// # Errors
/// A limit makes no sense, or the host has no controller for it.
pub fn plan_update(
    saved: &LinuxResources,
    given: &LinuxResources,
    hierarchies: &Hierarchies,
) -> Result<Update> {
    let (saved, mut given) = (document(saved)?, document(given)?);
    forget_unset(&mut given);
    let knobs = knobs::knobs(&resources(completed(&given, &saved))?, hierarchies)?;
    let mut merged = saved;
    merge(&mut merged, given.clone());
    settle(&mut merged);
    let resources = resources(merged)?;
    Ok(Update { at_most: at_most(&resources, &given), resources, knobs })
}

fn document(resources: &LinuxResources) -> Result<Value> {
    serde_json::to_value(resources).map_err(unclear)
}

fn resources(document: Value) -> Result<LinuxResources> {
    serde_json::from_value(document).map_err(unclear)
}

fn unclear(error: serde_json::Error) -> ConfigError {
    ConfigError::new(knobs::resources(), error.to_string())
}

/// Fields of which engines send zero when they mean nothing.
const ZERO_IS_UNSET: [&str; 11] = [
    "/memory/limit",
    "/memory/reservation",
    "/memory/swap",
    "/memory/kernelTCP",
    "/cpu/shares",
    "/cpu/quota",
    "/cpu/period",
    "/cpu/realtimeRuntime",
    "/cpu/realtimePeriod",
    "/blockIO/weight",
    "/blockIO/leafWeight",
];

fn forget_unset(given: &mut Value) {
    if let Some(top) = given.as_object_mut() {
        top.remove("devices");
    }
    for pointer in ZERO_IS_UNSET {
        forget(given, pointer, |value| value.as_i64() == Some(0));
    }
    for pointer in ["/cpu/cpus", "/cpu/mems"] {
        forget(given, pointer, |value| value.as_str() == Some(""));
    }
}

fn forget(given: &mut Value, pointer: &str, is_unset: impl Fn(&Value) -> bool) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    let Some(Value::Object(parent)) = given.pointer_mut(parent) else { return };
    if parent.get(name).is_some_and(is_unset) {
        parent.remove(name);
    }
}

/// Limits that the kernel knows only together: the second is of no use without the first.
const COMPANIONS: [(&str, &str, &str); 5] = [
    ("cpu", "period", "quota"),
    ("cpu", "quota", "period"),
    ("cpu", "realtimePeriod", "realtimeRuntime"),
    ("cpu", "realtimeRuntime", "realtimePeriod"),
    ("memory", "limit", "swap"),
];

fn completed(given: &Value, saved: &Value) -> Value {
    let mut completed = given.clone();
    for (section, companion, field) in COMPANIONS {
        let Some(Value::Object(wanted)) = completed.get_mut(section) else { continue };
        let known = saved.get(section).and_then(|saved| saved.get(companion));
        if let (true, false, Some(known)) =
            (wanted.contains_key(field), wanted.contains_key(companion), known)
        {
            wanted.insert(companion.into(), known.clone());
        }
    }
    completed
}

/// Puts what is given over what is saved.
fn merge(saved: &mut Value, given: Value) {
    match (saved, given) {
        (Value::Object(saved), Value::Object(given)) => merge_members(saved, given),
        (Value::Array(saved), Value::Array(given)) => given.into_iter().for_each(|one| put(saved, one)),
        (saved, given) => *saved = given,
    }
}

fn merge_members(saved: &mut Map<String, Value>, given: Map<String, Value>) {
    for (name, value) in given {
        match saved.get_mut(&name) {
            Some(old) => merge(old, value),
            None => _ = saved.insert(name, value),
        }
    }
}

/// What tells the elements of lists apart: block devices, page sizes, network interfaces.
const KEYS: [&str; 4] = ["major", "minor", "pageSize", "name"];

/// An element takes the place of the one that is about the same thing.
fn put(list: &mut Vec<Value>, one: Value) {
    let same = |old: &&mut Value| KEYS.iter().all(|key| old.get(key) == one.get(key));
    match list.iter_mut().find(same) {
        Some(old) => merge(old, one),
        None => list.push(one),
    }
}

/// What follows from the new values for others: an idle container has no shares, and one with all memory all swap.
fn settle(merged: &mut Value) {
    if let Some(Value::Object(cpu)) = merged.get_mut("cpu")
        && cpu.get("idle").and_then(Value::as_i64) == Some(1)
    {
        cpu.remove("shares");
    }
    if let Some(Value::Object(memory)) = merged.get_mut("memory")
        && memory.get("limit").and_then(Value::as_i64) == Some(-1)
    {
        memory.insert("swap".into(), (-1).into());
    }
}

fn at_most(resources: &LinuxResources, given: &Value) -> Option<u64> {
    let limit = given.pointer("/memory/limit")?.as_u64()?;
    let memory = resources.memory().as_ref()?;
    (memory.check_before_update() == Some(true)).then_some(limit)
}

#[cfg(test)]
mod tests;
