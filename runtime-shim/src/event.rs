//! Events: what containerd is told that has happened.
//!
//! The names of messages are written here. The generated code knows them too, but to ask it means to parse the
//! descriptions of all messages, which then stay in memory.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::protos::events::task::{
    TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskOOM, TaskPaused, TaskResumed,
    TaskStart,
};
use crate::protos::protobuf::well_known_types::any::Any;
use crate::protos::protobuf::well_known_types::timestamp::Timestamp;
use crate::protos::protobuf::{Message, MessageField};
use crate::protos::shim::event::Envelope;
use crate::protos::topics;
use crate::refusal::Refusal;

/// A message that is an event.
pub(crate) trait Event: Message {
    /// Its name.
    const NAME: &'static str;
    /// What subscribers ask for.
    const TOPIC: &'static str;
}

macro_rules! events {
    ($($message:ident $topic:ident;)*) => {$(
        impl Event for $message {
            const NAME: &'static str = concat!("containerd.events.", stringify!($message));
            const TOPIC: &'static str = topics::$topic;
        }
    )*};
}

events! {
    TaskCreate TASK_CREATE_EVENT_TOPIC;
    TaskStart TASK_START_EVENT_TOPIC;
    TaskOOM TASK_OOM_EVENT_TOPIC;
    TaskExit TASK_EXIT_EVENT_TOPIC;
    TaskDelete TASK_DELETE_EVENT_TOPIC;
    TaskExecAdded TASK_EXEC_ADDED_EVENT_TOPIC;
    TaskExecStarted TASK_EXEC_STARTED_EVENT_TOPIC;
    TaskPaused TASK_PAUSED_EVENT_TOPIC;
    TaskResumed TASK_RESUMED_EVENT_TOPIC;
}

/// An event as it is sent.
///
/// # Errors
/// It can't be written as a message.
pub(crate) fn envelope<E: Event>(namespace: &str, event: &E, now: SystemTime) -> Result<Envelope, Refusal> {
    Ok(Envelope {
        timestamp: timestamp(now),
        namespace: namespace.into(),
        topic: E::TOPIC.into(),
        event: Some(packed(<E as Event>::NAME, event.write_to_bytes()?)).into(),
        ..Envelope::default()
    })
}

/// A message that is carried by another one.
pub(crate) fn packed(name: &str, value: Vec<u8>) -> Any {
    Any { type_url: name.into(), value, ..Any::default() }
}

/// A time, as messages have it. Before 1970 is no time.
pub(crate) fn timestamp(time: SystemTime) -> MessageField<Timestamp> {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    MessageField::some(Timestamp {
        seconds: since.as_secs().cast_signed(),
        nanos: since.subsec_nanos().cast_signed(),
        ..Timestamp::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_it_is() {
        let start = TaskStart { container_id: "c".into(), pid: 7, ..TaskStart::default() };
        let sent = envelope("n", &start, UNIX_EPOCH + Duration::from_nanos(1_000_000_002)).unwrap();
        assert_eq!((sent.namespace.as_str(), sent.topic.as_str()), ("n", "/tasks/start"));
        assert_eq!(sent.event.type_url, "containerd.events.TaskStart");
        assert_eq!(TaskStart::parse_from_bytes(&sent.event.value).unwrap(), start);
        assert_eq!((sent.timestamp.seconds, sent.timestamp.nanos), (1, 2));
        assert_eq!((<TaskOOM as Event>::NAME, TaskOOM::TOPIC), ("containerd.events.TaskOOM", "/tasks/oom"));
    }
}
