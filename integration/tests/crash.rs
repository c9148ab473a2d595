//! The runtime is killed when it enters a system call, at every one of them in turn. `delete --force` must then leave
//! nothing behind, whatever was begun.
//!
//! `POINTS=all` kills every command of every shape at every call; otherwise only the creation of a plain container is
//! treated so, and the others at every few calls.

use std::fmt;
use std::fs;
use std::io::{Write, stderr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use integration::bundle::{mount, namespace};
use integration::command::ends_within;
use integration::killer::{DEADLINE, Death, kill_at};
use integration::leaks;
use integration::test::text;
use integration::{Bundle, Kind, Test, World, runtime};
use serde_json::{Value, json};

/// At how many calls fewer a command is killed in the usual run; a prime, so that no period of its calls is met.
const STRIDE: u32 = 17;

/// A command that takes longer may wait for us.
const TICK: Duration = Duration::from_millis(30);

/// What the container is like, as far as it matters to who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    UserNamespace,
    Hooks,
    ManyMounts,
    Limits,
    Seccomp,
    SharedNamespaces,
    JoinedNamespaces,
}

/// The command that is killed; those that bring the container to where it begins are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Start,
    Run,
    RunDetached,
    Kill,
    Delete,
    DeleteByForce,
}

#[test]
fn create_can_die_at_any_call() {
    wage([(Verb::Create, Shape::Plain)], 1);
}

#[test]
fn create_can_die_whatever_it_makes() {
    let shapes = [
        Shape::UserNamespace,
        Shape::Hooks,
        Shape::ManyMounts,
        Shape::Limits,
        Shape::Seccomp,
        Shape::SharedNamespaces,
        Shape::JoinedNamespaces,
    ];
    wage(shapes.map(|shape| (Verb::Create, shape)), stride());
}

#[test]
fn start_and_run_can_die_at_any_call() {
    let verbs = [Verb::Start, Verb::Run, Verb::RunDetached];
    wage(verbs.into_iter().flat_map(|verb| [(verb, Shape::Plain), (verb, Shape::Hooks)]), stride());
}

#[test]
fn whatever_follows_can_die_at_any_call() {
    let verbs = [Verb::Kill, Verb::Delete, Verb::DeleteByForce];
    let plain = verbs.into_iter().map(|verb| (verb, Shape::Plain));
    let others = [Shape::Hooks, Shape::SharedNamespaces].map(|shape| (Verb::DeleteByForce, shape));
    wage(plain.chain(others), stride());
}

fn stride() -> u32 {
    match std::env::var("POINTS").as_deref() {
        Ok("all") => 1,
        _ => STRIDE,
    }
}

/// Lets each of these commands die, in every world.
fn wage(campaigns: impl IntoIterator<Item = (Verb, Shape)>, stride: u32) {
    // What the peers leave behind is theirs to count.
    if runtime().kind != Kind::Ours {
        return;
    }
    let everywhere = |(verb, shape)| World::all().into_iter().map(move |world| (verb, shape, world));
    let all = campaigns.into_iter().flat_map(everywhere);
    let wrong: Vec<_> =
        all.flat_map(|(verb, shape, world)| Campaign::new(verb, shape, world).wage(stride)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// All deaths of one command.
struct Campaign {
    verb: Verb,
    shape: Shape,
    world: World,
    holder: Option<Holder>,
    points: u32,
    slowest: Duration,
    /// What was left or went wrong, with the call that was never made.
    wrong: Vec<String>,
}

impl Campaign {
    fn new(verb: Verb, shape: Shape, world: World) -> Self {
        let holder = (shape == Shape::JoinedNamespaces).then(Holder::new);
        Self { verb, shape, world, holder, points: 0, slowest: Duration::ZERO, wrong: Vec::new() }
    }

    fn wage(mut self, stride: u32) -> Vec<String> {
        let mut field = self.field();
        for ordinal in (1..).step_by(stride as usize) {
            let (death, wrong) = self.die(&field, ordinal);
            self.points += u32::from(death.instead_of.is_some());
            if !wrong.is_empty() {
                println!("{self} at call {ordinal}: {wrong:#?}");
                self.wrong.push(format!("{self} at call {ordinal} ({:?}): {wrong:#?}", death.instead_of));
                leaks::clean(&field.0);
                field = self.field();
            }
            if death.instead_of.is_none() && !death.hung {
                break;
            }
        }
        self.tell();
        self.wrong
    }

    fn tell(&self) {
        let Self { points, wrong, slowest, .. } = self;
        let (left, slowest) = (wrong.len(), slowest.as_millis());
        let line =
            format!("{self}: killed at {points} points, {left} of them wrong, slowest delete {slowest} ms");
        // Told even when the test succeeds.
        let _ = writeln!(stderr(), "crash: {line}");
    }

    fn field(&self) -> (Test, Bundle) {
        let test = Test::at(self.world);
        let bundle = test.bundle(|config| {
            let program = if self.verb == Verb::Run { "/bin/true" } else { "/bin/sleep" };
            config["process"]["args"] = json!([program, "1000"]);
            self.shape.form(config, self.world, self.holder.as_ref());
        });
        fs::create_dir(test.directory.join("pid")).expect("a directory can be made");
        (test, bundle)
    }

    /// One death, and what was wrong afterwards.
    fn die(&mut self, (test, bundle): &(Test, Bundle), ordinal: u32) -> (Death, Vec<String>) {
        let id = test.fresh();
        if self.shape == Shape::Seccomp {
            let _ = fs::remove_dir_all(test.state_root().join(".cache"));
        }
        self.verb.prepare(test, bundle, &id);
        let line = self.verb.line(test, bundle, &id);
        let line: Vec<_> = line.iter().map(String::as_str).collect();
        let death = kill_at(test.call(&line), ordinal);
        leaks::remember(test);
        let begun = Instant::now();
        let deleting = test.call(&["delete", "--force", &id]).spawn();
        // A process that the dead one left in the container's pid namespace keeps that alive until it is collected.
        while !ends_within(deleting.pid(), TICK) {
            leaks::reap_strangers();
        }
        let deleted = deleting.finish();
        let took = begun.elapsed();
        self.slowest = self.slowest.max(took);
        let mut wrong = leaks::settled(test);
        wrong.extend(drafts(test));
        wrong.extend((!deleted.succeeded()).then(|| format!("{deleted:?}")));
        wrong.extend((took > DEADLINE).then(|| format!("delete took {took:?}")));
        wrong.extend(death.hung.then(|| format!("hung: {death:?}")));
        let natural = death.instead_of.is_none() && !death.hung;
        wrong.extend((natural && !death.outcome.succeeded()).then(|| format!("not even alive: {death:?}")));
        (death, wrong)
    }
}

impl fmt::Display for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?} in {:?}", self.verb, self.shape, self.world)
    }
}

/// Unfinished files beside those that last.
fn drafts(test: &Test) -> Vec<String> {
    let places = [test.directory.join("pid"), test.state_root().join(".cache/seccomp")];
    let files = places.iter().flat_map(fs::read_dir).flatten().flatten();
    let drafts = files.filter(|file| file.file_name().to_string_lossy().contains('.'));
    drafts.map(|file| format!("file {}", file.path().display())).collect()
}

impl Verb {
    /// Brings the container to where the command begins.
    fn prepare(self, test: &Test, bundle: &Bundle, id: &str) {
        let made = self != Verb::Create && self != Verb::Run && self != Verb::RunDetached;
        let runs = made && self != Verb::Start;
        let steps: [(bool, &[&str]); 3] = [
            (made, &["create", "--bundle", &text(&bundle.path), id]),
            (runs, &["start", id]),
            (self == Verb::Delete, &["kill", id, "KILL"]),
        ];
        for (wanted, line) in steps {
            if wanted {
                test.runtime(line).ok();
            }
        }
        if self == Verb::Delete {
            let stopped = || test.runtime(&["state", id]).stdout.contains("stopped").then_some(());
            leaks::soon(DEADLINE, stopped).expect("a killed container stops");
        }
    }

    fn line(self, test: &Test, bundle: &Bundle, id: &str) -> Vec<String> {
        let pid_file = text(&test.directory.join("pid/file"));
        let place = text(&bundle.path);
        let making = ["--bundle", &place, "--pid-file", &pid_file, id];
        let line = match self {
            Verb::Create => [&["create"][..], &making].concat(),
            Verb::Run => [&["run"][..], &making].concat(),
            Verb::RunDetached => [&["run", "--detach"][..], &making].concat(),
            Verb::Start => vec!["start", id],
            Verb::Kill => vec!["kill", id, "TERM"],
            Verb::Delete => vec!["delete", id],
            Verb::DeleteByForce => vec!["delete", "--force", id],
        };
        line.into_iter().map(str::to_owned).collect()
    }
}

impl Shape {
    fn form(self, config: &mut Value, world: World, holder: Option<&Holder>) {
        match self {
            Shape::Plain => {}
            Shape::UserNamespace => user_namespace(config),
            Shape::Hooks => hooks(config),
            Shape::ManyMounts => many_mounts(config),
            Shape::Limits => limits(config, world),
            Shape::Seccomp => config["linux"]["seccomp"] = integration::seccomp::docker_sized(),
            Shape::SharedNamespaces => {
                ["pid", "ipc", "cgroup"].iter().for_each(|kind| namespace(config, kind, None))
            }
            Shape::JoinedNamespaces => holder.into_iter().for_each(|holder| holder.lend(config)),
        }
    }
}

fn user_namespace(config: &mut Value) {
    namespace(config, "user", Some(json!({"type": "user"})));
    let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    config["linux"]["uidMappings"] = ids.clone();
    config["linux"]["gidMappings"] = ids;
}

fn hooks(config: &mut Value) {
    let busybox = text(&integration::bundle::busybox());
    let outside =
        json!([{"path": busybox, "args": ["true"]}, {"path": busybox, "args": ["cat", "/dev/null"]}]);
    for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        config["hooks"][kind] = outside.clone();
    }
    config["hooks"]["startContainer"] = json!([{"path": "/bin/true"}]);
}

fn many_mounts(config: &mut Value) {
    for number in 0..20 {
        let place = |kind: &str| format!("/tmp/{kind}{number}");
        mount(config, "/tmp", "tmpfs", "tmpfs", &["size=1m"]);
        mount(config, &place("tree"), "bind", "/etc", &["rbind", "ro", "nosuid"]);
        mount(config, &place("file"), "bind", "/etc/passwd", &["bind"]);
        mount(config, &place("new"), "tmpfs", "tmpfs", &["size=1m", "nodev"]);
    }
}

fn limits(config: &mut Value, world: World) {
    if world.hierarchy("pids").is_some() {
        config["linux"]["resources"]["pids"] = json!({"limit": 64});
    }
    config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.domainname": "example"});
    config["linux"]["devices"] = json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]);
    config["process"]["oomScoreAdj"] = json!(300);
}

/// A process outside of all tests, in namespaces of its own, which others can join.
struct Holder {
    keeper: Child,
    pid: u32,
}

impl Holder {
    fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "sleep", "1000"]);
        let keeper = command.stdin(Stdio::null()).spawn().expect("unshare can be run");
        let list = PathBuf::from(format!("/proc/{0}/task/{0}/children", keeper.id()));
        let child = || fs::read_to_string(&list).ok()?.trim().parse().ok();
        let pid = leaks::soon(DEADLINE, child).expect("unshare starts its child");
        Self { keeper, pid }
    }

    fn lend(&self, config: &mut Value) {
        for (kind, link) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")] {
            let path = format!("/proc/{}/ns/{link}", self.pid);
            namespace(config, kind, Some(json!({"type": kind, "path": path})));
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
