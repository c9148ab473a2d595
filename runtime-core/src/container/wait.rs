//! `wait`: how a container ended, for any process that asks.

use std::os::fd::AsFd;
use std::time::Duration;

use super::{Container, Exit};
use crate::error::{Error, Result};
use crate::state::{End, Record, StateRoot};
use crate::sys;

/// Waits for the end of a container, but not for longer than this, and keeps how it was.
pub(super) fn wait(container: &Container, time: Duration) -> Result<Option<End>> {
    let record = container.record()?;
    if let Some(process) = record.init.open()? {
        if !sys::process::wait_for_end(process.as_fd(), time) {
            return Ok(None);
        }
        // It is a zombie first, and then it is reaped, which may be between two questions.
        let reaped = || sys::process::wait_status(process.as_fd());
        let status = match reaped() {
            None => record.init.zombie_status()?.or_else(reaped),
            status => status,
        };
        if let Some(status) = status {
            return Ok(Some(keep(&container.root, &record, status)));
        }
    }
    match look(&container.root, &record)? {
        Some(end) => Ok(Some(end)),
        None => Err(Error::ExitUnknown(container.id.to_string())),
    }
}

/// How a container ended, if that is known or can be seen still; then it is kept.
pub(super) fn look(root: &StateRoot, record: &Record) -> Result<Option<End>> {
    match root.end(&record.id)? {
        Some(end) => Ok(Some(end)),
        None => Ok(record.init.zombie_status()?.map(|status| keep(root, record, status))),
    }
}

/// Keeps an end, unless another command was faster, or holds the container: then the next one will see it.
fn keep(root: &StateRoot, record: &Record, status: i32) -> End {
    let out_of_memory = record.cgroup.oom_kills().is_some_and(|count| count > 0);
    let end = End::seen_now(root, &record.id, Exit::of_status(status), out_of_memory);
    kept(root, record, end)
}

fn kept(root: &StateRoot, record: &Record, end: End) -> End {
    let Ok(Some(entry)) = root.lock_within(&record.id, Duration::ZERO) else { return end };
    // Another container may have got the name meanwhile: this is not how that one ended.
    if !entry.record().is_ok_and(|now| now.is_some_and(|now| now.init == record.init)) {
        return end;
    }
    match entry.end() {
        Ok(Some(earlier)) => earlier,
        _ => {
            let _ = entry.write_end(&end);
            end
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::getpid;

    use super::*;
    use crate::plan::Request;
    use crate::spec::ContainerId;
    use crate::state::scratch::Scratch;
    use crate::state::{Identity, VERSION};

    fn record(init: Identity) -> Record {
        let id = ContainerId::new("x").unwrap();
        Record {
            version: VERSION,
            id: id.clone(),
            oci_version: "1.3.0".into(),
            init,
            bundle: "/bundle".into(),
            rootfs: "/bundle/rootfs".into(),
            created: "2030-01-31T23:59:59.123456789Z".into(),
            owner: 0,
            annotations: Default::default(),
            cgroup: Default::default(),
            private_pid_namespace: true,
            agent: None,
            hooks: Vec::new(),
            request: Request::new(&id, "/bundle/rootfs".into()),
        }
    }

    #[test]
    fn an_end_is_not_kept_as_that_of_a_new_container_of_the_same_name() {
        let scratch = Scratch::new();
        let root = StateRoot::open(&scratch.path().join("root")).unwrap();
        let now = record(Identity::of(getpid()).unwrap());
        let earlier = record(Identity { start_time: now.init.start_time - 1, ..now.init.clone() });
        let entry = root.create(&now.id).unwrap();
        entry.write_record(&now).unwrap();
        drop(entry);
        let end = keep(&root, &earlier, 0x300);
        assert_eq!((end.exit, root.end(&now.id).unwrap()), (Exit::Code(3), None));
        keep(&root, &now, 0x400);
        assert_eq!(root.end(&now.id).unwrap().map(|end| end.exit), Some(Exit::Code(4)));
    }
}
