//! What the attacks have in common: the two ways in which paths are looked up, hostile roots, and volumes that a hostile
//! container shares.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use integration::bundle::mount;
use integration::test::text;
use integration::{Bundle, Container, Outcome, Test};
use rustix::io::Errno;
use serde_json::{Value, json};

/// How many things are exchanged while one container is made.
pub const AT_ONCE: usize = 20;

/// Attacks a runtime that may look paths up by openat2, and one that must walk.
pub fn on_each_resolver(attack: impl Fn(&Test)) {
    attack(&Test::new());
    attack(&Test::new().without(Errno::NOSYS, &["openat2"]));
}

pub fn writable(config: &mut Value) {
    config["root"]["readonly"] = json!(false);
}

/// Takes out the mounts at these places.
pub fn without_mounts(config: &mut Value, unwanted: impl Fn(&str) -> bool) {
    let mounts = config["mounts"].as_array_mut().expect("mounts is a list");
    mounts.retain(|mount| !mount["destination"].as_str().is_some_and(&unwanted));
}

/// What the root has in /dev is not covered.
pub fn bare_dev(config: &mut Value) {
    without_mounts(config, |place| place.starts_with("/dev"));
    writable(config);
}

/// Puts a bind of a directory of the host before all other mounts.
pub fn mount_first(config: &mut Value, destination: &str, source: &Path) {
    mount(config, destination, "bind", &text(source), &["rbind"]);
    config["mounts"].as_array_mut().expect("mounts is a list").rotate_right(1);
}

pub fn user_namespace(config: &mut Value) {
    integration::bundle::namespace(config, "user", Some(json!({"type": "user"})));
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
    config["process"]["rlimits"] = json!([]);
}

/// Gives the process these capabilities and no others.
pub fn capabilities(config: &mut Value, names: &[&str]) {
    config["process"]["capabilities"] = json!({"bounding": names, "effective": names, "permitted": names});
}

/// Replaces whatever the root has at a path by a link.
pub fn plant(bundle: &Bundle, path: &str, target: &Path) {
    clear(bundle, path);
    symlink(target, bundle.inside(path)).expect("a link can be made");
}

/// Removes whatever the root has at a path.
pub fn clear(bundle: &Bundle, path: &str) {
    let place = bundle.inside(path);
    let _ = fs::remove_file(&place).or_else(|_| fs::remove_dir_all(&place));
}

/// A container that sleeps.
pub fn sleeping<'a>(test: &'a Test, edit: impl FnOnce(&mut Value)) -> Container<'a> {
    test.start(&test.bundle(|config| {
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        edit(config);
    }))
}

/// Runs a command in a container.
pub fn exec(test: &Test, container: &Container<'_>, options: &[&str], command: &[&str]) -> Outcome {
    test.runtime(&[&["exec"], options, &[&container.id], command].concat())
}

/// What a script prints in a container; nothing if it can't be run.
pub fn says(test: &Test, container: &Container<'_>, options: &[&str], script: &str) -> String {
    exec(test, container, options, &["/bin/sh", "-c", script]).stdout
}

/// A volume: directories `a0`, `a1`, …, each with a link beside it that takes its place.
pub struct Volume {
    /// On the host.
    pub path: PathBuf,
    /// What is to be exchanged.
    pub pairs: Vec<(PathBuf, PathBuf)>,
}

impl Volume {
    /// As many as are exchanged at once, with links to these places in turn.
    pub fn new(test: &Test, targets: &[&Path]) -> Self {
        let path = test.directory.join(test.fresh());
        fs::create_dir(&path).expect("a directory can be made");
        let pair = |(number, target): (usize, &&Path)| {
            let pair = (path.join(format!("a{number}")), path.join(format!("l{number}")));
            fs::create_dir(&pair.0).expect("a directory can be made");
            symlink(target, &pair.1).expect("a link can be made");
            pair
        };
        let pairs = targets.iter().cycle().take(AT_ONCE).enumerate().map(pair).collect();
        Self { path, pairs }
    }
}
