//! Device nodes, pipes and links.

use core::ffi::CStr;

use crate::fault::{Of, Outcome};
use crate::paths::Root;
use crate::step::{Call, Create, Link, Node, NodeKind, Resolve};
use crate::sys::{self, Answer, Errno, Fd, file_type};
use crate::wire::{Borrowed, List};

pub fn make<'a>(
    root: &Root,
    directory: &CStr,
    nodes: List<'a, Node<Borrowed<'a>>>,
    links: List<'a, Link<Borrowed<'a>>>,
    replace: bool,
) -> Outcome {
    let directory = root.open_or_create(directory, Create::Directory, 0o755, Resolve::InRoot)?;
    for (index, node) in nodes.iter().enumerate() {
        make_node(&directory, &node, replace).map_err(|fault| fault.item(index))?;
    }
    let made = nodes.len();
    for (index, link) in links.iter().enumerate() {
        replacing(&directory, link.name, || sys::symlinkat(link.to, &directory, link.name))
            .of(Call::Symlink)
            .map_err(|fault| fault.item(made + index))?;
    }
    Ok(())
}

fn make_node(directory: &Fd, node: &Node<Borrowed<'_>>, replace: bool) -> Outcome {
    let mode = u32::from(type_bits(node.kind)) | node.mode;
    match sys::mknodat(directory, node.name, mode, device(node.major, node.minor)) {
        Err(Errno::EXIST) if is_this(directory, node)? => {
            sys::chmodat(directory, node.name, node.mode).of(Call::Chmod)?;
        }
        Err(Errno::EXIST) if replace => {
            sys::unlinkat(directory, node.name).of(Call::Unlink)?;
            sys::mknodat(directory, node.name, mode, device(node.major, node.minor)).of(Call::Mknod)?;
        }
        answer => answer.of(Call::Mknod)?,
    }
    if (node.uid, node.gid) == (0, 0) {
        return Ok(());
    }
    sys::chownat(directory, node.name, node.uid, node.gid).of(Call::Chown)
}

/// Whether the name already is the node that is wanted. A link is not, wherever it points to (CVE-2025-31133).
fn is_this(directory: &Fd, node: &Node<Borrowed<'_>>) -> Outcome<bool> {
    let status = sys::status_at(directory, node.name).of(Call::Stat)?;
    Ok(status.file_type() == type_bits(node.kind)
        && (status.device_major, status.device_minor) == (node.major, node.minor))
}

fn replacing(directory: &Fd, name: &CStr, make: impl Fn() -> Answer<()>) -> Answer<()> {
    match make() {
        Err(Errno::EXIST) => {
            sys::unlinkat(directory, name)?;
            make()
        }
        answer => answer,
    }
}

fn type_bits(kind: NodeKind) -> u16 {
    match kind {
        NodeKind::Character => file_type::CHARACTER,
        NodeKind::Block => file_type::BLOCK,
        NodeKind::Fifo => file_type::FIFO,
    }
}

/// The kernel's encoding of a device number.
pub fn device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}
