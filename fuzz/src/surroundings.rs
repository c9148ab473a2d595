//! What comes from engines, service managers and hooks' readers: names, states, sockets.

use runtime_cli::understanding::sockets;
use runtime_core::ContainerId;
use runtime_core::spec::{ExecProcess, resources};
use runtime_core::state::State;
use runtime_core::{Spec, hooks};
use serde_json::{Value, json};

use crate::configurations::minimal;
use crate::plans::check_refusal;

/// A word a line: two of the service manager, a container's name, an annotation and its value, a variable, a hook's
/// path and an argument, and then a document.
pub(crate) fn words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(9, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (fds, pid) = (line(), line());
    assert!(sockets(fds, pid, 7) == 0 || pid.trim_start_matches(['+', '0']) == "7", "{fds:?} {pid:?}");
    name(line());
    hook([line(), line(), line(), line(), line()]);
    documents(line());
}

/// A name is one of a file, and of a cgroup.
fn name(text: &str) {
    let Ok(id) = ContainerId::new(text) else { return };
    assert_eq!(id.as_str(), text);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
    assert!(
        text.bytes().all(fits) && text != "." && text != ".." && (1..=1024).contains(&text.len()),
        "{text:?}"
    );
}

/// What hooks are told is JSON that says the same when it is read, and is one document however odd the words are.
fn hook([annotation, value, variable, path, argument]: [&str; 5]) {
    let mut config = minimal();
    config["annotations"] = json!({ annotation: value });
    config["hooks"] = json!({"poststop": [{"path": path, "args": [path, argument], "env": [variable]}]});
    let spec = match Spec::parse(config.to_string().into_bytes()) {
        Ok(spec) => spec,
        Err(refusal) => return check_refusal(&refusal),
    };
    assert!(path.starts_with('/') && variable.contains('='), "{path:?} {variable:?}");
    let planned = hooks::planned(spec.oci(), hooks::Kind::Poststop).expect("there is one");
    for hook in &planned.hooks {
        assert!(hook.argv().is_ok() && hook.environ().is_ok());
    }
    let state = json!({
        "ociVersion": "1.2.0", "id": "x", "pid": 1, "status": "running", "bundle": path, "rootfs": argument,
        "created": value, "annotations": {annotation: value}, "owner": "",
    });
    let told: State = serde_json::from_value(state.clone()).expect("a state");
    let text = serde_json::to_string(&told).expect("it can be told");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("it can be read"), state);
}

/// The documents of `update` and `exec`.
fn documents(text: &str) {
    if let Err(refusal) = resources(text.as_bytes()) {
        check_refusal(&refusal);
    }
    let process = ExecProcess::Document(text.into());
    _ = process.wants_terminal();
    if let Err(refusal) = Spec::parse_with(minimal().to_string().into_bytes(), &process) {
        check_refusal(&refusal);
    }
}
