//! A plan as text: what each line does, as a sentence in the imperative. Errors use the same words.

use std::ffi::{CStr, CString};
use std::fmt::{self, Display, Formatter};

use serde_json::json;

use super::capabilities::Names;
use super::limits::limit_name;
use super::scheduling::class_name;
use super::{Action, Deed, IdMap, Loan, LoanSource, MapWriter, NamespaceAt, Owned, Plan};
use crate::step::{Namespace, Point, Step};

impl Plan {
    /// The plan as JSON: an array of objects with `number`, `side` (`host` or `init`), `step`, `text` and `origin`.
    pub fn to_json(&self) -> serde_json::Value {
        self.numbered()
            .map(|(number, entry)| {
                let (side, step) = match &entry.deed {
                    Deed::Host(action) => ("host", variant(action)),
                    Deed::Init(step) => ("init", variant(step)),
                };
                json!({
                    "number": number,
                    "side": side,
                    "step": step,
                    "text": entry.deed.to_string(),
                    "origin": entry.origin.as_str(),
                })
            })
            .collect()
    }
}

/// The name of an enumeration's variant: the first word of its debug form.
fn variant(value: &impl fmt::Debug) -> String {
    format!("{value:?}").chars().take_while(|letter| letter.is_alphanumeric()).collect()
}

/// One line each: number, side, text, and the place in config.json.
impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (number, entry) in self.numbered() {
            let side = match entry.deed {
                Deed::Host(_) => "host",
                Deed::Init(_) => "init",
            };
            let line = format!("{number:>3}  {side}  {}", entry.deed);
            match entry.origin.as_str() {
                "" => writeln!(f, "{line}")?,
                origin => writeln!(f, "{line:<90}  {origin}")?,
            }
        }
        Ok(())
    }
}

impl Display for Deed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Deed::Host(action) => action.fmt(f),
            Deed::Init(step) => step.fmt(f),
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Action::CreateCgroup(paths) => write!(f, "make the cgroup {paths}"),
            Action::StartUnit(start) => start.fmt(f),
            Action::SetLimit(knob) => write!(f, "set {knob}"),
            Action::RestrictDevices(rules) => write!(f, "restrict devices: {rules}"),
            Action::Clone { new, join, into_cgroup } => {
                write!(f, "start the init program")?;
                if !new.is_empty() {
                    write!(f, " in new {} namespaces", namespaces(new.iter().copied()))?;
                }
                for NamespaceAt { kind, path, .. } in join {
                    write!(f, ", in the {} namespace {}", kind.word(), path.display())?;
                }
                if *into_cgroup { write!(f, ", in the cgroup") } else { Ok(()) }
            }
            Action::LendContainer => write!(f, "name the container's first process"),
            Action::SetAffinity(cpus) => write!(f, "let it run on the processors {cpus}"),
            Action::WriteIdMaps { uids, uids_by, gids, gids_by } => {
                let by = |writer, helper| if writer == MapWriter::Helper { helper } else { "" };
                let (uids_by, helper) = (by(*uids_by, " by newuidmap"), by(*gids_by, " by newgidmap"));
                write!(f, "map user ids {}{uids_by} and group ids {}{helper}", Maps(uids), Maps(gids))?;
                if *gids_by == MapWriter::WithoutGroups {
                    write!(f, ", without further groups")
                } else {
                    Ok(())
                }
            }
            Action::CheckIdMaps { uids, gids } => {
                write!(f, "make sure that it maps user ids {} and group ids {}", Maps(uids), Maps(gids))
            }
            Action::EnterCgroup { .. } => write!(f, "put it into the cgroup"),
            Action::LendNamespace(NamespaceAt { kind, path, .. }) => {
                write!(f, "open the {} namespace {}", kind.word(), path.display())
            }
            Action::LendRoot { propagation } => {
                write!(f, "take the root file system that was given, {}", propagation.word())
            }
            Action::LendMount(loan) => loan.fmt(f),
            Action::LendStartSocket => write!(f, "hand over: the container waits for start"),
            Action::SetRlimit { resource, soft, hard } => {
                write!(f, "limit {} to {} (hard: {})", limit_name(*resource), Limit(*soft), Limit(*hard))
            }
            Action::SetScheduling(scheduling) => scheduling.fmt(f),
            Action::SetIoPriority { class, level } => {
                write!(f, "set the I/O priority to {}, level {level}", class_name(*class))
            }
            Action::SetOomScoreAdj(score) => write!(f, "set oom_score_adj to {score}"),
            Action::RunHooks(hooks) => hooks.fmt(f),
            Action::SendTerminal(socket) => write!(f, "send the terminal to {}", socket.display()),
            Action::KeepTerminal => write!(f, "keep the terminal for the caller"),
            Action::SendPidfd { socket, word } => write!(f, "send a pidfd ({word}) to {}", socket.display()),
            Action::TellAgent(agent) => {
                write!(f, "hand its descriptor to the agent at {}", agent.socket.display())
            }
            Action::WritePidFile(path) => write!(f, "write the process id to {}", path.display()),
            Action::Record => write!(f, "record the container"),
        }
    }
}

impl Display for Loan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let what = match &self.source {
            LoanSource::Path(path) => path.display().to_string(),
            LoanSource::Cgroup(path) => format!("the container's cgroup {}", path.display()),
            LoanSource::Sysfs => "the host's sysfs".into(),
            LoanSource::Device { path, .. } => format!("the device {}", path.display()),
        };
        write!(f, "open {what}{}", if self.recursive { " with what is mounted below" } else { "" })?;
        if self.attached {
            return Ok(());
        }
        for change in &self.attributes {
            write!(f, ", {}", attributes(change.set, change.clear, change.recursive))?;
        }
        for change in &self.propagation {
            write!(f, ", {}", change.word())?;
        }
        if self.mapping.is_some() { write!(f, ", with mapped ids") } else { Ok(()) }
    }
}

/// What init waits for at a barrier.
fn awaited(point: Point) -> &'static str {
    match point {
        Point::Hooks => "wait for the hooks",
        Point::Visible => "wait until what is said about it in /proc is said",
        Point::Ready => "wait until the container is recorded",
        Point::Start => "wait for the word to start",
    }
}

impl Display for Step<Owned> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Step::Isolate { .. } => write!(f, "leave the caller's descriptors, signals and session"),
            Step::TakeStreams { uid, own_null } => {
                let null = if *own_null { ", with the container's null device" } else { "" };
                write!(f, "give the standard streams to user {uid}{null}")
            }
            Step::Conceal => write!(f, "hide from tracers"),
            Step::JoinNamespace { kind } => write!(f, "join the {} namespace", kind.word()),
            Step::NewCgroupNamespace => write!(f, "make a new cgroup namespace"),
            Step::NewTimeNamespace { offsets } => {
                write!(f, "make a new time namespace ({})", text(offsets).trim().replace('\n', ", "))
            }
            Step::JoinSessionKeyring { name } => write!(f, "join the session keyring {}", text(name)),
            Step::BringLoopbackUp => write!(f, "bring the loopback device up"),
            Step::SetPropagation { to } => write!(f, "make the root mount {}", to.word()),
            Step::MountRoot { path } => write!(f, "mount the root file system {}", text(path)),
            Step::AttachRoot => write!(f, "mount the root file system over /"),
            Step::HoldRoot { path } => write!(f, "hold the root file system {}", text(path)),
            Step::Mount { .. } => mount(f, self),
            Step::AttachMount { at } => write!(f, "attach it at {}", text(&at.path)),
            Step::BindMount { .. } => bind_mount(f, self),
            Step::MakeNodes { .. } => make_nodes(f, self),
            Step::MakeDirectory { path, .. } => {
                write!(f, "make the directory {} if it is missing", text(path))
            }
            Step::Barrier { point } => f.write_str(awaited(*point)),
            Step::OpenTerminal { .. } => open_terminal(f, self),
            Step::WriteSysctl { path, value } => write!(f, "set /proc/sys/{} to {}", text(path), text(value)),
            Step::ProtectPaths { paths } => write!(f, "make {} read-only", list(paths)),
            Step::MaskPaths { paths, .. } => write!(f, "mask {}", list(paths)),
            Step::SetAttributes { path, set, clear, recursive } => {
                write!(f, "make the mount at {} {}", text(path), attributes(*set, *clear, *recursive))
            }
            Step::PivotRoot => write!(f, "pivot to the root file system and let go of the host's"),
            Step::MoveRoot => write!(f, "move the root file system over /"),
            Step::ChangeRoot => write!(f, "change the root directory"),
            Step::SetHostname { name } => write!(f, "set the host name to {}", text(name)),
            Step::SetDomainname { name } => write!(f, "set the domain name to {}", text(name)),
            Step::SetPersonality { domain } => write!(f, "set the execution domain to {domain}"),
            Step::SetMemoryPolicy { mode, nodes } => memory_policy(f, *mode, nodes),
            Step::SetLabel { .. } | Step::LabelMount { .. } => label(f, self),
            Step::SetLimit { resource, soft, hard } => {
                write!(f, "limit {} to {} (hard: {})", limit_name(*resource), Limit(*soft), Limit(*hard))
            }
            Step::ForbidNewPrivileges => write!(f, "forbid new privileges"),
            Step::DropBounding { capabilities } => {
                write!(f, "drop {} capabilities from the bounding set", capabilities.count_ones())
            }
            Step::BecomeUser { .. } => become_user(f, self),
            Step::FindProgram { candidates } => write!(f, "find the program: {}", list(candidates)),
            Step::FindHome { uid } => write!(f, "find the home of user {uid}"),
            Step::EnterContainer { kinds } => {
                write!(f, "enter the container's {} namespaces", namespaces(kinds.iter().copied()))
            }
            Step::Emerge { .. } => write!(f, "be born once more, in the container's pid namespace"),
            Step::AwaitWord => write!(f, "wait for the word to start"),
            Step::AwaitStart => write!(f, "wait for start"),
            Step::InstallSeccomp { .. } => write!(f, "install the system call filter"),
            Step::InstallSeccompWithAgent { .. } => {
                write!(f, "install the system call filter, and wait until its agent is there")
            }
            Step::SetCapabilities { effective, permitted, inheritable, ambient } => write!(
                f,
                "set capabilities: effective {}, permitted {}, inheritable {}, ambient {}",
                Names(*effective),
                Names(*permitted),
                Names(*inheritable),
                Names(*ambient)
            ),
            Step::Execute { arguments, .. } => write!(f, "execute {}", list_with(arguments, " ")),
        }
    }
}

fn make_nodes(f: &mut Formatter<'_>, step: &Step<Owned>) -> fmt::Result {
    let Step::MakeNodes { directory, nodes, links, .. } = step else { return Ok(()) };
    let nodes = nodes.iter().map(|node| text(&node.name));
    let names: Vec<String> = nodes.chain(links.iter().map(|link| text(&link.name))).collect();
    write!(f, "make {} in {}", names.join(", "), text(directory))
}

fn open_terminal(f: &mut Formatter<'_>, step: &Step<Owned>) -> fmt::Result {
    let Step::OpenTerminal { rows, columns, owner, console, .. } = step else { return Ok(()) };
    write!(f, "open a terminal for user {owner}")?;
    if (*rows, *columns) != (0, 0) {
        write!(f, " of {columns} columns and {rows} rows")?;
    }
    if *console { write!(f, ", and mount it on /dev/console") } else { Ok(()) }
}

fn mount(f: &mut Formatter<'_>, step: &Step<Owned>) -> fmt::Result {
    let Step::Mount { fstype, data, copy_up, flags, propagation, at, instead, .. } = step else {
        return Ok(());
    };
    write!(f, "mount {} on {}", text(fstype), text(&at.path))?;
    let data = Some(text(data)).filter(|data| !data.is_empty());
    let mut options: Vec<String> = data.into_iter().chain(flag_words(*flags)).collect();
    options.extend(copy_up.then(|| "with a copy of what it covers".into()));
    options.extend(propagation.iter().map(|change| change.word().into()));
    if !options.is_empty() {
        write!(f, " ({})", options.join(", "))?;
    }
    if instead.is_empty() { Ok(()) } else { write!(f, ", or else attach {}", text(instead)) }
}

fn memory_policy(f: &mut Formatter<'_>, mode: u32, nodes: &[u64]) -> fmt::Result {
    write!(f, "set the memory policy {}", super::memory::name(mode))?;
    let set: String = nodes.iter().rev().map(|word| format!("{word:016x}")).collect();
    let set = set.trim_start_matches('0');
    if set.is_empty() { Ok(()) } else { write!(f, " on the nodes of the set 0x{set}") }
}

fn label(f: &mut Formatter<'_>, step: &Step<Owned>) -> fmt::Result {
    match step {
        Step::SetLabel { of, label } => {
            let label = text(label);
            write!(f, "set the {} to {}", of.word(), label.strip_prefix("exec ").unwrap_or(&label))
        }
        Step::LabelMount { path, label } => {
            write!(f, "give {} the SELinux label {}", text(path), text(label))
        }
        _ => Ok(()),
    }
}

fn become_user(f: &mut Formatter<'_>, step: &Step<Owned>) -> fmt::Result {
    let Step::BecomeUser { uid, gid, groups, umask, directory, .. } = step else { return Ok(()) };
    write!(f, "become user {uid}, group {gid}")?;
    if !groups.is_empty() {
        let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
        write!(f, ", groups {}", groups.join(", "))?;
    }
    write!(f, ", umask {umask:04o}, in {}", text(directory))
}

fn text(text: &CStr) -> String {
    text.to_string_lossy().into_owned()
}

fn list(texts: &[CString]) -> String {
    list_with(texts, ", ")
}

fn list_with(texts: &[CString], between: &str) -> String {
    let texts: Vec<_> = texts.iter().map(|each| each.to_string_lossy()).collect();
    texts.join(between)
}

fn namespaces(kinds: impl Iterator<Item = Namespace>) -> String {
    let words: Vec<_> = kinds.map(Namespace::word).collect();
    words.join(", ")
}

struct Maps<'a>(&'a [IdMap]);

impl Display for Maps<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ranges: Vec<String> = self
            .0
            .iter()
            .map(|map| format!("{}-{}→{}", map.inside, map.inside + (map.size - 1), map.outside))
            .collect();
        f.write_str(&ranges.join(", "))
    }
}

struct Limit(u64);

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == u64::MAX { f.write_str("unlimited") } else { self.0.fmt(f) }
    }
}

fn bind_mount(f: &mut Formatter<'_>, step: &Step<Owned>) -> fmt::Result {
    let Step::BindMount { set, clear, propagation, at, .. } = step else { return Ok(()) };
    let words: Vec<&str> = propagation.iter().map(|change| change.word()).collect();
    let attributes = attributes(*set, *clear, false);
    let comma = if attributes.is_empty() { "" } else { ", " };
    write!(f, "bind it at {}{comma}{attributes}, {}", text(&at.path), words.join(", "))
}

fn attributes(set: u64, clear: u64, recursive: bool) -> String {
    let on = words(set).into_iter();
    let off = words(clear & !libc::MOUNT_ATTR__ATIME).into_iter().map(|word| format!("not {word}"));
    let all: Vec<String> = on.chain(off).collect();
    format!("{}{}", all.join(", "), if recursive { ", recursively" } else { "" })
}

/// Mount flags as options.
fn flag_words(flags: u64) -> impl Iterator<Item = String> {
    [
        (libc::MS_RDONLY, "ro"),
        (libc::MS_NOSUID, "nosuid"),
        (libc::MS_NODEV, "nodev"),
        (libc::MS_NOEXEC, "noexec"),
        (libc::MS_SYNCHRONOUS, "sync"),
        (libc::MS_DIRSYNC, "dirsync"),
        (libc::MS_MANDLOCK, "mand"),
        (libc::MS_NOATIME, "noatime"),
        (libc::MS_NODIRATIME, "nodiratime"),
        (libc::MS_STRICTATIME, "strictatime"),
        (1 << 8, "nosymfollow"),
        (1 << 25, "lazytime"),
    ]
    .into_iter()
    .filter(move |(flag, _)| flags & flag != 0)
    .map(|(_, word)| word.to_string())
}

/// Mount attributes as options.
fn words(bits: u64) -> Vec<String> {
    let atime = bits & libc::MOUNT_ATTR__ATIME;
    [
        (bits & libc::MOUNT_ATTR_RDONLY != 0, "ro"),
        (bits & libc::MOUNT_ATTR_NOSUID != 0, "nosuid"),
        (bits & libc::MOUNT_ATTR_NODEV != 0, "nodev"),
        (bits & libc::MOUNT_ATTR_NOEXEC != 0, "noexec"),
        (atime == libc::MOUNT_ATTR_NOATIME, "noatime"),
        (atime == libc::MOUNT_ATTR_STRICTATIME, "strictatime"),
        (bits & libc::MOUNT_ATTR_NODIRATIME != 0, "nodiratime"),
        (bits & libc::MOUNT_ATTR_NOSYMFOLLOW != 0, "nosymfollow"),
    ]
    .into_iter()
    .filter(|(on, _)| *on)
    .map(|(_, word)| word.to_string())
    .collect()
}
