//! The command line that containerd writes, in the manner of Go's flags.

use std::ffi::OsString;

use crate::refusal::Refusal;

/// What the binary is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Leaves a server behind and says where it listens.
    Start,
    /// Cleans up after a server that is gone.
    Delete,
    /// Is that server.
    Serve,
    /// Says what the runtime can do.
    Info,
    /// Says its version.
    Version,
}

/// What is said before the action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// Of the container.
    pub(crate) namespace: String,
    /// The container.
    pub(crate) id: String,
    /// containerd's socket.
    pub(crate) address: String,
    /// Where a server listens.
    pub(crate) socket: String,
    /// The container's bundle, where it isn't the working directory.
    pub(crate) bundle: String,
    pub(crate) version: bool,
    pub(crate) info: bool,
    /// Containerd has its own log tell more; this one tells little anyway.
    pub(crate) debug: bool,
    /// By which older versions take events.
    pub(crate) publish_binary: String,
    pub(crate) action: String,
}

impl Flags {
    /// Reads them.
    ///
    /// # Errors
    /// There is one that nobody knows, or it lacks its value; or a word is no text.
    pub(crate) fn read(words: &[OsString]) -> Result<Self, Refusal> {
        let mut flags = Flags::default();
        let mut words = words.iter().map(|word| word.to_str().ok_or_else(|| no_text(word)));
        while let Some(word) = words.next().transpose()? {
            let Some(flag) = word.strip_prefix("--").or(word.strip_prefix('-')) else {
                flags.action = word.to_owned();
                break;
            };
            let (name, value) =
                flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
            if let Some(switch) = flags.switch(name) {
                *switch = value != Some("false");
                continue;
            }
            let place =
                flags.place(name).ok_or_else(|| Refusal::invalid(format!("there is no flag -{name}")))?;
            let value = value.map_or_else(|| words.next(), |value| Some(Ok(value))).transpose()?;
            value.ok_or_else(|| Refusal::invalid(format!("-{name} lacks its value")))?.clone_into(place);
        }
        Ok(flags)
    }

    fn switch(&mut self, name: &str) -> Option<&mut bool> {
        match name {
            "v" | "version" => Some(&mut self.version),
            "info" => Some(&mut self.info),
            "debug" => Some(&mut self.debug),
            _ => None,
        }
    }

    fn place(&mut self, name: &str) -> Option<&mut String> {
        match name {
            "namespace" => Some(&mut self.namespace),
            "id" => Some(&mut self.id),
            "address" => Some(&mut self.address),
            "socket" => Some(&mut self.socket),
            "bundle" => Some(&mut self.bundle),
            "publish-binary" => Some(&mut self.publish_binary),
            _ => None,
        }
    }

    /// What they ask for.
    ///
    /// # Errors
    /// There is no such action, or the namespace or the name is missing.
    pub(crate) fn action(&self) -> Result<Action, Refusal> {
        match self {
            Flags { version: true, .. } => return Ok(Action::Version),
            Flags { info: true, .. } => return Ok(Action::Info),
            _ if self.namespace.is_empty() => return Err(Refusal::invalid("-namespace is missing")),
            _ if self.id.is_empty() => return Err(Refusal::invalid("-id is missing")),
            _ => {}
        }
        match self.action.as_str() {
            "start" => Ok(Action::Start),
            "delete" => Ok(Action::Delete),
            "" => Ok(Action::Serve),
            other => Err(Refusal::invalid(format!("there is no action {other:?}"))),
        }
    }
}

fn no_text(word: &OsString) -> Refusal {
    Refusal::invalid(format!("{} is no text", word.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Flags, Refusal> {
        Flags::read(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn action(words: &[&str]) -> Result<Action, Refusal> {
        read(words)?.action()
    }

    #[test]
    fn containerd_says_what_it_wants() {
        let usual = ["-namespace", "default", "-address", "/run/c.sock", "-publish-binary", "/c", "-id", "x"];
        let with = |last| action(&[&usual[..], &[last]].concat());
        assert_eq!((with("start"), with("delete")), (Ok(Action::Start), Ok(Action::Delete)));
        assert_eq!(action(&usual), Ok(Action::Serve));
        assert_eq!((action(&["-v"]), action(&["-info"])), (Ok(Action::Version), Ok(Action::Info)));
        assert!(with("fly").is_err() && action(&["-id", "x", "start"]).is_err());
        assert!(action(&["-namespace", "n", "start"]).is_err());
    }

    #[test]
    fn flags_are_written_as_in_go() {
        let flags =
            read(&["--id=a=b", "-bundle", "-x", "-debug", "-namespace", "", "delete", "-id", "c"]).unwrap();
        let wanted = Flags {
            id: "a=b".into(),
            bundle: "-x".into(),
            action: "delete".into(),
            debug: true,
            ..Flags::default()
        };
        assert_eq!(flags, wanted);
        assert!(read(&["-nonsense"]).is_err() && read(&["-id"]).is_err());
    }
}
