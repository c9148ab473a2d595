//! From bytes to types.
//!
//! oci-spec is stricter than the specification in places and silent in others. So the raw document is looked at first:
//! what the specification wants ignored is taken out, what the types would lose is checked.

use oci_spec::runtime as oci;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use serde_json::{Map, Value};

use super::{MAX_SIZE, name, quoted, shortened};
use crate::error::ConfigError;
use crate::plan::Pointer;

/// The members that lead from the top to a value, `*` standing for every element or member.
type Path = &'static [&'static str];

/// Fields that config.json may have and this runtime can't honour yet: refused rather than ignored, since each of them
/// would leave the container weaker or other than asked for.
const UNSUPPORTED: [Path; 3] =
    [&["linux", "intelRdt"], &["linux", "netDevices"], &["linux", "personality", "flags"]];

/// Whether a field may be used; it is known to exist.
pub(crate) fn accepts(pointer: &str) -> bool {
    let steps: Vec<&str> = pointer.split('/').skip(1).collect();
    !UNSUPPORTED.contains(&steps.as_slice())
}

/// Members that mean nothing on Linux, or nothing any more; they are dropped whatever they contain.
const IGNORED: [(Path, &[&str]); 4] = [
    (&[], &["vm", "windows", "solaris", "freebsd", "zos", "uidMappings", "gidMappings"]),
    (&["process"], &["commandLine"]),
    (&["process", "user"], &["username"]),
    (&["linux", "intelRdt"], &["enableCMT", "enableMBM"]),
];

/// Members for which an empty string is the same as none.
const EMPTY_IS_NONE: [(Path, &[&str]); 7] = [
    (&[], &["hostname", "domainname"]),
    (&["process"], &["apparmorProfile", "selinuxLabel"]),
    (&["process", "execCPUAffinity"], &["initial", "final"]),
    (&["linux"], &["cgroupsPath", "rootfsPropagation", "mountLabel"]),
    (&["linux", "seccomp"], &["listenerPath", "listenerMetadata"]),
    (&["linux", "namespaces", "*"], &["path"]),
    (&["mounts", "*"], &["type", "source"]),
];

/// Where an object is expected. The types would take a list for one, its elements being the members in the order of
/// their declaration in oci-spec.
const OBJECTS: [Path; 34] = [
    &["root"],
    &["process"],
    &["process", "consoleSize"],
    &["process", "user"],
    &["process", "capabilities"],
    &["process", "execCPUAffinity"],
    &["process", "rlimits", "*"],
    &["mounts", "*"],
    &["mounts", "*", "uidMappings", "*"],
    &["mounts", "*", "gidMappings", "*"],
    &["hooks"],
    &["hooks", "*", "*"],
    &["linux"],
    &["linux", "namespaces", "*"],
    &["linux", "uidMappings", "*"],
    &["linux", "gidMappings", "*"],
    &["linux", "timeOffsets", "*"],
    &["linux", "devices", "*"],
    &["linux", "personality"],
    &["linux", "memoryPolicy"],
    &["linux", "seccomp"],
    &["linux", "seccomp", "syscalls", "*"],
    &["linux", "seccomp", "syscalls", "*", "args", "*"],
    &["linux", "resources"],
    &["linux", "resources", "devices", "*"],
    &["linux", "resources", "memory"],
    &["linux", "resources", "cpu"],
    &["linux", "resources", "pids"],
    &["linux", "resources", "blockIO"],
    &["linux", "resources", "blockIO", "*", "*"],
    &["linux", "resources", "hugepageLimits", "*"],
    &["linux", "resources", "network"],
    &["linux", "resources", "network", "priorities", "*"],
    &["linux", "resources", "rdma", "*"],
];

/// Parses a document; the second value is what is odd about it.
pub(super) fn read(raw: &[u8]) -> Result<(Box<oci::Spec>, Vec<ConfigError>), ConfigError> {
    read_changed(raw, |_| Ok(()))
}

/// The same for a document with changes.
pub(super) fn read_changed(
    raw: &[u8],
    change: impl Fn(&mut Value) -> Result<(), ConfigError>,
) -> Result<(Box<oci::Spec>, Vec<ConfigError>), ConfigError> {
    if raw.len() > MAX_SIZE {
        let problem = format!("the file has {} bytes and may have {MAX_SIZE} at most", raw.len());
        return Err(ConfigError::new("", problem));
    }
    let (document, warnings) = prepare(raw, &change)?;
    let spec = serde_json::from_value(document).or_else(|_| again_with_path(raw, &change))?;
    // JSON can't contain the byte itself, only this escape; nearly no document does.
    if raw.contains(&b'\\') && raw.windows(6).any(|six| six == br"\u0000") {
        refuse_nul(&spec)?;
    }
    Ok((spec, warnings))
}

type Change<'a> = &'a dyn Fn(&mut Value) -> Result<(), ConfigError>;

fn prepare(raw: &[u8], change: Change<'_>) -> Result<(Value, Vec<ConfigError>), ConfigError> {
    let mut document = serde_json::from_slice(raw).map_err(not_json)?;
    check_version(&document)?;
    change(&mut document)?;
    drop_ignored(&mut document);
    drop_empty(&mut document);
    add_user(&mut document);
    rename_scheduler_flags(&mut document);
    drop_missing_pids_limit(&mut document);
    refuse_unsupported(&document)?;
    refuse_lists_for_objects(&document)?;
    require_device_numbers(&document)?;
    let warnings = drop_unknown_capabilities(&mut document)?;
    Ok((document, warnings))
}

fn not_json(error: serde_json::Error) -> ConfigError {
    ConfigError::new("", format!("the file is not valid JSON: {error}"))
}

fn check_version(document: &Value) -> Result<(), ConfigError> {
    let Some(top) = document.as_object() else {
        return Err(ConfigError::new("", "the file has to contain one JSON object"));
    };
    match top.get("ociVersion") {
        None | Some(Value::Null) => {
            Err(ConfigError::new("/ociVersion", "the version is missing; add one such as \"1.0.2\""))
        }
        Some(Value::String(version)) if !is_version_1(version) => {
            let problem = format!("version {} is not supported, only 1.x is", quoted(version));
            Err(ConfigError::new("/ociVersion", problem))
        }
        Some(_) => Ok(()),
    }
}

fn is_version_1(version: &str) -> bool {
    version.strip_prefix("1.").is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()))
}

fn drop_ignored(document: &mut Value) {
    for (parent, members) in IGNORED {
        each_object(document, parent, &mut |object| {
            members.iter().for_each(|member| drop(object.remove(*member)))
        });
    }
}

fn drop_empty(document: &mut Value) {
    for (parent, members) in EMPTY_IS_NONE {
        each_object(document, parent, &mut |object| drop_empty_members(object, members));
    }
}

fn each_object(value: &mut Value, path: &[&str], act: &mut dyn FnMut(&mut Map<String, Value>)) {
    match (path, value) {
        ([], Value::Object(object)) => act(object),
        (["*", rest @ ..], Value::Array(list)) => {
            list.iter_mut().for_each(|element| each_object(element, rest, act));
        }
        ([step, rest @ ..], Value::Object(members)) => {
            if let Some(member) = members.get_mut(*step) {
                each_object(member, rest, act);
            }
        }
        _ => {}
    }
}

fn drop_empty_members(object: &mut Map<String, Value>, members: &[&str]) {
    for member in members {
        if object.get(*member).and_then(Value::as_str) == Some("") {
            object.remove(*member);
        }
    }
}

// Mandatory in oci-spec; the specification's own bindings read a missing user as root.
fn add_user(document: &mut Value) {
    if let Some(Value::Object(process)) = document.pointer_mut("/process") {
        let user = process.entry("user").or_insert(Value::Null);
        if user.is_null() {
            *user = Value::Object(Map::new());
        }
    }
}

// The types have names of their own for two flags.
fn rename_scheduler_flags(document: &mut Value) {
    let flags = document.pointer_mut("/process/scheduler/flags").and_then(Value::as_array_mut);
    for flag in flags.into_iter().flatten() {
        match flag.as_str() {
            Some("SCHED_FLAG_RESET_ON_FORK") => *flag = "SCHED_RESET_ON_FORK".into(),
            Some("SCHED_FLAG_DL_OVERRUN") => *flag = "SCHED_FLAG_D_L_OVERRUN".into(),
            _ => {}
        }
    }
}

// The types read a missing limit as one of zero, with which no process can be made.
fn drop_missing_pids_limit(document: &mut Value) {
    let Some(Value::Object(resources)) = document.pointer_mut("/linux/resources") else { return };
    let limit = |pids: &Value| pids.get("limit").is_none_or(Value::is_null);
    if resources.get("pids").is_some_and(|pids| pids.is_object() && limit(pids)) {
        resources.remove("pids");
    }
}

fn refuse_unsupported(document: &Value) -> Result<(), ConfigError> {
    let at = |path: Path| path.iter().try_fold(document, |value, step| value.get(step));
    match UNSUPPORTED.iter().find(|path| at(path).is_some_and(|value| !is_nothing(value))) {
        Some(path) => {
            let pointer = path.iter().fold(Pointer::NONE, |pointer, step| pointer.child(step));
            Err(ConfigError::new(pointer, format!("{} is not supported yet; leave it out", path.join("."))))
        }
        None => Ok(()),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn refuse_lists_for_objects(document: &Value) -> Result<(), ConfigError> {
    match OBJECTS.iter().find_map(|pattern| list_at(document, pattern)) {
        Some(path) => {
            let pointer = path.iter().rev().fold(Pointer::NONE, |pointer, step| pointer.child(step));
            Err(ConfigError::new(pointer, "an object is expected here, not a list"))
        }
        None => Ok(()),
    }
}

/// The way to the first list where the pattern leads, last step first.
fn list_at(value: &Value, pattern: &[&str]) -> Option<Vec<String>> {
    let [step, rest @ ..] = pattern else {
        return value.is_array().then(Vec::new);
    };
    let below = |step: &dyn ToString, value| {
        let mut path = list_at(value, rest)?;
        path.push(step.to_string());
        Some(path)
    };
    match value {
        Value::Array(list) if *step == "*" => {
            list.iter().enumerate().find_map(|(index, element)| below(&index, element))
        }
        Value::Object(members) if *step == "*" => {
            members.iter().find_map(|(key, member)| below(&name(key), member))
        }
        Value::Object(members) => below(step, members.get(*step)?),
        _ => None,
    }
}

// The types read missing numbers as 0:0, which is another device than the one that was meant.
fn require_device_numbers(document: &Value) -> Result<(), ConfigError> {
    const PARENT: Pointer = Pointer::of("/linux/devices");
    let devices = document.pointer(PARENT.as_str()).and_then(Value::as_array);
    for (index, device) in devices.into_iter().flatten().enumerate() {
        let kind = device.get("type").and_then(Value::as_str);
        let Some(kind @ ("c" | "b" | "u")) = kind else { continue };
        for member in ["major", "minor"] {
            if device.get(member).is_none_or(Value::is_null) {
                let problem = format!("the number is missing; a device of type {kind} needs it");
                return Err(ConfigError::new(PARENT.child(index).child(member), problem));
            }
        }
    }
    Ok(())
}

/// A name that is unknown is told, with all that belongs to it: there must be an end of them.
const MOST_CAPABILITIES: usize = 1000;

fn drop_unknown_capabilities(document: &mut Value) -> Result<Vec<ConfigError>, ConfigError> {
    let mut warnings = Vec::new();
    let sets = document.pointer_mut("/process/capabilities").and_then(Value::as_object_mut);
    for (set, names) in sets.into_iter().flatten() {
        let Value::Array(names) = names else { continue };
        let pointer = || Pointer::of("/process/capabilities").child(name(set));
        if names.len() > MOST_CAPABILITIES {
            let problem = format!("{} names are given and there may be {MOST_CAPABILITIES}", names.len());
            return Err(ConfigError::new(pointer(), problem));
        }
        let mut index = 0;
        names.retain(|capability| {
            let unknown = capability.as_str().filter(|capability| !is_capability(capability));
            if let Some(unknown) = unknown {
                let problem = format!("the capability {} is unknown and is left out", quoted(unknown));
                warnings.push(ConfigError::new(pointer().child(index), problem));
            }
            index += 1;
            unknown.is_none()
        });
    }
    Ok(warnings)
}

pub(super) fn is_capability(name: &str) -> bool {
    let name: serde::de::value::StrDeserializer<'_, ValueError> = name.into_deserializer();
    oci::Capability::deserialize(name).is_ok()
}

/// Parses a document that the types refused once more, slowly: with nulls taken as absent, also where oci-spec has no
/// room for an absent value, and with a record of where parsing is.
fn again_with_path(raw: &[u8], change: Change<'_>) -> Result<Box<oci::Spec>, ConfigError> {
    let (mut document, _) = prepare(raw, change)?;
    drop_nulls(&mut document);
    serde_path_to_error::deserialize(document).map_err(mistyped)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn mistyped(error: serde_path_to_error::Error<serde_json::Error>) -> ConfigError {
    let pointer = pointer(error.path());
    let message = error.inner().to_string();
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match missing {
        Some(field) => ConfigError::new(pointer.child(field), "the field is missing and has to be given"),
        None => ConfigError::new(pointer, reworded(&message)),
    }
}

fn pointer(path: &serde_path_to_error::Path) -> Pointer {
    use serde_path_to_error::Segment;
    path.iter().fold(Pointer::NONE, |pointer, segment| match segment {
        Segment::Seq { index } => pointer.child(index),
        Segment::Map { key } => pointer.child(name(key)),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    })
}

// serde's words are terse but exact; they only lack a line's limits and, for a wrong value, an order that reads well.
fn reworded(message: &str) -> String {
    let split = |prefix| message.strip_prefix(prefix)?.rsplit_once(", expected ");
    let found = |found: &str| printable(found);
    if let Some((what, expected)) = split("invalid type: ") {
        format!("{expected} is expected here, not {}", found(what))
    } else if let Some((what, expected)) = split("invalid value: ") {
        format!("the value is out of range: {expected} is expected here, not {}", found(what))
    } else if let Some((what, expected)) = split("unknown variant ") {
        format!("the value {} is unknown, {expected} is expected here", found(what))
    } else {
        printable(message)
    }
}

fn printable(text: &str) -> String {
    let text = shortened(text);
    if text.contains(char::is_control) { text.escape_debug().collect() } else { text }
}

fn refuse_nul(spec: &oci::Spec) -> Result<(), ConfigError> {
    // Annotations only reach hooks and `state`, as JSON.
    let mut document = serde_json::to_value(spec).map_err(not_json)?;
    if let Value::Object(top) = &mut document {
        top.remove("annotations");
    }
    match find_nul(&document, &Pointer::NONE) {
        Some(pointer) => {
            Err(ConfigError::new(pointer, "the text contains a NUL character, which the kernel can't take"))
        }
        None => Ok(()),
    }
}

fn find_nul(value: &Value, at: &Pointer) -> Option<Pointer> {
    match value {
        Value::String(text) => text.contains('\0').then(|| at.clone()),
        Value::Array(list) => {
            list.iter().enumerate().find_map(|(index, value)| find_nul(value, &at.child(index)))
        }
        Value::Object(members) => members.iter().find_map(|(key, value)| {
            let at = at.child(name(key));
            if key.contains('\0') { Some(at) } else { find_nul(value, &at) }
        }),
        _ => None,
    }
}
