//! The init program: embedded when the library is built, kept in a sealed file in memory.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, Mode, SealFlags};

use crate::error::{Context, Result};

const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// The file to execute; made once per process. Nobody can write to it any more: a container that gets hold of it by
/// way of /proc finds it sealed (CVE-2019-5736).
pub(super) fn image() -> Result<BorrowedFd<'static>> {
    static IMAGE: OnceLock<OwnedFd> = OnceLock::new();
    kept(&IMAGE, || sealed_file(c"runtime-init", MemfdFlags::EXEC, PROGRAM))
}

/// The same for a process that is born among the container's own: nobody may read this file, so that whoever executes it
/// can't be traced, from its first instruction on (CVE-2016-9962).
pub(super) fn opaque_image() -> Result<BorrowedFd<'static>> {
    static IMAGE: OnceLock<OwnedFd> = OnceLock::new();
    kept(&IMAGE, || {
        let file = sealed_file(c"runtime-init", MemfdFlags::EXEC, PROGRAM)?;
        rustix::fs::fchmod(&file, Mode::XUSR | Mode::XGRP | Mode::XOTH)
            .doing(|| "cannot hide the init program".into())?;
        Ok(file)
    })
}

fn kept(
    place: &'static OnceLock<OwnedFd>,
    make: impl FnOnce() -> Result<OwnedFd>,
) -> Result<BorrowedFd<'static>> {
    match place.get() {
        Some(image) => Ok(image.as_fd()),
        None => {
            let made = make()?;
            Ok(place.get_or_init(|| made).as_fd())
        }
    }
}

fn sealed_file(name: &CStr, flags: MemfdFlags, contents: &[u8]) -> Result<OwnedFd> {
    let file = file(name, flags | MemfdFlags::ALLOW_SEALING, contents)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals).doing(|| "cannot seal the init program".into())?;
    Ok(file)
}

/// A file in memory with these contents.
pub(super) fn file(name: &CStr, flags: MemfdFlags, contents: &[u8]) -> Result<OwnedFd> {
    let doing = || format!("cannot make a file in memory for {}", name.to_string_lossy());
    let file = match rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | flags) {
        // KERNEL(6.3): older kernels don't know the flags about execution.
        Err(rustix::io::Errno::INVAL) => {
            let known = flags & MemfdFlags::ALLOW_SEALING;
            rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | known)
        }
        answer => answer,
    }
    .doing(doing)?;
    let mut rest = contents;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest).doing(doing)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(file)
}
