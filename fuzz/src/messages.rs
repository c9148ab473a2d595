//! What crosses between the library and init.

use runtime_core::step::Step;
use runtime_core::wire::{Borrowed, Message, Report};

use crate::plans::read_lists;

/// Any bytes are read to the end, and a report that is understood is one that is written like that.
pub(crate) fn messages(bytes: &[u8]) {
    if let Some(report) = Report::from_bytes(bytes) {
        let again = report.to_bytes();
        assert_eq!(Report::from_bytes(&again), Some(report));
    }
    let Some(message) = Message::open(bytes) else { return };
    _ = (message.blob(0), message.blob(u32::MAX));
    let mut read = 0;
    for (_, step) in message.steps::<Step<Borrowed<'_>>>() {
        step.iter().for_each(read_lists);
        read += 1;
    }
    assert!(read <= bytes.len(), "{read} steps in {} bytes", bytes.len());
}
