//! The shim's log: a fifo in the bundle, which containerd reads and writes to its own log.

use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags, open};

/// Where containerd listens, in the directory in which it starts the shim.
const FIFO: &str = "log";

/// Something that the caller goes on without.
pub(crate) fn warn(text: impl Display) {
    write("warning", &text.to_string());
}

/// What is worth knowing later.
pub(crate) fn info(text: impl Display) {
    write("info", &text.to_string());
}

/// It is opened each time: containerd may have been started again since. When nobody listens, nothing is written.
fn write(level: &str, text: &str) {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    if let Ok(fifo) = open(FIFO, flags, Mode::empty()) {
        _ = File::from(fifo).write_all(line(SystemTime::now(), level, text).as_bytes());
    }
}

fn line(now: SystemTime, level: &str, text: &str) -> String {
    format!("time=\"{}\" level={level} msg={text:?}\n", humantime::format_rfc3339_nanos(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line() {
        let line = line(SystemTime::UNIX_EPOCH, "warning", "a \"b\"\nc");
        assert_eq!(line, "time=\"1970-01-01T00:00:00.000000000Z\" level=warning msg=\"a \\\"b\\\"\\nc\"\n");
    }
}
