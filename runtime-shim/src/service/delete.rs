//! `delete`: what is left of a process that has ended.

use std::path::PathBuf;

use runtime_core::ErrorKind;
use runtime_core::container::Container;

use super::task::{Exit, Process, Stage, Who};
use super::{Answer, Call, Service, now};
use crate::event::timestamp;
use crate::protos::api::{DeleteRequest, DeleteResponse};
use crate::protos::events::task::TaskDelete;
use crate::reaper::KILLED;
use crate::refusal::Refusal;
use crate::rootfs;

impl Service {
    pub(super) fn delete(&mut self, call: Call, request: DeleteRequest) -> Answer {
        let who = Who { task: request.id, exec: request.exec_id };
        let (task, process) = self.process(&who)?;
        if !matches!(process.stage, Stage::Stopped | Stage::Created) {
            return Err(Refusal::wrong_state("cannot delete a running process"));
        }
        if !who.is_first() {
            return self.delete_further(&who);
        }
        let (root, container) = (task.root.clone(), task.container.clone());
        let place = task.has_mounts.then(|| rootfs::of(&task.bundle));
        self.later(
            call,
            move || remove(&root, &container, place),
            move |service, removed| {
                removed?;
                service.deleted(&who)
            },
        )
    }

    fn delete_further(&mut self, who: &Who) -> Answer {
        let process = self.task_mut(&who.task)?.execs.remove(&who.exec);
        let process = process.ok_or_else(|| Refusal::not_found(who.exec.as_str()))?;
        now(&last_words(&process))
    }

    fn deleted(&mut self, who: &Who) -> Answer {
        // One that was never started was killed just now.
        if self.process(who)?.1.exit.is_none() {
            self.exited(who, KILLED);
        }
        let task = self.tasks.remove(&who.task).ok_or_else(|| Refusal::not_found(who.task.as_str()))?;
        let response = last_words(&task.first);
        self.publish(&TaskDelete {
            container_id: who.task.clone(),
            pid: response.pid,
            exit_status: response.exit_status,
            exited_at: response.exited_at.clone(),
            ..TaskDelete::default()
        });
        now(&response)
    }
}

/// Removes a container, and then what its root lies on.
fn remove(
    root: &runtime_core::state::StateRoot,
    container: &Container,
    mounts: Option<PathBuf>,
) -> Result<(), Refusal> {
    match Container::delete(root, container.id(), false) {
        // Somebody was faster.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed?,
    }
    mounts.map_or(Ok(()), |place| rootfs::unmount_all(&place))
}

fn last_words(process: &Process) -> DeleteResponse {
    let Exit { status, at } = match process.exit {
        Some(exit) => exit,
        None => return DeleteResponse { pid: process.pid, ..DeleteResponse::default() },
    };
    DeleteResponse {
        pid: process.pid,
        exit_status: status,
        exited_at: timestamp(at),
        ..DeleteResponse::default()
    }
}
