//! `checkpoint` and `restore`: their options are known, what they do is not built yet.

use clap::{Arg, Command};

use super::Verb;
use crate::args::{container, flag, path, text};
use crate::failure::Failure;

/// RUNC-COMPAT: Podman learns from `checkpoint --help`, and from an option without its value, what a runtime knows.
pub(super) const CHECKPOINT: Verb = Verb {
    name: "checkpoint",
    about: "Write the state of a running container to files (not supported yet)",
    arguments: |table| {
        images(table).args([
            path("parent-path", "DIR", "The images of an earlier checkpoint, relative to --image-path"),
            flag("leave-running", "Leave the container running"),
            flag("tcp-skip-in-flight", "Leave out connections that are being made"),
            flag("link-remap", "Keep files that were removed while open"),
            path(
                "status-fd",
                "FD",
                "Write a zero byte to this descriptor when pages are ready to be fetched",
            ),
            text("page-server", "ADDRESS:PORT", "Send memory to this server"),
            flag("pre-dump", "Write memory only; the container goes on"),
            container(),
        ])
    },
    run: |_, _| refuse("checkpoint"),
};

/// The way back.
pub(super) const RESTORE: Verb = Verb {
    name: "restore",
    about: "Make a container from the files of a checkpoint (not supported yet)",
    arguments: |table| {
        images(table).args([
            path("bundle", "DIR", "The directory with config.json [default: the current one]").short('b'),
            flag("detach", "Return when the container runs").short('d'),
            path("pid-file", "FILE", "Write the pid of the container's first process to this file"),
            path("console-socket", "SOCKET", "Send the terminal to this socket"),
            flag("no-subreaper", "Do not adopt processes that lost their parent"),
            flag("no-pivot", "Change the root without pivot_root, for a host that runs from a ramdisk"),
            text("lsm-profile", "TYPE:NAME", "The security module's profile for the restored processes"),
            text("lsm-mount-context", "CONTEXT", "The security module's context for the restored mounts"),
            flag("tcp-close", "Close connections instead of restoring them"),
            container(),
        ])
    },
    run: |_, _| refuse("restore"),
};

/// The options of both.
fn images(table: Command) -> Command {
    table.args([
        path("image-path", "DIR", "The directory of the files").default_value("checkpoint"),
        path("work-path", "DIR", "The directory of logs"),
        flag("tcp-established", "Include open TCP connections"),
        flag("ext-unix-sk", "Include Unix sockets whose other end is outside"),
        flag("shell-job", "Include a terminal that isn't the container's own"),
        flag("lazy-pages", "Fetch memory when it is needed"),
        flag("file-locks", "Include locks on files"),
        flag("auto-dedup", "Free what parent images hold twice"),
        text("manage-cgroups-mode", "MODE", "soft, full, strict or ignore")
            .value_parser(["soft", "full", "strict", "ignore"]),
        Arg::new("empty-ns")
            .long("empty-ns")
            .value_name("network")
            .value_parser(["network"])
            .help("Make this namespace without its content"),
        text("network-lock", "METHOD", "nftables, iptables or skip")
            .value_parser(["nftables", "iptables", "skip"]),
    ])
}

fn refuse(what: &str) -> Result<u8, Failure> {
    Err(Failure::Refused(format!("{what} is not supported yet")))
}
