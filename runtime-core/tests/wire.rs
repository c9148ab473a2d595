//! What the planner writes, the init program reads: every step as it was, and nothing where bytes are missing.

use std::ffi::{CStr, CString};
use std::panic::catch_unwind;

use runtime_core::plan::Owned;
use runtime_core::step::{
    Create, Labelled, Link, Namespace, Node, NodeKind, Point, Propagation, Resolve, Step, Target,
};
use runtime_core::wire::{Blob, Borrowed, Failure, List, Message, Report, Take, put_message};

type Decoded<'a> = Step<Borrowed<'a>>;

#[test]
fn every_step_arrives_as_it_was() {
    let steps = steps();
    let message = encoded(&steps);
    let decoded = decode(&message).unwrap();
    assert_eq!(decoded.len(), steps.len());
    for ((number, decoded), (place, step)) in decoded.into_iter().zip(steps.iter().enumerate()) {
        assert_eq!(number as usize, 10 * place + 3);
        assert_eq!(&owned(decoded), step);
    }
}

#[test]
fn the_codes_have_no_gap_and_each_has_its_step_here() {
    let codes: Vec<u8> = steps().iter().map(|step| encoded(std::slice::from_ref(step))[BODY]).collect();
    let mut sorted = codes.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=46).collect::<Vec<u8>>());
}

#[test]
fn blobs_arrive_by_their_index() {
    let mut bytes = Vec::new();
    put_message(&[Blob(b"first"), Blob(b"")], steps().iter().map(|step| (1, step)), &mut bytes);
    let message = Message::open(&bytes).unwrap();
    assert_eq!(
        [message.blob(0), message.blob(1), message.blob(2)],
        [Some(&b"first"[..]), Some(&b""[..]), None]
    );
}

#[test]
fn a_message_that_ends_early_yields_a_beginning_of_its_steps() {
    let steps = steps();
    let message = encoded(&steps);
    for length in 0..message.len() {
        let Some(decoded) = decode(&message[..length]) else { continue };
        assert!(decoded.len() < steps.len(), "{length} bytes");
        let begun: Vec<Step<Owned>> = decoded.into_iter().map(|(_, step)| owned(step)).collect();
        assert_eq!(begun, steps[..begun.len()], "{length} bytes");
    }
}

#[test]
fn damaged_bytes_are_read_without_a_panic() {
    let message = encoded(&steps());
    for place in 0..message.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = message.clone();
            damaged[place] ^= flip;
            let read = catch_unwind(|| {
                decode(&damaged).into_iter().flatten().for_each(|(_, step)| drop(owned(step)))
            });
            assert!(read.is_ok(), "byte {place} ^ {flip:#x}");
        }
    }
}

#[test]
fn reports_arrive_as_they_were_and_nothing_else_is_one() {
    let failure = Failure { step: u32::MAX, errno: 13, call: 200, item: 7 };
    for report in [Report::AtBarrier { step: 12 }, Report::Failed(failure)] {
        let bytes = report.to_bytes();
        assert_eq!(Report::from_bytes(&bytes), Some(report));
        assert_eq!(Report::from_bytes(&bytes[1..]), None);
        assert_eq!(Report::from_bytes(&[&bytes[..], &[0]].concat()), None);
    }
    assert_eq!(Report::from_bytes(&[0; Report::SIZE]), None);
}

/// Where the code of the first step stands: after the magic word, an empty list of blobs, two numbers.
const BODY: usize = 4 + 8 + 4 + 4;

fn encoded(steps: &[Step<Owned>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let numbered: Vec<_> = (3..).step_by(10).zip(steps).collect();
    put_message(&[], numbered.into_iter(), &mut bytes);
    bytes
}

/// All sound steps; `None` if it is no message.
fn decode(bytes: &[u8]) -> Option<Vec<(u32, Decoded<'_>)>> {
    let steps = Message::open(bytes)?.steps::<Decoded<'_>>();
    Some(steps.map_while(|(number, step)| Some((number, step?))).collect())
}

fn text(text: &CStr) -> CString {
    text.to_owned()
}

fn texts<'a>(list: List<'a, &'a CStr>) -> Vec<CString> {
    list.iter().map(CStr::to_owned).collect()
}

fn items<'a, T: Take<'a>, U>(list: List<'a, T>, own: impl Fn(T) -> U) -> Vec<U> {
    list.iter().map(own).collect()
}

fn target(at: Target<Borrowed<'_>>) -> Target<Owned> {
    let Target { path, resolve, create, fresh, on_proc } = at;
    Target { path: text(path), resolve, create, fresh, on_proc }
}

fn node(node: Node<Borrowed<'_>>) -> Node<Owned> {
    let Node { name, kind, major, minor, mode, uid, gid } = node;
    Node { name: text(name), kind, major, minor, mode, uid, gid }
}

fn link(Link { name, to }: Link<Borrowed<'_>>) -> Link<Owned> {
    Link { name: text(name), to: text(to) }
}

#[expect(clippy::too_many_lines, reason = "an arm for each step")]
fn owned(step: Decoded<'_>) -> Step<Owned> {
    match step {
        Step::Isolate { ignored, all_cpus, few } => Step::Isolate { ignored, all_cpus, few },
        Step::TakeStreams { uid, own_null } => Step::TakeStreams { uid, own_null },
        Step::JoinNamespace { kind } => Step::JoinNamespace { kind },
        Step::NewCgroupNamespace => Step::NewCgroupNamespace,
        Step::NewTimeNamespace { offsets } => Step::NewTimeNamespace { offsets: text(offsets) },
        Step::JoinSessionKeyring { name } => Step::JoinSessionKeyring { name: text(name) },
        Step::BringLoopbackUp => Step::BringLoopbackUp,
        Step::SetPropagation { to } => Step::SetPropagation { to },
        Step::MountRoot { path } => Step::MountRoot { path: text(path) },
        Step::AttachRoot => Step::AttachRoot,
        Step::HoldRoot { path } => Step::HoldRoot { path: text(path) },
        Step::Mount { fstype, source, data, inherit_mode, copy_up, flags, propagation, at, instead } => {
            Step::Mount {
                fstype: text(fstype),
                source: text(source),
                data: text(data),
                inherit_mode,
                copy_up,
                flags,
                propagation: items(propagation, |change| change),
                at: target(at),
                instead: text(instead),
            }
        }
        Step::AttachMount { at } => Step::AttachMount { at: target(at) },
        Step::BindMount { recursive, set, clear, propagation, at } => Step::BindMount {
            recursive,
            set,
            clear,
            propagation: items(propagation, |change| change),
            at: target(at),
        },
        Step::MakeNodes { directory, nodes, links, replace } => Step::MakeNodes {
            directory: text(directory),
            nodes: items(nodes, node),
            links: items(links, link),
            replace,
        },
        Step::MakeDirectory { path, mode } => Step::MakeDirectory { path: text(path), mode },
        Step::Barrier { point } => Step::Barrier { point },
        Step::WriteSysctl { path, value } => Step::WriteSysctl { path: text(path), value: text(value) },
        Step::ProtectPaths { paths } => Step::ProtectPaths { paths: texts(paths) },
        Step::MaskPaths { paths, empty } => Step::MaskPaths { paths: texts(paths), empty: text(empty) },
        Step::SetAttributes { path, set, clear, recursive } => {
            Step::SetAttributes { path: text(path), set, clear, recursive }
        }
        Step::PivotRoot => Step::PivotRoot,
        Step::MoveRoot => Step::MoveRoot,
        Step::ChangeRoot => Step::ChangeRoot,
        Step::SetHostname { name } => Step::SetHostname { name: text(name) },
        Step::SetDomainname { name } => Step::SetDomainname { name: text(name) },
        Step::ForbidNewPrivileges => Step::ForbidNewPrivileges,
        Step::DropBounding { capabilities } => Step::DropBounding { capabilities },
        Step::BecomeUser { uid, gid, set_groups, groups, umask, directory } => {
            let groups = items(groups, |group| group);
            Step::BecomeUser { uid, gid, set_groups, groups, umask, directory: text(directory) }
        }
        Step::FindProgram { candidates } => Step::FindProgram { candidates: texts(candidates) },
        Step::AwaitStart => Step::AwaitStart,
        Step::AwaitWord => Step::AwaitWord,
        Step::EnterContainer { kinds } => Step::EnterContainer { kinds: kinds.iter().collect() },
        Step::InstallSeccomp { flags, filter } => Step::InstallSeccomp { flags, filter },
        Step::InstallSeccompWithAgent { flags, filter, rendezvous } => {
            Step::InstallSeccompWithAgent { flags, filter, rendezvous }
        }
        Step::SetCapabilities { effective, permitted, inheritable, ambient } => {
            Step::SetCapabilities { effective, permitted, inheritable, ambient }
        }
        Step::FindHome { uid } => Step::FindHome { uid },
        Step::Execute { candidates, arguments, environment } => Step::Execute {
            candidates: texts(candidates),
            arguments: texts(arguments),
            environment: texts(environment),
        },
        Step::SetPersonality { domain } => Step::SetPersonality { domain },
        Step::SetMemoryPolicy { mode, nodes } => {
            Step::SetMemoryPolicy { mode, nodes: items(nodes, |word| word) }
        }
        Step::Conceal => Step::Conceal,
        Step::Emerge { terminal } => Step::Emerge { terminal },
        Step::OpenTerminal { rows, columns, owner, console, control } => {
            Step::OpenTerminal { rows, columns, owner, console, control }
        }
        Step::SetLabel { of, label } => Step::SetLabel { of, label: text(label) },
        Step::LabelMount { path, label } => Step::LabelMount { path: text(path), label: text(label) },
        Step::SetLimit { resource, soft, hard } => Step::SetLimit { resource, soft, hard },
    }
}

/// One of each.
#[expect(clippy::too_many_lines, reason = "one sample of each step")]
fn steps() -> Vec<Step<Owned>> {
    let path = || CString::from(c"/some/path");
    let list = || vec![path(), CString::default(), c"\xff".into()];
    let at = || Target {
        path: path(),
        resolve: Resolve::NoSymlinks,
        create: Create::LikeSource,
        fresh: true,
        on_proc: true,
    };
    let node = Node {
        name: c"null".into(),
        kind: NodeKind::Character,
        major: 1,
        minor: 3,
        mode: 0o666,
        uid: 4,
        gid: u32::MAX,
    };
    vec![
        Step::Isolate { ignored: 1 << 63, all_cpus: true, few: 5 },
        Step::TakeStreams { uid: 1000, own_null: true },
        Step::Conceal,
        Step::Emerge { terminal: true },
        Step::OpenTerminal { rows: 24, columns: 80, owner: u32::MAX, console: true, control: true },
        Step::SetLimit { resource: 7, soft: 1024, hard: u64::MAX },
        Step::JoinNamespace { kind: Namespace::Time },
        Step::NewCgroupNamespace,
        Step::NewTimeNamespace { offsets: c"monotonic -1 2\nboottime 3 4\n".into() },
        Step::JoinSessionKeyring { name: c"_ses.x".into() },
        Step::BringLoopbackUp,
        Step::SetPropagation { to: Propagation::RecursiveSlave },
        Step::MountRoot { path: path() },
        Step::AttachRoot,
        Step::HoldRoot { path: path() },
        Step::Mount {
            fstype: c"tmpfs".into(),
            source: CString::default(),
            data: c"size=1m,mode=755".into(),
            inherit_mode: true,
            copy_up: false,
            flags: u64::MAX,
            propagation: vec![Propagation::Slave, Propagation::Shared],
            at: at(),
            instead: path(),
        },
        Step::AttachMount { at: at() },
        Step::BindMount {
            recursive: true,
            set: 1,
            clear: 1 << 40,
            propagation: vec![Propagation::RecursivePrivate],
            at: at(),
        },
        Step::MakeNodes {
            directory: path(),
            nodes: vec![node.clone(), Node { kind: NodeKind::Fifo, ..node }],
            links: vec![Link { name: c"fd".into(), to: c"/proc/self/fd".into() }],
            replace: true,
        },
        Step::MakeDirectory { path: path(), mode: 0o1777 },
        Step::Barrier { point: Point::Ready },
        Step::WriteSysctl { path: c"net/ipv4/ip_forward".into(), value: c"1".into() },
        Step::ProtectPaths { paths: list() },
        Step::MaskPaths { paths: Vec::new(), empty: c"mode=755".into() },
        Step::SetLabel { of: Labelled::Keys, label: c"u:r:t:s0:c1,c2".into() },
        Step::LabelMount { path: path(), label: c"u:r:t".into() },
        Step::SetAttributes { path: path(), set: 1, clear: 1 << 40, recursive: true },
        Step::PivotRoot,
        Step::MoveRoot,
        Step::ChangeRoot,
        Step::SetHostname { name: c"name".into() },
        Step::SetDomainname { name: c"domain".into() },
        Step::ForbidNewPrivileges,
        Step::DropBounding { capabilities: 1 << 40 },
        Step::BecomeUser {
            uid: 1,
            gid: 2,
            set_groups: true,
            groups: (0..70).collect(),
            umask: 0o077,
            directory: path(),
        },
        Step::FindHome { uid: 1000 },
        Step::AwaitWord,
        Step::EnterContainer { kinds: vec![Namespace::Mount, Namespace::Uts] },
        Step::SetCapabilities { effective: 1, permitted: 2, inheritable: 4, ambient: 8 },
        Step::SetPersonality { domain: 8 },
        Step::SetMemoryPolicy { mode: 2, nodes: vec![u64::MAX, 1] },
        Step::FindProgram { candidates: list() },
        Step::AwaitStart,
        Step::InstallSeccomp { flags: 2, filter: 1 },
        Step::InstallSeccompWithAgent { flags: 8, filter: 0, rendezvous: u32::MAX },
        Step::Execute { candidates: list(), arguments: list(), environment: vec![c"A=b".into()] },
    ]
}
