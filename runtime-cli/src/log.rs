//! The log: the file that engines read after a failure, and standard error.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::time::SystemTime;

use serde::Serialize;

use crate::failure::Failure;
use runtime_core::error::Context;

/// The form of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `time="…" level=error msg="…"`
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`
    Json,
}

impl FromStr for Format {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        match name {
            "text" | "" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err(Failure::Usage(format!("invalid log-format: {name} (text and json exist)"))),
        }
    }
}

/// Where records go.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<File>,
    format: Format,
    debug: bool,
}

#[derive(Serialize)]
struct Record<'a> {
    level: &'a str,
    msg: &'a str,
    time: String,
}

impl Log {
    /// The log of a program that does not know yet what the user wants: plain sentences on standard error.
    pub(crate) fn to_stderr() -> Self {
        Log { file: None, format: Format::Text, debug: false }
    }

    /// The log that the user wants.
    ///
    /// # Errors
    /// The file can't be opened.
    pub(crate) fn open(path: Option<&Path>, format: Format, debug: bool) -> Result<Self, Failure> {
        let append = |path: &Path| {
            let opened = OpenOptions::new().append(true).create(true).mode(0o644).open(path);
            opened.doing(|| format!("cannot open the log file {}", path.display()))
        };
        Ok(Log { file: path.map(append).transpose()?, format, debug })
    }

    /// Reports why the command failed; to be called once. The user sees the sentence on standard error, the engine
    /// finds it in the file.
    pub(crate) fn error(&self, message: &str) {
        if let Some(file) = &self.file {
            self.put(file, "error", message);
        }
        match (&self.file, self.format) {
            (None, Format::Json) => self.put(io::stderr(), "error", message),
            _ => drop(writeln!(io::stderr(), "{message}")),
        }
    }

    /// Reports what is odd but not wrong. Podman reads a JSON log as one value, so that a warning beside an error
    /// would hide the error: there it takes `--debug`. On standard error too, where only errors are expected.
    pub(crate) fn warning(&self, message: &str) {
        if self.debug || self.file.is_some() && self.format == Format::Text {
            self.note("warning", message);
        }
    }

    /// Reports what is being done, for `--debug`.
    pub(crate) fn debug(&self, message: impl FnOnce() -> String) {
        if self.debug {
            self.note("debug", &message());
        }
    }

    fn note(&self, level: &str, message: &str) {
        match &self.file {
            Some(file) => self.put(file, level, message),
            None => self.put(io::stderr(), level, message),
        }
    }

    // In one write, since several commands may share the file. There is nobody to tell when it fails.
    fn put(&self, mut to: impl Write, level: &str, message: &str) {
        let _ = to.write_all(line(self.format, level, message, SystemTime::now()).as_bytes());
    }
}

fn line(format: Format, level: &str, msg: &str, now: SystemTime) -> String {
    let time = humantime::format_rfc3339_seconds(now).to_string();
    match format {
        Format::Text => format!("time={time:?} level={level} msg={msg:?}\n"),
        Format::Json => serde_json::to_string(&Record { level, msg, time }).unwrap_or_default() + "\n",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(format: Format, message: &str) -> String {
        line(format, "error", message, SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000))
    }

    #[test]
    fn json_has_what_engines_decode() {
        let text = at(Format::Json, "a \"b\"\nc");
        assert_eq!(
            text,
            "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\\nc\",\"time\":\"2027-01-15T08:00:00Z\"}\n"
        );
    }

    #[test]
    fn text_is_one_line_with_quotes() {
        assert_eq!(
            at(Format::Text, "a \"b\"\nc"),
            "time=\"2027-01-15T08:00:00Z\" level=error msg=\"a \\\"b\\\"\\nc\"\n"
        );
    }

    #[test]
    fn only_two_formats_exist() {
        assert!("json".parse::<Format>().is_ok());
        let text = "xml".parse::<Format>().unwrap_err().to_string();
        assert!(text.contains("invalid log-format: xml"), "{text}");
    }

    // What the file holds after a warning and an error.
    fn recorded(format: Format, debug: bool) -> String {
        let name = format!("runtime-log-{}-{format:?}-{debug}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let log = Log::open(Some(&path), format, debug).unwrap();
        log.warning("odd");
        log.error("wrong");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        text
    }

    #[test]
    fn a_json_log_holds_nothing_but_the_error_unless_debugging() {
        assert_eq!(recorded(Format::Json, false).lines().count(), 1);
        assert_eq!(recorded(Format::Json, true).lines().count(), 2);
        assert_eq!(recorded(Format::Text, false).lines().count(), 2);
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_a_failure() {
        let failure = Log::open(Some(Path::new("/proc/none/log")), Format::Json, false).unwrap_err();
        assert_eq!(failure.to_string(), "cannot open the log file /proc/none/log: no such file or directory");
    }
}
