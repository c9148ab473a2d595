//! The rules of the specification that need no machine to check.

mod devices;
mod hooks;
mod ids;
mod mounts;
mod namespaces;
mod process;

use std::path::Path;

use oci_spec::runtime as oci;

use super::{name, quoted, sysctl};
use crate::error::ConfigError;
use crate::plan::Pointer;

type Check = Result<(), ConfigError>;

/// Checks everything; the first mistake is the answer.
pub(super) fn check(spec: &oci::Spec) -> Check {
    mounts::check_root(spec)?;
    process::check(spec)?;
    namespaces::check(spec)?;
    namespaces::check_names(spec)?;
    ids::check(spec)?;
    mounts::check(spec)?;
    mounts::check_restrictions(spec)?;
    devices::check(spec)?;
    sysctl::check(spec)?;
    hooks::check(spec)?;
    check_annotations(spec)
}

/// What is odd but allowed.
pub(super) fn warnings(spec: &oci::Spec) -> Vec<ConfigError> {
    mounts::relative_destinations(spec).collect()
}

/// The entry of `linux.namespaces` of that type.
pub(super) fn namespace(spec: &oci::Spec, kind: oci::LinuxNamespaceType) -> Option<&oci::LinuxNamespace> {
    let namespaces = spec.linux().as_ref()?.namespaces().as_ref()?;
    namespaces.iter().find(|namespace| namespace.typ() == kind)
}

fn check_annotations(spec: &oci::Spec) -> Check {
    match spec.annotations() {
        Some(annotations) if annotations.contains_key("") => {
            wrong(Pointer::of("/annotations").child(""), "the name of an annotation may not be empty")
        }
        _ => Ok(()),
    }
}

fn wrong<T>(pointer: impl Into<Pointer>, problem: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::new(pointer, problem))
}

fn list<T>(list: &Option<Vec<T>>) -> &[T] {
    list.as_deref().unwrap_or_default()
}

fn check_absolute(path: &Path, pointer: impl FnOnce() -> Pointer) -> Check {
    if path.is_absolute() {
        return Ok(());
    }
    let path = quoted(&path.to_string_lossy());
    wrong(pointer(), format!("the path {path} has to be absolute; begin it with /"))
}

fn check_env(env: &Option<Vec<String>>, pointer: impl Fn() -> Pointer) -> Check {
    for (index, entry) in list(env).iter().enumerate() {
        if entry.find('=').is_none_or(|end| end == 0) {
            let problem = format!("{} is not a variable; write it as NAME=value", quoted(entry));
            return wrong(pointer().child(index), problem);
        }
    }
    Ok(())
}

// The kernel takes this id as "none" or "unchanged" in every call that sets one.
fn check_id(id: u32, pointer: impl FnOnce() -> Pointer) -> Check {
    if id == u32::MAX {
        return wrong(pointer(), "the id 4294967295 can't be used: the kernel takes it as none");
    }
    Ok(())
}
