//! What containerd may ask about containers, and wait for.

use std::collections::BTreeMap;

use super::task::{Exit, Stage, Who};
use super::{Answer, Call, Reply, Service, now};
use crate::event::{packed, timestamp};
use crate::metrics;
use crate::protos::api::{
    ConnectRequest, ConnectResponse, PidsRequest, PidsResponse, ProcessInfo, StateRequest, StateResponse,
    StatsRequest, StatsResponse, WaitRequest, WaitResponse,
};
use crate::protos::protobuf::Message;
use crate::protos::shim::oci::ProcessDetails;
use crate::refusal::Refusal;

/// What containerd calls the message that names a further process.
const PROCESS_DETAILS: &str = "containerd.runc.v1.ProcessDetails";

impl Service {
    pub(super) fn state(&self, request: &StateRequest) -> Answer {
        let who = Who::new(&request.id, &request.exec_id);
        let (task, process) = self.process(&who)?;
        // What was not told yet has not happened.
        let exit = process.exit.filter(|_| process.stage == Stage::Stopped);
        now(&StateResponse {
            id: who.name().to_owned(),
            bundle: task.bundle.to_string_lossy().into_owned(),
            pid: process.pid,
            status: task.status(process).into(),
            stdin: process.streams.stdin.clone(),
            stdout: process.streams.stdout.clone(),
            stderr: process.streams.stderr.clone(),
            terminal: process.streams.terminal,
            exit_status: exit.map_or(0, |exit| exit.status),
            exited_at: exit.map(|exit| timestamp(exit.at)).unwrap_or_default(),
            exec_id: request.exec_id.clone(),
            ..StateResponse::default()
        })
    }

    pub(super) fn wait(&mut self, call: Call, request: &WaitRequest) -> Answer {
        let process = self.process_mut(&Who::new(&request.id, &request.exec_id))?;
        match process.exit.filter(|_| process.stage == Stage::Stopped) {
            Some(exit) => now(&ended(exit)),
            None => {
                process.waiters.push(call);
                Ok(Reply::Later)
            }
        }
    }

    pub(super) fn connection(&self, request: &ConnectRequest) -> Answer {
        let task = self.task(&request.id)?;
        let (shim_pid, task_pid) = (std::process::id(), task.first.pid);
        now(&ConnectResponse { shim_pid, task_pid, ..ConnectResponse::default() })
    }

    pub(super) fn pids(&mut self, call: Call, request: &PidsRequest) -> Answer {
        let task = self.task(&request.id)?;
        let container = task.container.clone();
        let names = task.execs.iter().map(|(name, process)| (process.pid, name.clone()));
        let names: BTreeMap<u32, String> = names.collect();
        self.later(
            call,
            move || Ok(container.pids()?),
            move |_, pids| {
                let described = pids?.into_iter().map(|pid| process(pid, names.get(&pid)));
                let processes = described.collect::<Result<_, _>>()?;
                now(&PidsResponse { processes, ..PidsResponse::default() })
            },
        )
    }

    pub(super) fn stats(&mut self, call: Call, request: &StatsRequest) -> Answer {
        let task = self.task(&request.id)?;
        let (root, container) = (task.root.clone(), task.container.clone());
        let work = move || {
            let record = root.peek(container.id())?;
            let record = record.ok_or_else(|| Refusal::not_found(format!("container {}", container.id())))?;
            metrics::of(&record.cgroup)
        };
        self.later(call, work, |_, stats| {
            now(&StatsResponse { stats: Some(stats?).into(), ..StatsResponse::default() })
        })
    }
}

fn process(pid: u32, name: Option<&String>) -> Result<ProcessInfo, Refusal> {
    let mut info = ProcessInfo { pid, ..ProcessInfo::default() };
    if let Some(name) = name {
        let details = ProcessDetails { exec_id: name.clone(), ..ProcessDetails::default() };
        info.info = Some(packed(PROCESS_DETAILS, details.write_to_bytes()?)).into();
    }
    Ok(info)
}

/// How a process ended, for those who wait.
pub(super) fn ended(exit: Exit) -> WaitResponse {
    WaitResponse { exit_status: exit.status, exited_at: timestamp(exit.at), ..WaitResponse::default() }
}
