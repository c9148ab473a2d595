//! A place where files from outside can be put where the library looks for them, and nothing else is: an empty root of
//! memory, a mount namespace and a network namespace, for one thread.
#![allow(unsafe_code)]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::process::{chdir, pivot_root};
use rustix::thread::{UnshareFlags, unshare_unsafe};

type Work = Box<dyn FnOnce() + Send>;
type Outcome = Result<(), Box<dyn Any + Send>>;

/// The way to the thread, and back.
struct Jail {
    work: Sender<Work>,
    outcomes: Receiver<Outcome>,
}

/// Does something with the empty root as `/`. What it leaves there, the next one finds.
pub(crate) fn within(work: impl FnOnce() + Send + 'static) {
    static JAIL: OnceLock<Mutex<Jail>> = OnceLock::new();
    let jail = JAIL.get_or_init(|| Mutex::new(Jail::new())).lock().unwrap_or_else(PoisonError::into_inner);
    jail.work.send(Box::new(work)).expect("the thread outlives us");
    if let Err(panic) = jail.outcomes.recv().expect("the thread outlives us") {
        drop(jail);
        resume_unwind(panic);
    }
}

impl Jail {
    fn new() -> Self {
        let (work, orders) = channel::<Work>();
        let (answers, outcomes) = channel();
        thread::spawn(move || {
            let entered = catch_unwind(enter);
            for order in orders {
                let outcome = match &entered {
                    Ok(()) => catch_unwind(AssertUnwindSafe(order)),
                    Err(_) => {
                        Err(Box::new("the jail can't be entered: are you root?") as Box<dyn Any + Send>)
                    }
                };
                if answers.send(outcome).is_err() {
                    return;
                }
            }
        });
        Jail { work, outcomes }
    }
}

fn enter() {
    let namespaces = UnshareFlags::FS | UnshareFlags::NEWNS | UnshareFlags::NEWNET;
    // SAFETY: this thread was made for it: no other relies on sharing its root, and no descriptor is unshared.
    unsafe { unshare_unsafe(namespaces) }.expect("namespaces of its own");
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).expect("mounts become private");
    mount("none", "/tmp", "tmpfs", MountFlags::empty(), c"size=64m").expect("a tmpfs is mounted");
    chdir("/tmp").expect("it is a directory");
    pivot_root(".", ".").expect("it becomes the root");
    unmount(".", UnmountFlags::DETACH).expect("the old root goes");
    chdir("/").expect("there is a root");
    assert!(!Path::new("/etc").exists(), "this is still the host");
}
