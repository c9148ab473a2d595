//! `close_io` and `resize_pty`.

use runtime_core::plan::WindowSize;

use super::task::Who;
use super::{Answer, Service, done};
use crate::protos::api::{CloseIORequest, ResizePtyRequest};

impl Service {
    /// Lets a program's input end, when those who have it open close it as well.
    pub(super) fn close_io(&mut self, request: &CloseIORequest) -> Answer {
        let process = self.process_mut(&Who::new(&request.id, &request.exec_id))?;
        if request.stdin {
            process.held.stdin = None;
        }
        done()
    }

    /// What has no terminal has no size.
    pub(super) fn resize(&mut self, request: &ResizePtyRequest) -> Answer {
        let (_, process) = self.process(&Who::new(&request.id, &request.exec_id))?;
        let console = process.console.and_then(|console| self.consoles.get(&console));
        let short = |length: u32| u16::try_from(length).unwrap_or(u16::MAX);
        let size = WindowSize { rows: short(request.height), columns: short(request.width) };
        console.map_or(Ok(()), |console| console.terminal().resize(size))?;
        done()
    }
}
