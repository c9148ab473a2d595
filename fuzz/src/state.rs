//! The state directory: whatever its files contain, they are read or reported as damaged, the container can be removed,
//! and nothing else is touched.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use runtime_core::ContainerId;
use runtime_core::container::{Container, Status};
use runtime_core::state::{Intent, Record, StateRoot};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::files::files;
use crate::jail::within;

const ROOT: &str = "/state";
/// What isn't the container's.
const ELSEWHERE: [&str; 2] = ["/elsewhere/file", "/state/other/state.json"];

/// The files of a container's directory.
pub(crate) fn directory(bytes: &[u8]) {
    let files = files(bytes);
    for (_, content) in &files {
        means_the_same_when_written_again::<Record>(content);
        means_the_same_when_written_again::<Intent>(content);
    }
    within(move || {
        prepare(&files);
        let before = contents(Path::new("/"));
        let id = ContainerId::new("x").expect("a name");
        let root = StateRoot::open(Path::new(ROOT)).expect("a directory of ours");
        read(&root, &id);
        let deleted = Container::delete(&root, &id, true);
        assert_eq!(deleted.is_ok(), !Path::new("/state/x").exists(), "{deleted:?}");
        let mut kept = before;
        kept.retain(|path, _| !path.starts_with("/state/x"));
        let mut after = contents(Path::new("/"));
        after.retain(|path, _| !path.starts_with("/state/x"));
        assert_eq!(after, kept);
    });
}

fn means_the_same_when_written_again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    content: &[u8],
) {
    let Ok(value) = serde_json::from_slice::<T>(content) else { return };
    // A path that JSON can't hold was never in it.
    let written = serde_json::to_vec(&value).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("what was written can be read"), value);
}

fn read(root: &StateRoot, id: &ContainerId) {
    for one in Container::list(root).unwrap_or_default() {
        _ = one.state();
    }
    if let Ok(container) = Container::find(root, id) {
        _ = (container.state(), container.pids(), container.stats(), container.owner());
    }
    if let Ok(Some(record)) = root.peek(id) {
        _ = (record.state(Status::Running, ""), record.cgroup.to_string());
    }
    if let Ok(Some(entry)) = root.clone().with_patience(std::time::Duration::ZERO).lock(id) {
        _ = (entry.intent(), entry.resources(), entry.end());
    }
}

fn prepare(files: &[(String, Vec<u8>)]) {
    for path in ELSEWHERE {
        let path = Path::new(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        fs::write(path, "kept").expect("a file");
    }
    // Where the library looks for what tells one boot from another; there are no processes here.
    fs::create_dir_all("/proc/sys/kernel/random").expect("a directory");
    fs::write("/proc/sys/kernel/random/boot_id", "this-boot\n").expect("a file");
    fs::set_permissions(ROOT, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let directory = Path::new(ROOT).join("x");
    _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).expect("a directory");
    for (name, content) in files {
        fs::write(directory.join(name), content).expect("a file");
    }
}

/// Every file, and what is in it.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(contents(&path)),
            path => _ = found.insert(path.clone(), fs::read(path).unwrap_or_default()),
        }
    }
    found
}
