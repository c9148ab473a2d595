//! The standard streams of a program: what containerd calls them, and how they are opened.

mod fifo;
pub(crate) mod logger;
mod open;

use std::path::PathBuf;

use crate::refusal::Refusal;

pub(crate) use open::{ConsoleEnds, Held, Owner, open};

/// What containerd says about a program's streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Streams {
    pub(crate) stdin: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) terminal: bool,
}

/// Where a stream leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Nowhere.
    Nothing,
    /// To a fifo, or another file that is there.
    Path(PathBuf),
    /// To the end of a file, which is made if it is missing.
    File(PathBuf),
    /// To a program that reads both outputs.
    Logger {
        /// Its path.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
}

impl Target {
    /// Reads a path or a URI.
    ///
    /// # Errors
    /// Its scheme is unknown, or it has no absolute path.
    pub(crate) fn read(uri: &str) -> Result<Self, Refusal> {
        let Some((scheme, rest)) = uri.split_once("://") else {
            return Ok(if uri.is_empty() { Target::Nothing } else { Target::Path(uri.into()) });
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = PathBuf::from(decoded(path));
        if !path.is_absolute() {
            return Err(Refusal::invalid(format!("{uri:?} has no absolute path")));
        }
        match scheme {
            "fifo" => Ok(Target::Path(path)),
            "file" => Ok(Target::File(path)),
            "binary" => Ok(Target::Logger { program: path, arguments: arguments(query) }),
            _ => Err(Refusal::invalid(format!("unknown STDIO scheme {scheme}"))),
        }
    }
}

/// `a=b&c` is `a b c`: values follow their names.
fn arguments(query: &str) -> Vec<String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let words = pairs.flat_map(|pair| match pair.split_once('=') {
        Some((name, value)) => vec![name, value],
        None => vec![pair],
    });
    words.map(|word| decoded(&word.replace('+', " "))).collect()
}

/// A text without `%20` and the like. What is no such escape stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let escape = others
            .first_chunk::<2>()
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escape.unwrap_or(*first));
        rest = match escape {
            Some(_) => others.get(2..).unwrap_or_default(),
            None => others,
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_path_or_a_uri() {
        let read = |uri: &str| Target::read(uri).unwrap();
        assert_eq!(read(""), Target::Nothing);
        assert_eq!(read("/run/fifo/1"), Target::Path("/run/fifo/1".into()));
        assert_eq!(read("fifo:///run/1"), Target::Path("/run/1".into()));
        assert_eq!(read("file:///var/log/a%20b"), Target::File("/var/log/a b".into()));
        let logger = read("binary:///usr/bin/log?id=a%2Fb&flag&text=x+y");
        let arguments = ["id", "a/b", "flag", "text", "x y"].map(str::to_owned).to_vec();
        assert_eq!(logger, Target::Logger { program: "/usr/bin/log".into(), arguments });
        assert!(Target::read("npipe:///x").is_err() && Target::read("binary://log").is_err());
    }

    #[test]
    fn only_escapes_are_decoded() {
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz%4"), "%zz%4");
        assert_eq!(decoded("%C3%A9"), "é");
    }
}
