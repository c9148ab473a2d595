//! Device nodes, pipes and links.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::paths::Root;
use crate::step::{Call, Create, Link, Node, NodeKind, Resolve};
use crate::sys::{self, Answer, Errno, Fd, Status, file_type, open};
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

/// Makes a node. Others may share the directory and exchange its names, so that nothing is changed by its name: it would
/// be changed whatever the name leads to by then. A node has its mode from its beginning, and one that is there already
/// and is not as wanted makes room.
fn make_node(directory: &Fd, node: &Node<Borrowed<'_>>, replace: bool) -> Outcome {
    match mknod(directory, node) {
        Err(Errno::EXIST) => {
            let status = sys::status_at(directory, node.name).of(Call::Stat)?;
            let is_device = is_this(&status, node);
            if is_device && is_as_wanted(&status, node) {
                return Ok(());
            }
            if !is_device && !replace {
                return Err(Fault::new(Call::Mknod, Errno::EXIST));
            }
            match sys::unlinkat(directory, node.name) {
                // It is mounted there: whose it is, and who may use it, is up to where it comes from.
                Err(Errno::BUSY) if is_device => return Ok(()),
                answer => answer.of(Call::Unlink)?,
            }
            mknod(directory, node).of(Call::Mknod)?;
        }
        answer => answer.of(Call::Mknod)?,
    }
    if (node.uid, node.gid) == (0, 0) { Ok(()) } else { give(directory, node) }
}

fn mknod(directory: &Fd, node: &Node<Borrowed<'_>>) -> Answer<()> {
    let mode = u32::from(type_bits(node.kind)) | node.mode;
    sys::mknodat(directory, node.name, mode, device(node.major, node.minor))
}

/// Gives the node to its owner: by descriptor, and only if it is the one that was made.
fn give(directory: &Fd, node: &Node<Borrowed<'_>>) -> Outcome {
    let made = sys::openat(directory.raw(), node.name, open::PATH | open::NOFOLLOW, 0).of(Call::Open)?;
    let status = sys::status(&made).of(Call::Stat)?;
    if !is_this(&status, node) {
        return Err(Fault::new(Call::RightNode, Errno::INVAL));
    }
    sys::chownat(&made, c"", node.uid, node.gid).of(Call::Chown)
}

/// Whether it is the node that is wanted. A link is not, wherever it points to (CVE-2025-31133).
fn is_this(status: &Status, node: &Node<Borrowed<'_>>) -> bool {
    status.file_type() == type_bits(node.kind)
        && (status.device_major, status.device_minor) == (node.major, node.minor)
}

fn is_as_wanted(status: &Status, node: &Node<Borrowed<'_>>) -> bool {
    (u32::from(status.mode & 0o7777), status.uid, status.gid) == (node.mode, node.uid, node.gid)
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
