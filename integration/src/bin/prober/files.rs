//! What is found where.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

use serde_json::{Map, Value, json};

use crate::errno_name;

/// Every open descriptor with what it points to.
pub fn descriptors() -> Value {
    // The one that lists the directory is ours, and closed by the time its link is read.
    let numbers: Vec<i32> = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let target = |number: &i32| {
        let link = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
        Some((number.to_string(), json!(link.to_string_lossy())))
    };
    Value::Object(numbers.iter().filter_map(target).collect())
}

/// One line of `/proc/self/status`.
pub fn status(name: &str) -> Value {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    json!(found.map(str::trim))
}

/// The links of all namespaces.
pub fn namespaces() -> Value {
    let entries = fs::read_dir("/proc/self/ns").into_iter().flatten().flatten();
    let link = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), json!(target.to_string_lossy())))
    };
    Value::Object(entries.filter_map(link).collect())
}

/// The mount table, in its order.
pub fn mounts() -> Value {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Value::Array(table.lines().filter_map(mount).collect())
}

fn mount(line: &str) -> Option<Value> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<_> = left.split(' ').collect();
    let right: Vec<_> = right.split(' ').collect();
    Some(json!({
        "root": left.get(3)?, "at": left.get(4)?, "options": left.get(5)?.split(',').collect::<Vec<_>>(),
        "propagation": left.get(6..)?, "type": right.first()?, "source": right.get(1)?,
        "super": right.get(2)?.split(',').collect::<Vec<_>>(),
    }))
}

/// Asks one question of each path.
pub fn each(paths: &[String], ask: impl Fn(&str) -> Value) -> Value {
    Value::Object(paths.iter().map(|path| (path.clone(), ask(path))).collect::<Map<_, _>>())
}

/// `absent`, `empty` (a masked file or directory reads as nothing), `denied:…`, or `content`.
pub fn masked(path: &str) -> Value {
    let found = match fs::metadata(path) {
        Err(error) => return json!(denied(&error)),
        Ok(found) => found,
    };
    let empty = match found.is_dir() {
        true => fs::read_dir(path).map(|mut entries| entries.next().is_none()),
        false => {
            open(path, OpenOptions::new().read(true)).and_then(|mut file| Ok(file.read(&mut [0; 16])? == 0))
        }
    };
    json!(
        empty.map_or_else(
            |error| denied(&error),
            |empty| if empty { "empty".into() } else { "content".into() }
        )
    )
}

/// What an attempt to write says: `written` or the error. Setting the mode that is already set changes nothing, but
/// asks the mount for permission first.
pub fn readonly(path: &str) -> Value {
    let attempt = fs::metadata(path).and_then(|found| fs::set_permissions(path, found.permissions()));
    json!(attempt.map_or_else(|error| denied(&error), |()| "written".into()))
}

/// What a device is, and what opening it for reading and for writing says.
pub fn device(path: &str) -> Value {
    let attempt =
        |options: &OpenOptions| open(path, options).map_or_else(|error| denied(&error), |_| "opened".into());
    let mut found = describe(path);
    if found.is_object() {
        found["read"] = json!(attempt(OpenOptions::new().read(true)));
        found["write"] = json!(attempt(OpenOptions::new().write(true)));
    }
    found
}

/// Type, numbers, mode and owner of a path, following no symlink at its end.
pub fn describe(path: &str) -> Value {
    let found = match fs::symlink_metadata(path) {
        Err(error) => return json!(denied(&error)),
        Ok(found) => found,
    };
    let kind = match found.file_type() {
        kind if kind.is_char_device() => "c",
        kind if kind.is_block_device() => "b",
        kind if kind.is_fifo() => "p",
        kind if kind.is_dir() => "d",
        kind if kind.is_symlink() => "l",
        _ => "-",
    };
    let target = fs::read_link(path).ok().map(|target| target.to_string_lossy().into_owned());
    json!({
        "type": kind, "mode": found.mode() & 0o7777, "uid": found.uid(), "gid": found.gid(), "target": target,
        "major": libc::major(found.rdev()), "minor": libc::minor(found.rdev())
    })
}

/// The names in a directory, sorted.
pub fn listing(path: &str) -> Value {
    let names = fs::read_dir(path).map(|entries| {
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    });
    names.map_or_else(|error| json!(denied(&error)), |names| json!(names))
}

/// The content of a small file, trimmed, or the error.
pub fn content(path: &str) -> Value {
    json!(fs::read_to_string(path).map_or_else(|error| denied(&error), |text| text.trim().to_owned()))
}

/// A terminal or a FIFO must neither become ours nor make us wait.
fn open(path: &str, options: &OpenOptions) -> io::Result<File> {
    options.clone().custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

fn denied(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "absent".into(),
        _ => format!("denied:{}", errno_name(error.raw_os_error().unwrap_or(0))),
    }
}
