//! `exec`: announces a further process, which `start` starts.

use serde_json::Value;

use super::task::Process;
use super::{Answer, Service, done};
use crate::protos::api::ExecProcessRequest;
use crate::protos::events::task::TaskExecAdded;
use crate::refusal::Refusal;
use crate::stdio::Streams;

impl Service {
    pub(super) fn exec(&mut self, request: ExecProcessRequest) -> Answer {
        let task = self.task_mut(&request.id)?;
        if request.exec_id.is_empty() {
            return Err(Refusal::invalid("a further process needs a name"));
        }
        if task.execs.contains_key(&request.exec_id) {
            return Err(runtime_core::Error::Exists(request.exec_id).into());
        }
        if task.first.exit.is_some() {
            return Err(Refusal::wrong_state("cannot exec in a stopped container"));
        }
        let document = document(&request.spec.value, request.terminal)?;
        let process = Process::new(streams(&request), document);
        task.execs.insert(request.exec_id.clone(), process);
        let (container_id, exec_id) = (request.id, request.exec_id);
        self.publish(&TaskExecAdded { container_id, exec_id, ..TaskExecAdded::default() });
        done()
    }
}

/// The process of the request; whether it has a terminal is said beside it.
fn document(raw: &[u8], terminal: bool) -> Result<Vec<u8>, Refusal> {
    let read = serde_json::from_slice(raw);
    let mut process: Value =
        read.map_err(|error| Refusal::invalid(format!("the process can't be understood: {error}")))?;
    let Some(members) = process.as_object_mut() else {
        return Err(Refusal::invalid("the process has to be a JSON object"));
    };
    members.insert("terminal".into(), terminal.into());
    Ok(process.to_string().into_bytes())
}

fn streams(request: &ExecProcessRequest) -> Streams {
    Streams {
        stdin: request.stdin.clone(),
        stdout: request.stdout.clone(),
        stderr: request.stderr.clone(),
        terminal: request.terminal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_says_whether_there_is_a_terminal() {
        let process = document(br#"{"args":["sh"],"terminal":true,"cwd":"/"}"#, false).unwrap();
        let process: Value = serde_json::from_slice(&process).unwrap();
        assert_eq!(process, serde_json::json!({"args": ["sh"], "terminal": false, "cwd": "/"}));
        assert!(document(b"[]", false).is_err() && document(b"", false).is_err());
    }
}
