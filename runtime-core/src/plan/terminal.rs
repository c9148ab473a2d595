//! The terminal, and descriptors that others are sent.

use std::path::Path;

use oci_spec::runtime::Process;
use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::{Action, Pointer};
use crate::error::ConfigError;
use crate::step::Step;

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Its height.
    pub rows: u16,
    /// Its width.
    pub columns: u16,
}

/// Who gets a terminal, and of what size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    /// The socket to which its master is sent; without one, the caller gets it.
    pub(super) socket: Option<&'a Path>,
    /// Its size, instead of `process.consoleSize`.
    pub(super) size: Option<WindowSize>,
    /// Whether it becomes the container's /dev/console.
    pub(super) console: bool,
    /// Whether it becomes the session's controlling terminal at once.
    pub(super) control: bool,
}

/// Opens a terminal, if the process wants one.
pub(super) fn open(plan: &mut Draft, process: &Process, order: Order<'_>) -> Result<(), ConfigError> {
    if !process.terminal().unwrap_or(false) {
        return Ok(());
    }
    let origin = Pointer::of("/process/terminal");
    let size = match order.size {
        Some(size) => size,
        None => configured_size(process)?,
    };
    plan.init(
        origin.clone(),
        Step::OpenTerminal {
            rows: size.rows.into(),
            columns: size.columns.into(),
            owner: process.user().uid(),
            console: order.console,
            control: order.control,
        },
    );
    let taken = order.socket.map_or(Action::KeepTerminal, |socket| Action::SendTerminal(socket.into()));
    plan.host(origin, taken);
    Ok(())
}

fn configured_size(process: &Process) -> Result<WindowSize, ConfigError> {
    let Some(size) = process.console_size() else { return Ok(WindowSize { rows: 0, columns: 0 }) };
    let number = |name, given: u64| {
        u16::try_from(given).map_err(|_| {
            let origin = Pointer::of("/process/consoleSize").child(name);
            ConfigError::new(origin, format!("{given} is too large for a terminal; 65535 is the most"))
        })
    };
    Ok(WindowSize { rows: number("height", size.height())?, columns: number("width", size.width())? })
}

/// Sends a pidfd of the process to a socket, if that is wanted; `word` says what kind of process it is.
pub(super) fn send_pidfd(plan: &mut Draft, socket: Option<&Path>, word: &'static str) {
    if let Some(socket) = socket {
        plan.host(Pointer::NONE, Action::SendPidfd { socket: socket.into(), word });
    }
}
