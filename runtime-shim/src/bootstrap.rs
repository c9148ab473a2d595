//! What containerd says at the `start` action, and how it wants to be answered.
//!
//! From 2.3 on there is a message on standard input, and the answer is a message. Before that there were flags, variables
//! and, at most, the runtime's options on standard input. The answer then is the bare address, which every version takes:
//! it stands for the task service in version 2. JSON would be asked for with version 3, which 1.6 and 1.7 don't know.

use std::env;
use std::io::{IsTerminal, Read, stdin};

use crate::arguments::Flags;
use crate::protos::bootstrap_api::{BootstrapParams, BootstrapResult};

use crate::protos::protobuf::Message;
use crate::protos::protobuf::well_known_types::any::Any;
use crate::refusal::{Doing, Refusal};

/// As much is read as containerd's own shims read.
const LONGEST: u64 = 10 << 20;

/// The variable with the address at which containerd takes events.
pub(crate) const EVENTS_ADDRESS: &str = "TTRPC_ADDRESS";

/// What a shim is started with.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Start {
    /// The container.
    pub(crate) id: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// containerd's main socket.
    pub(crate) address: String,
    /// Where containerd takes events.
    pub(crate) events_address: String,
    /// Where the shim's socket goes, if containerd cares.
    pub(crate) socket_directory: Option<String>,
    /// The runtime's options.
    pub(crate) options: Option<Any>,
    /// Whether the answer is a message.
    pub(crate) answers_with_message: bool,
}

impl Start {
    /// Reads it.
    ///
    /// # Errors
    /// The message is for another shim, or says nothing about where events go.
    pub(crate) fn read(flags: &Flags) -> Result<Self, Refusal> {
        let events_address = env::var(EVENTS_ADDRESS).unwrap_or_default();
        let start = Self::of(&input()?, flags, events_address)?;
        match start.events_address.is_empty() {
            true => Err(Refusal::invalid(format!("{EVENTS_ADDRESS} is missing"))),
            false => Ok(start),
        }
    }

    fn of(input: &[u8], flags: &Flags, events_address: String) -> Result<Self, Refusal> {
        // An option's message can be read as the other one: its two texts become the name and the namespace.
        let message = BootstrapParams::parse_from_bytes(input).ok().filter(|_| !input.is_empty());
        match message {
            Some(message) if is_for(&message, flags) => Ok(Self::from_message(message)),
            Some(message) if !has_only_texts(&message) => Err(Refusal::invalid(format!(
                "the message is for {}/{}, not for {}/{}",
                message.namespace, message.instance_id, flags.namespace, flags.id
            ))),
            _ => Ok(Self::from_flags(input, flags, events_address)),
        }
    }

    fn from_message(message: BootstrapParams) -> Self {
        Start {
            id: message.instance_id,
            namespace: message.namespace,
            address: message.containerd_grpc_address,
            events_address: message.containerd_ttrpc_address,
            socket_directory: message.socket_dir.filter(|directory| !directory.is_empty()),
            options: message.extensions.into_iter().find_map(|extension| extension.value.into_option()),
            answers_with_message: true,
        }
    }

    fn from_flags(input: &[u8], flags: &Flags, events_address: String) -> Self {
        let options = Any::parse_from_bytes(input).ok().filter(|any| !any.type_url.is_empty());
        Start {
            id: flags.id.clone(),
            namespace: flags.namespace.clone(),
            address: flags.address.clone(),
            events_address,
            options,
            ..Start::default()
        }
    }

    /// The answer: where the shim listens.
    ///
    /// # Errors
    /// The address has no place in a message.
    pub(crate) fn answer(&self, address: &str) -> Result<Vec<u8>, Refusal> {
        if !self.answers_with_message {
            return Ok(address.into());
        }
        let mut result = BootstrapResult::new();
        result.version = crate::protos::TASK_API_VERSION;
        result.address = address.into();
        result.protocol = "ttrpc".into();
        Ok(result.write_to_bytes()?)
    }
}

fn is_for(message: &BootstrapParams, flags: &Flags) -> bool {
    message.instance_id == flags.id && message.namespace == flags.namespace
}

fn has_only_texts(message: &BootstrapParams) -> bool {
    let texts = BootstrapParams {
        instance_id: message.instance_id.clone(),
        namespace: message.namespace.clone(),
        ..BootstrapParams::default()
    };
    *message == texts
}

/// What containerd wrote; nothing where somebody sits at a terminal.
fn input() -> Result<Vec<u8>, Refusal> {
    let mut input = Vec::new();
    let stdin = stdin();
    if !stdin.is_terminal() {
        stdin.lock().take(LONGEST).read_to_end(&mut input).doing(|| "cannot read the options".into())?;
    }
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> Flags {
        Flags { id: "c".into(), namespace: "n".into(), address: "/c.sock".into(), ..Flags::default() }
    }

    #[test]
    fn older_versions_use_flags_and_get_the_bare_address() {
        let start = Start::of(b"", &flags(), "/events".into()).unwrap();
        assert_eq!((start.id.as_str(), start.namespace.as_str()), ("c", "n"));
        assert_eq!((start.address.as_str(), start.events_address.as_str()), ("/c.sock", "/events"));
        assert_eq!(start.answer("unix:///s").unwrap(), b"unix:///s");
    }

    #[test]
    fn their_options_are_not_taken_for_a_message() {
        let mut any = Any::new();
        any.type_url = "containerd.runc.v1.Options".into();
        any.value = b"\x1a\x02/x".to_vec();
        let start = Start::of(&any.write_to_bytes().unwrap(), &flags(), "/events".into()).unwrap();
        assert_eq!(start.options, Some(any));
        assert!(!start.answers_with_message);
    }

    #[test]
    fn newer_versions_use_a_message_and_get_one() {
        let message = BootstrapParams {
            instance_id: "c".into(),
            namespace: "n".into(),
            containerd_ttrpc_address: "/e".into(),
            socket_dir: Some("/run/s".into()),
            ..BootstrapParams::default()
        };
        let bytes = message.write_to_bytes().unwrap();
        let start = Start::of(&bytes, &flags(), String::new()).unwrap();
        assert_eq!(
            (start.events_address.as_str(), start.socket_directory.as_deref()),
            ("/e", Some("/run/s"))
        );
        let answer = BootstrapResult::parse_from_bytes(&start.answer("unix:///s").unwrap()).unwrap();
        assert_eq!(
            (answer.version, answer.address.as_str(), answer.protocol.as_str()),
            (3, "unix:///s", "ttrpc")
        );
        let other = Flags { id: "d".into(), ..flags() };
        assert!(Start::of(&bytes, &other, String::new()).is_err());
    }
}
