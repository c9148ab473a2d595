//! What a service manager tells its services, through the environment.

use std::env;
use std::path::PathBuf;

/// How many sockets it hands over, from descriptor 3 on (sd_listen_fds(3)). None if they are meant for another process.
pub(crate) fn listen_fds() -> u32 {
    let Some(text) = variable("LISTEN_FDS") else { return 0 };
    let is_for = variable("LISTEN_PID").and_then(|pid| pid.parse().ok());
    count(&text, is_for, std::process::id())
}

/// Where it listens for readiness (sd_notify(3)).
pub(crate) fn notify_socket() -> Option<PathBuf> {
    env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()).map(PathBuf::from)
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

pub(crate) fn count(text: &str, is_for: Option<u32>, me: u32) -> u32 {
    if is_for == Some(me) { text.parse().unwrap_or(0) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_for_one_process() {
        assert_eq!(count("2", Some(7), 7), 2);
        for (text, is_for) in [("2", Some(1)), ("2", None), ("-1", Some(7)), ("", Some(7))] {
            assert_eq!(count(text, is_for, 7), 0, "{text:?} {is_for:?}");
        }
    }
}
