//! Bundles: a rootfs of busybox and the prober, and a configuration to start from.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::runtime::binaries;

/// The commands of busybox that tests use inside.
const APPLETS: &[&str] = &[
    "sh", "true", "false", "cat", "echo", "ls", "sleep", "id", "mkdir", "rm", "touch", "kill", "stat",
    "mount", "head", "dd", "test", "readlink", "env", "ps", "wc", "tail", "seq", "chmod", "tty", "stty",
    "vi", "mknod", "grep",
];

const DIRECTORIES: &[&str] = &["bin", "dev", "etc", "proc", "root", "sys", "tmp", "home", "var"];

/// A directory with a `config.json` and a `rootfs`.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The bundle's directory.
    pub path: PathBuf,
    /// What its `config.json` says.
    pub config: Value,
}

impl Bundle {
    /// Makes a bundle in a directory that does not exist yet, for a container with this `cgroupsPath`.
    ///
    /// # Panics
    /// When it cannot be written, or busybox is not installed.
    pub fn new(path: PathBuf, cgroup: &str, edit: impl FnOnce(&mut Value)) -> Self {
        fs::create_dir_all(&path).expect("a bundle can be made");
        copy_tree(template(), &path.join("rootfs")).expect("the rootfs can be copied");
        let mut config = default_config(cgroup);
        edit(&mut config);
        let bundle = Self { path, config };
        bundle.write();
        bundle
    }

    /// Writes `config.json` again.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self) {
        fs::write(self.path.join("config.json"), self.config.to_string())
            .expect("config.json can be written");
    }

    /// Changes the configuration.
    pub fn edit(&mut self, edit: impl FnOnce(&mut Value)) -> &mut Self {
        edit(&mut self.config);
        self.write();
        self
    }

    /// A path below the rootfs, on the host.
    pub fn inside(&self, path: &str) -> PathBuf {
        self.path.join("rootfs").join(path.trim_start_matches('/'))
    }
}

/// Whether this machine has somewhere to put memory that nobody uses.
pub fn swaps() -> bool {
    fs::read_to_string("/proc/swaps").is_ok_and(|table| table.lines().count() > 1)
}

/// `linux.resources.memory` of a container that can take no more than so many bytes, in swap neither.
pub fn memory_without_swap(bytes: u64) -> Value {
    if swaps() { json!({"limit": bytes, "swap": bytes}) } else { json!({"limit": bytes}) }
}

/// A process of the configuration that runs a shell script.
pub fn shell(config: &mut Value, script: &str) {
    config["process"]["args"] = json!(["/bin/sh", "-c", script]);
}

/// Adds a mount to the end of the list.
pub fn mount(config: &mut Value, destination: &str, kind: &str, source: &str, options: &[&str]) {
    let mount = json!({"destination": destination, "type": kind, "source": source, "options": options});
    config["mounts"].as_array_mut().expect("mounts is a list").push(mount);
}

/// Takes a namespace out of the list and, if given, puts in another entry of that type.
pub fn namespace(config: &mut Value, kind: &str, instead: Option<Value>) {
    let list = config["linux"]["namespaces"].as_array_mut().expect("namespaces is a list");
    list.retain(|namespace| namespace["type"] != kind);
    list.extend(instead);
}

/// What `spec` of the runtimes writes, for a container without a terminal that runs `/bin/true`.
pub fn default_config(cgroup: &str) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/true"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "integration",
        "mounts": default_mounts(),
        "linux": {
            "cgroupsPath": cgroup,
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "cgroup"}
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}

fn default_mounts() -> Value {
    let entry = |destination, kind, source, options: &[&str]| json!({"destination": destination, "type": kind, "source": source, "options": options});
    json!([
        entry("/proc", "proc", "proc", &[]),
        entry("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        entry(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        entry("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        entry("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        entry("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        entry("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ])
}

/// The directory below which tests put everything; anybody may pass through it, since containers with mapped users
/// must reach their rootfs.
///
/// # Panics
/// When it belongs to somebody else.
pub fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let path = std::env::temp_dir().join("integration-tests");
        match fs::create_dir(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                panic!("cannot make {}: {error}", path.display())
            }
            _ => {}
        }
        let found = fs::symlink_metadata(&path).expect("the directory was just made");
        assert!(
            found.is_dir() && found.uid() == rustix::process::getuid().as_raw(),
            "{} is not ours",
            path.display()
        );
        path
    })
}

/// Makes what all bundles are copies of, for processes that can't do so side by side because they have the same number.
pub fn prepare() {
    template();
}

/// The one rootfs that all bundles are copies of; its files are shared by hard links.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let busybox = busybox();
        let prober = binaries().join("prober");
        let path = base().join(format!("rootfs-{}-{}", stamp(&busybox), stamp(&prober)));
        if !path.exists() {
            remove_old_templates();
            let new = base().join(format!("rootfs-new-{}", std::process::id()));
            build_template(&new, &busybox, &prober)
                .unwrap_or_else(|error| panic!("cannot make the rootfs {}: {error}", new.display()));
            // Another program may have been faster; what it made is as good.
            if let Err(error) = fs::rename(&new, &path) {
                let _ = fs::remove_dir_all(&new);
                assert!(path.exists(), "cannot make the rootfs {}: {error}", path.display());
            }
        }
        path
    })
}

/// Every build of the prober has a template of its own; those of builds that are hours old are of no use.
fn remove_old_templates() {
    let all = fs::read_dir(base()).into_iter().flatten().flatten();
    let old = all.filter(|entry| {
        let age = entry
            .metadata()
            .and_then(|found| found.modified())
            .map(|time| time.elapsed().unwrap_or_default());
        entry.file_name().to_string_lossy().starts_with("rootfs-")
            && age.is_ok_and(|age| age.as_secs() > 3 * 3600)
    });
    old.for_each(|entry| drop(fs::remove_dir_all(entry.path())));
}

/// The statically linked busybox of this machine.
///
/// # Panics
/// When there is none.
pub fn busybox() -> PathBuf {
    let places = ["/bin/busybox", "/usr/bin/busybox"];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.expect("the tests need a static busybox in /bin: install the package busybox-static")
}

/// Tells one build of a file from the next.
fn stamp(file: &Path) -> String {
    let found = fs::metadata(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    format!("{:x}{:x}", found.len(), found.mtime() * 1_000_000_000 + found.mtime_nsec())
}

fn build_template(path: &Path, busybox: &Path, prober: &Path) -> io::Result<()> {
    for directory in DIRECTORIES {
        fs::create_dir_all(path.join(directory))?;
    }
    fs::set_permissions(path.join("tmp"), PermissionsExt::from_mode(0o1777))?;
    fs::copy(busybox, path.join("bin/busybox"))?;
    fs::copy(prober, path.join("bin/prober"))?;
    for applet in APPLETS {
        symlink("busybox", path.join("bin").join(applet))?;
    }
    fs::write(path.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n")?;
    fs::write(path.join("etc/group"), "root:x:0:\ntty:x:5:\nuser:x:1000:\n")
}

/// Copies directories, and links all else but what is in `etc`, which tests may change: no new inodes.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let (entry, shared) = (entry?, !from.ends_with("etc"));
        let target = to.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() => copy_tree(&entry.path(), &target)?,
            _ if shared => fs::hard_link(entry.path(), &target)?,
            _ => fs::copy(entry.path(), &target).map(drop)?,
        }
    }
    Ok(())
}
