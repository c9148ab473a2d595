//! The process of `exec`, as a change of the container's document.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::document::is_capability;
use super::quoted;
use crate::error::ConfigError;
use crate::plan::Pointer;

const PROCESS: Pointer = Pointer::of("/process");

/// What a further process of a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecProcess {
    /// A whole `process` object, as JSON.
    Document(Vec<u8>),
    /// The container's own process with changes.
    Changes(Box<ProcessChanges>),
}

/// How a further process differs from the container's own one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessChanges {
    /// The program and its arguments, in the place of the container's.
    pub args: Vec<String>,
    /// Whether it gets a terminal; the container's own wish doesn't count.
    pub terminal: bool,
    /// The working directory.
    pub cwd: Option<PathBuf>,
    /// More variables, as `NAME=value`; they win over those of the container.
    pub env: Vec<String>,
    /// The user.
    pub uid: Option<u32>,
    /// The user's group.
    pub gid: Option<u32>,
    /// More groups.
    pub additional_gids: Vec<u32>,
    /// More capabilities, as `CAP_CHOWN` or `chown`: bounding, effective and permitted, and ambient where they are
    /// inheritable already.
    pub capabilities: Vec<String>,
    /// Whether it may gain new privileges.
    pub no_new_privileges: Option<bool>,
    /// The AppArmor profile.
    pub apparmor: Option<String>,
    /// The SELinux label.
    pub selinux_label: Option<String>,
}

impl ExecProcess {
    /// Whether it asks for a terminal. What is no process asks for none.
    pub fn wants_terminal(&self) -> bool {
        match self {
            ExecProcess::Changes(changes) => changes.terminal,
            ExecProcess::Document(raw) => {
                let process: Value = serde_json::from_slice(raw).unwrap_or_default();
                process.get("terminal").and_then(Value::as_bool).unwrap_or(false)
            }
        }
    }

    pub(super) fn put_into(&self, document: &mut Value) -> Result<(), ConfigError> {
        let Value::Object(top) = document else { return Ok(()) };
        match self {
            ExecProcess::Document(raw) => {
                let process = serde_json::from_slice(raw)
                    .map_err(|error| ConfigError::new(PROCESS, format!("it is not valid JSON: {error}")))?;
                top.insert("process".into(), process);
            }
            ExecProcess::Changes(changes) => {
                let process = top.entry("process").or_insert(Value::Null);
                if !process.is_object() {
                    *process = json!({});
                }
                if let Value::Object(process) = process {
                    changes.apply(process)?;
                }
            }
        }
        Ok(())
    }
}

impl ProcessChanges {
    fn apply(&self, process: &mut Map<String, Value>) -> Result<(), ConfigError> {
        let mut set = |name: &str, value: Value| drop(process.insert(name.into(), value));
        set("args", json!(self.args));
        set("terminal", json!(self.terminal));
        if let Some(cwd) = &self.cwd {
            set("cwd", json!(cwd.to_string_lossy()));
        }
        if let Some(forbidden) = self.no_new_privileges {
            set("noNewPrivileges", json!(forbidden));
        }
        if let Some(profile) = &self.apparmor {
            set("apparmorProfile", json!(profile));
        }
        if let Some(label) = &self.selinux_label {
            set("selinuxLabel", json!(label));
        }
        extend(process, "env", self.env.iter().map(|each| json!(each)));
        with_object(process, "user", |user| self.apply_user(user));
        let names: Vec<String> =
            self.capabilities.iter().map(|name| full_name(name)).collect::<Result<_, _>>()?;
        names.iter().for_each(|name| with_object(process, "capabilities", |sets| add_capability(sets, name)));
        Ok(())
    }

    fn apply_user(&self, user: &mut Map<String, Value>) {
        for (name, id) in [("uid", self.uid), ("gid", self.gid)] {
            if let Some(id) = id {
                user.insert(name.into(), json!(id));
            }
        }
        extend(user, "additionalGids", self.additional_gids.iter().map(|each| json!(each)));
    }
}

fn add_capability(sets: &mut Map<String, Value>, name: &str) {
    let inheritable = sets.get("inheritable").and_then(Value::as_array);
    let ambient = inheritable.is_some_and(|names| names.contains(&json!(name)));
    for set in ["bounding", "effective", "permitted"].into_iter().chain(ambient.then_some("ambient")) {
        extend(sets, set, std::iter::once(json!(name)));
    }
}

/// Changes the member with that name, an object; it is made if it is missing.
fn with_object(parent: &mut Map<String, Value>, name: &str, change: impl FnMut(&mut Map<String, Value>)) {
    let member = parent.entry(name).or_insert(Value::Null);
    if !member.is_object() {
        *member = json!({});
    }
    member.as_object_mut().into_iter().for_each(change);
}

fn extend(parent: &mut Map<String, Value>, name: &str, more: impl Iterator<Item = Value>) {
    let mut more = more.peekable();
    if more.peek().is_none() {
        return;
    }
    let list = parent.entry(name).or_insert(Value::Null);
    if !list.is_array() {
        *list = json!([]);
    }
    if let Value::Array(list) = list {
        list.extend(more);
    }
}

fn full_name(name: &str) -> Result<String, ConfigError> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    if is_capability(&full) {
        return Ok(full);
    }
    let problem = format!("the capability {} is unknown", quoted(name));
    Err(ConfigError::new(PROCESS.child("capabilities"), problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: ProcessChanges) -> Result<Value, ConfigError> {
        let mut document = json!({"process": {
            "args": ["sh"], "cwd": "/", "terminal": true, "env": ["A=1"],
            "user": {"uid": 5, "gid": 6, "additionalGids": [7]},
            "capabilities": {"bounding": ["CAP_KILL"], "inheritable": ["CAP_CHOWN"]}
        }});
        ExecProcess::Changes(Box::new(changes)).put_into(&mut document)?;
        Ok(document["process"].take())
    }

    #[test]
    fn what_is_not_changed_is_the_containers() {
        let process = changed(ProcessChanges { args: vec!["id".into()], ..Default::default() }).unwrap();
        assert_eq!(process["args"], json!(["id"]));
        assert_eq!(process["terminal"], json!(false));
        assert_eq!(process["env"], json!(["A=1"]));
        assert_eq!(process["user"], json!({"uid": 5, "gid": 6, "additionalGids": [7]}));
    }

    #[test]
    fn lists_grow_and_a_user_keeps_the_group() {
        let process = changed(ProcessChanges {
            env: vec!["A=2".into()],
            uid: Some(0),
            additional_gids: vec![8],
            cwd: Some("/x".into()),
            no_new_privileges: Some(true),
            ..Default::default()
        })
        .unwrap();
        assert_eq!(process["env"], json!(["A=1", "A=2"]));
        assert_eq!(process["user"], json!({"uid": 0, "gid": 6, "additionalGids": [7, 8]}));
        assert_eq!((&process["cwd"], &process["noNewPrivileges"]), (&json!("/x"), &json!(true)));
    }

    // CVE-2022-29162, CVE-2025-27612: an inheritable capability is a gain for programs with file capabilities.
    #[test]
    fn capabilities_are_never_made_inheritable() {
        let capabilities = vec!["net_raw".into(), "CAP_CHOWN".into()];
        let process = changed(ProcessChanges { capabilities, ..Default::default() }).unwrap();
        let sets = &process["capabilities"];
        assert_eq!(sets["inheritable"], json!(["CAP_CHOWN"]));
        assert_eq!(sets["ambient"], json!(["CAP_CHOWN"]));
        assert_eq!(sets["bounding"], json!(["CAP_KILL", "CAP_NET_RAW", "CAP_CHOWN"]));
        assert_eq!(sets["effective"], json!(["CAP_NET_RAW", "CAP_CHOWN"]));
        assert_eq!(sets["permitted"], sets["effective"]);
        let unknown = changed(ProcessChanges { capabilities: vec!["fly".into()], ..Default::default() });
        assert!(unknown.unwrap_err().to_string().contains("\"fly\" is unknown"));
    }

    #[test]
    fn a_document_takes_the_place_of_the_whole_process() {
        let mut document = json!({"process": {"args": ["sh"], "noNewPrivileges": true}});
        ExecProcess::Document(br#"{"args":["id"]}"#.to_vec()).put_into(&mut document).unwrap();
        assert_eq!(document["process"], json!({"args": ["id"]}));
        let bad = ExecProcess::Document(b"{".to_vec()).put_into(&mut document).unwrap_err();
        assert_eq!(bad.pointer, PROCESS);
    }
}
