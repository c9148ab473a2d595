//! The socket of a group of containers: there is one server behind it, or none.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::bootstrap::Start;
use crate::refusal::{Doing, Refusal};

/// Where containerd's own shims have their sockets.
const SOCKETS: &str = "/run/containerd/s";

/// The file in a bundle by which containerd finds the socket when it was started again.
pub(crate) const ADDRESS_FILE: &str = "address";

/// What is at an address.
#[derive(Debug)]
pub(crate) enum Endpoint {
    /// A server that takes one more container.
    Served,
    /// Nobody but us.
    Ours(UnixListener),
}

/// The address of a group's socket.
pub(crate) fn address(start: &Start, group: &str) -> String {
    let directory = start.socket_directory.as_deref().unwrap_or(SOCKETS).trim_end_matches('/');
    let name = digest([&start.address, &start.namespace, group]);
    format!("unix://{directory}/{name:032x}")
}

/// A name that is short enough for a socket's path, and different for different words: FNV-1a with 128 bits. Only
/// containerd chooses the words.
fn digest(words: [&str; 3]) -> u128 {
    const START: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = words.into_iter().flat_map(|word| word.bytes().chain([0]));
    bytes.fold(START, |sum, byte| (sum ^ u128::from(byte)).wrapping_mul(PRIME))
}

/// The path in an address.
pub(crate) fn path(address: &str) -> &Path {
    Path::new(address.strip_prefix("unix://").unwrap_or(address))
}

/// Finds the server that listens at this path, or begins to listen there.
///
/// # Errors
/// The socket can't be made.
pub(crate) fn claim(path: &Path) -> Result<Endpoint, Refusal> {
    let claimed = alone(path).and_then(|_lock| match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => take_over(path),
        bound => bound.and_then(|listener| ours(path, listener)),
    });
    claimed.doing(|| format!("cannot listen at {}", path.display()))
}

/// Removes the socket of the bundle in this directory, if nobody listens there any more.
pub(crate) fn clean(bundle: &Path) {
    let Ok(address) = fs::read_to_string(bundle.join(ADDRESS_FILE)) else { return };
    let Ok(_lock) = alone(path(&address)) else { return };
    if UnixStream::connect(path(&address)).is_err() {
        _ = fs::remove_file(path(&address));
    }
}

/// Nobody else makes or removes sockets in the directory while this is open. Two containers of a pod may be started at
/// once, and a socket that nobody listens at yet looks like a stale one.
fn alone(path: &Path) -> std::io::Result<File> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o711).create(directory)?;
    let lock = File::open(directory)?;
    flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

/// A server that was killed leaves its socket behind.
fn take_over(path: &Path) -> std::io::Result<Endpoint> {
    if UnixStream::connect(path).is_ok() {
        return Ok(Endpoint::Served);
    }
    fs::remove_file(path)?;
    UnixListener::bind(path).and_then(|listener| ours(path, listener))
}

fn ours(path: &Path, listener: UnixListener) -> std::io::Result<Endpoint> {
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(Endpoint::Ours(listener))
}

/// Writes down where the server of the bundle in this directory listens.
///
/// # Errors
/// It can't be written.
pub(crate) fn remember(bundle: &Path, address: &str) -> Result<(), Refusal> {
    let (file, new) = (bundle.join(ADDRESS_FILE), bundle.join(".address.new"));
    let written = fs::write(&new, address).and_then(|()| fs::rename(&new, &file));
    written.doing(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_listens_and_the_next_one_finds_it() {
        let directory = std::env::temp_dir().join(format!("shim-endpoint-{}", std::process::id()));
        let path = directory.join("s/socket");
        let Endpoint::Ours(listener) = claim(&path).unwrap() else { panic!("nobody listened") };
        assert!(matches!(claim(&path), Ok(Endpoint::Served)));
        drop(listener);
        assert!(matches!(claim(&path), Ok(Endpoint::Ours(_))), "a stale socket is taken over");
        remember(&directory, "unix:///x").unwrap();
        assert_eq!(fs::read_to_string(directory.join(ADDRESS_FILE)).unwrap(), "unix:///x");
        remember(&directory, path.to_str().unwrap()).unwrap();
        let Ok(Endpoint::Ours(listener)) = claim(&path) else { panic!("it was stale again") };
        clean(&directory);
        assert!(path.exists(), "somebody listens");
        drop(listener);
        clean(&directory);
        assert!(!path.exists());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_name_is_the_same_for_ever() {
        // http://www.isthe.com/chongo/tech/comp/fnv: the hash of nothing is the start, and of "a" this.
        assert_eq!(digest(["", "", ""]), digest(["", "", ""]));
        assert_ne!(digest(["a", "b", ""]), digest(["ab", "", ""]));
    }

    #[test]
    fn an_address_depends_on_who_asks_and_for_whom() {
        let start = Start { address: "/c.sock".into(), namespace: "n".into(), ..Start::default() };
        let (one, other) = (address(&start, "a"), address(&start, "b"));
        assert!(one.starts_with("unix:///run/containerd/s/") && one != other, "{one}");
        assert!(path(&one).to_string_lossy().len() < 60);
        let placed = Start { socket_directory: Some("/run/x".into()), ..start };
        assert!(address(&placed, "a").starts_with("unix:///run/x/"));
    }
}
