//! `kill`.

use runtime_core::ErrorKind;

use super::task::{Handle, Process, Who};
use super::{Answer, Call, Service, done};
use crate::protos::api::KillRequest;
use crate::refusal::Refusal;

impl Service {
    pub(super) fn kill(&mut self, call: Call, request: KillRequest) -> Answer {
        let (task, process) = self.process(&Who::new(&request.id, &request.exec_id))?;
        let signal =
            i32::try_from(request.signal).map_err(|_| Refusal::invalid("there is no such signal"))?;
        match &process.handle {
            Some(Handle::Further(further)) => {
                further.signal(signal).map_err(|_| finished()).and_then(|()| done())
            }
            Some(Handle::First(_)) => {
                let (container, all) = (task.container.clone(), request.all);
                let work = move || container.kill(signal, all).map_err(understood);
                self.later(call, work, |_, killed| killed.and_then(|()| done()))
            }
            None => Err(gone(process)),
        }
    }
}

/// Containerd goes on if it hears that the process isn't there any more.
fn understood(error: runtime_core::Error) -> Refusal {
    match error.kind() {
        ErrorKind::Status | ErrorKind::NotFound => finished(),
        _ => error.into(),
    }
}

fn gone(process: &Process) -> Refusal {
    match process.exit {
        Some(_) => finished(),
        None => Refusal::wrong_state("process not created"),
    }
}

fn finished() -> Refusal {
    Refusal::not_found("process already finished")
}
