//! `pause`, `resume` and `update`.

use runtime_core::spec::resources;

use super::{Answer, Call, Service, done};
use crate::protos::api::{PauseRequest, ResumeRequest, UpdateTaskRequest};
use crate::protos::events::task::{TaskPaused, TaskResumed};

impl Service {
    pub(super) fn pause(&mut self, call: Call, PauseRequest { id, .. }: PauseRequest) -> Answer {
        let container = self.task(&id)?.container.clone();
        self.later(
            call,
            move || Ok(container.pause()?),
            move |service, paused| {
                paused?;
                service.task_mut(&id)?.is_paused = true;
                service.publish(&TaskPaused { container_id: id, ..TaskPaused::default() });
                done()
            },
        )
    }

    pub(super) fn resume(&mut self, call: Call, ResumeRequest { id, .. }: ResumeRequest) -> Answer {
        let container = self.task(&id)?.container.clone();
        self.later(
            call,
            move || Ok(container.resume()?),
            move |service, resumed| {
                resumed?;
                service.task_mut(&id)?.is_paused = false;
                service.publish(&TaskResumed { container_id: id, ..TaskResumed::default() });
                done()
            },
        )
    }

    pub(super) fn update(&mut self, call: Call, request: &UpdateTaskRequest) -> Answer {
        let container = self.task(&request.id)?.container.clone();
        let resources = resources(&request.resources.value)?;
        self.later(
            call,
            move || Ok(container.update(&resources)?),
            |_, updated| updated.and_then(|()| done()),
        )
    }
}
