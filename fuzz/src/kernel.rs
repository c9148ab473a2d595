//! What the kernel writes in files of `/proc` and of cgroups, whole or torn.

use std::fs;
use std::path::{Path, PathBuf};

use runtime_core::cgroup::{Hierarchies, Paths};
use serde_json::json;

use crate::files::files;
use crate::jail::within;

/// The files of a cgroup, with its statistics; and, by their names, `mountinfo` and `cgroup`.
pub(crate) fn files_of_the_kernel(bytes: &[u8]) {
    let files = files(bytes);
    let text = |wanted: &str| {
        let file = files.iter().find(|(name, _)| name == wanted);
        file.map_or_else(String::new, |(_, content)| String::from_utf8_lossy(content).into_owned())
    };
    hierarchies(&text("mountinfo"), &text("cgroup"));
    within(move || statistics(&files));
}

/// Each hierarchy that is found is mounted at a point that is in the file.
fn hierarchies(mountinfo: &str, own: &str) {
    let controllers = |_: &Path| Ok(vec!["memory".to_owned()]);
    let found = Hierarchies::parse(mountinfo, own, controllers).expect("nothing is read that could fail");
    assert!(found.v1.len() <= own.lines().count());
    assert!(mountinfo.contains(" - cgroup") || (found.v1.is_empty() && found.v2.is_none()));
}

/// For both versions.
fn statistics(files: &[(String, Vec<u8>)]) {
    let directory = Path::new("/cgroup/of");
    _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory).expect("a directory");
    for (name, content) in files {
        fs::write(directory.join(name), content).expect("a file");
    }
    for (version, controllers) in [("v2", &[][..]), ("v1", &["memory", "cpuacct", "cpuset", "blkio", "pids"])]
    {
        let paths = paths(version, controllers);
        let stats = paths.stats();
        serde_json::to_string(&stats).expect("a picture in numbers can be written");
        _ = (paths.pids(), paths.is_frozen());
    }
}

fn paths(version: &str, controllers: &[&str]) -> Paths {
    let mount = PathBuf::from("/cgroup");
    let place = json!({"version": version, "controllers": controllers, "mount": mount, "path": "of"});
    serde_json::from_value(json!([place])).expect("a place")
}
