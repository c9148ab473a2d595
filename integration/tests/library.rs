//! The library, called by this process: what the command has no words for.

use std::fs::{self, File};
use std::io::{Read, Write, read_to_string};
use std::path::Path;
use std::time::{Duration, Instant};

use integration::bundle::{memory_without_swap, mount, shell};
use integration::command::DEADLINE;
use integration::{Bundle, Test, World};
use runtime_core::cgroup::{Driver, Happening, Resource, Threshold, Watch};
use runtime_core::container::{
    Child, Console, Container, CreateOptions, ExecOptions, Exit, Stdio, Stream, Terminal,
};
use runtime_core::plan::WindowSize;
use runtime_core::spec::ExecProcess;
use runtime_core::state::StateRoot;
use runtime_core::{ContainerId, ErrorKind, Spec};
use serde_json::{Value, json};

/// What every test here needs; containers have the machine's own cgroups, as this process does.
struct Engine {
    /// Let go of before the test looks for what is left.
    root: StateRoot,
    test: Test,
}

impl Engine {
    fn new() -> Self {
        let test = Test::at(World::Host);
        let root = StateRoot::open(&test.state_root()).expect("a state directory can be made");
        Self { root, test }
    }

    fn bundle(&self, edit: impl FnOnce(&mut Value)) -> (Bundle, runtime_core::Bundle) {
        let bundle = self.test.bundle(edit);
        let opened = runtime_core::Bundle::open(&bundle.path).expect("the bundle is one");
        (bundle, opened)
    }

    fn script(&self, script: &str) -> runtime_core::Bundle {
        self.bundle(|config| shell(config, script)).1
    }

    fn id(&self) -> ContainerId {
        ContainerId::new(self.test.fresh()).expect("the name is one")
    }

    fn run(&self, bundle: &runtime_core::Bundle, options: &CreateOptions) -> Child {
        Container::run(&self.root, &self.id(), bundle, options).expect("the container runs")
    }
}

fn pipes() -> CreateOptions {
    CreateOptions { stdio: Stdio::pipes(), ..CreateOptions::default() }
}

fn ended(child: &Child) -> Exit {
    child.wait_for(DEADLINE).expect("the child is ours").expect("it ends")
}

#[test]
fn pipes_lead_to_the_program_and_back() {
    let engine = Engine::new();
    let mut child = engine.run(&engine.script("cat; echo odd >&2; exit 3"), &pipes());
    let mut stdin = child.take_stdin().expect("there is a pipe");
    stdin.write_all(b"through\n").expect("somebody reads it");
    drop(stdin);
    let [said, complained] = [child.take_stdout(), child.take_stderr()]
        .map(|pipe| read_to_string(pipe.expect("there is a pipe")).expect("it is text"));
    assert_eq!((said.as_str(), complained.as_str()), ("through\n", "odd\n"));
    assert_eq!(ended(&child), Exit::Code(3));
    assert!(child.take_stdin().is_none() && child.take_stdout().is_none());
    child.delete().expect("it can be deleted");
}

#[test]
fn streams_are_what_the_caller_has_opened_or_nothing() {
    let engine = Engine::new();
    let path = engine.test.directory.join("output/said");
    let file = File::create(&path).expect("a file can be made");
    let stdio = Stdio { stdout: Stream::of(file), ..Stdio::null() };
    let options = CreateOptions { stdio, ..CreateOptions::default() };
    let script = "read line || echo nothing to read; echo lost >&2; readlink /proc/self/fd/2";
    for _ in 0..2 {
        let child = engine.run(&engine.script(script), &options);
        assert_eq!(ended(&child), Exit::Code(0));
        child.delete().expect("it can be deleted");
    }
    let said = fs::read_to_string(path).expect("it is text");
    assert_eq!(said, "nothing to read\n/dev/null\n".repeat(2));
}

/// As a server waits: neither for ever, nor with a thread for each.
#[test]
fn a_process_that_does_not_end_is_waited_for_no_longer_than_wanted() {
    let engine = Engine::new();
    let mut child = Container::create(&engine.root, &engine.id(), &engine.script("cat"), &pipes())
        .expect("the container is made");
    assert_eq!(child.wait_for(Duration::from_millis(20)).expect("it is ours"), None);
    child.start().expect("it can be started");
    let container = child.container().clone();
    assert_eq!(container.wait_for(Duration::from_millis(20)).expect("it is there"), None);
    drop(child.take_stdin());
    assert_eq!(ended(&child), Exit::Code(0));
    Container::delete(&engine.root, container.id(), false).expect("it can be deleted");
    let error = container.wait_for(DEADLINE).expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_further_process_has_streams_of_its_own() {
    let engine = Engine::new();
    let first = engine.run(&engine.script("cat"), &pipes());
    let words = ["/bin/sh", "-c", "cat; exit 4"];
    let process = json!({"cwd": "/", "user": {"uid": 0, "gid": 0}, "args": words, "env": ["PATH=/bin"]});
    let process = ExecProcess::Document(process.to_string().into_bytes());
    let options = ExecOptions { stdio: Stdio::pipes(), ..ExecOptions::default() };
    let mut further = first.container().exec(&process, &options).expect("it can be started");
    further.take_stdin().expect("there is a pipe").write_all(b"further").expect("somebody reads it");
    let said = read_to_string(further.take_stdout().expect("there is a pipe")).expect("it is text");
    let exit = further.wait_for(DEADLINE).expect("it is ours");
    assert_eq!((said.as_str(), exit), ("further", Some(Exit::Code(4))));
    first.signal(9).expect("it runs");
    assert_eq!(ended(&first), Exit::Signal(9));
    first.delete().expect("it can be deleted");
}

#[test]
fn a_terminal_is_the_callers_and_has_the_size_that_he_wants() {
    let engine = Engine::new();
    let (_, bundle) = engine.bundle(|config| {
        config["process"]["terminal"] = json!(true);
        shell(config, "stty size; read line; stty size");
    });
    let size = |rows, columns| WindowSize { rows, columns };
    let console = Console::Caller { size: Some(size(24, 80)) };
    let mut child = engine.run(&bundle, &CreateOptions { console, ..CreateOptions::default() });
    let mut terminal = child.take_terminal().expect("there is a terminal");
    let mut said = String::new();
    let mut hear = |wanted: &str, terminal: &mut Terminal| {
        while !said.contains(wanted) {
            let mut piece = [0; 256];
            let count = terminal.read(&mut piece).unwrap_or_default();
            assert!(count > 0, "{wanted}: {said}");
            said.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    };
    hear("24 80", &mut terminal);
    terminal.resize(size(50, 132)).expect("it has a size");
    terminal.write_all(b"\n").expect("somebody reads it");
    hear("50 132", &mut terminal);
    assert_eq!(ended(&child), Exit::Code(0));
    child.delete().expect("it can be deleted");
}

/// A configuration that was never in a file, and a root whose name somebody else may have by now.
#[test]
fn a_container_is_made_of_what_is_in_memory_and_open() {
    let engine = Engine::new();
    let (made, _) = engine.bundle(|config| {
        shell(config, "cat /proc/self/mountinfo | head -n 1 | wc -l; ls /; cat /mark");
        mount(config, "/tmp", "tmpfs", "tmpfs", &["nosuid"]);
        config["root"]["path"] = json!("/nonexistent");
    });
    fs::write(made.inside("/mark"), "the right root\n").expect("a file can be written");
    let open = File::open(made.inside("/")).expect("the root is there");
    fs::rename(made.inside("/"), made.path.join("moved")).expect("it can be renamed");
    fs::remove_file(made.path.join("config.json")).expect("it can be removed");
    let spec = Spec::parse(made.config.to_string().into_bytes()).expect("it is a configuration");
    let bundle =
        runtime_core::Bundle::of(Path::new("/nonexistent"), spec).expect("a path is a path").with_root(open);
    for no_pivot in [false, true] {
        let mut child = engine.run(&bundle, &CreateOptions { no_pivot, ..pipes() });
        let said = read_to_string(child.take_stdout().expect("there is a pipe")).expect("it is text");
        let complained = read_to_string(child.take_stderr().expect("there is a pipe")).expect("it is text");
        assert!(said.ends_with("var\nthe right root\n"), "{said} {complained}");
        assert_eq!(ended(&child), Exit::Code(0));
        child.delete().expect("it can be deleted");
    }
}

#[test]
fn cgroups_begin_where_the_caller_wants_them_to() {
    let engine = Engine::new();
    let (_, bundle) = engine.bundle(|config| {
        config["linux"]["cgroupsPath"] = json!("inner");
        config["linux"]["resources"]["memory"] = memory_without_swap(64 << 20);
        shell(config, "cat /proc/self/cgroup");
        config["linux"]["namespaces"]
            .as_array_mut()
            .expect("it is a list")
            .retain(|one| one["type"] != "cgroup");
    });
    let driver = Driver::Below(format!("/{}/below", engine.test.mark).into());
    let mut child = engine.run(&bundle, &CreateOptions { driver, ..pipes() });
    let said = read_to_string(child.take_stdout().expect("there is a pipe")).expect("it is text");
    let wanted = format!("/{}/below/inner", engine.test.mark);
    assert!(said.lines().all(|line| line.ends_with(&wanted)), "{said}");
    assert_eq!(ended(&child), Exit::Code(0));
    child.delete().expect("it can be deleted");
}

#[test]
fn programs_learn_what_went_wrong_without_reading() {
    let engine = Engine::new();
    let run = |bundle: &runtime_core::Bundle| {
        Container::run(&engine.root, &engine.id(), bundle, &CreateOptions::default())
            .expect_err("it can't be")
    };
    let (_, missing) = engine.bundle(|config| config["process"]["args"] = json!(["/bin/missing"]));
    assert_eq!(run(&missing).kind(), ErrorKind::Program);
    let (_, bundle) = engine.bundle(|config| mount(config, "/x", "no-such-kind", "x", &[]));
    let error = run(&bundle);
    assert_eq!((error.kind(), error.errno()), (ErrorKind::System, Some(rustix::io::Errno::NODEV)));
    assert!(error.pointer().is_some_and(|pointer| pointer.starts_with("/mounts/")), "{error:?}");
    assert!(error.step().is_some());
    let missing = Container::find(&engine.root, &engine.id()).expect_err("there is none");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

/// The next thing of this kind; others may come between.
fn happens(watch: &mut Watch, wanted: Happening) {
    let deadline = Instant::now() + DEADLINE;
    let mut seen = Vec::new();
    while !seen.contains(&Happening::Empty)
        && let Some(happening) = watch.next(deadline).expect("the cgroup is there")
    {
        if happening == wanted {
            return;
        }
        seen.push(happening);
    }
    panic!("{wanted:?} does not happen, but {seen:?}");
}

#[test]
fn what_happens_to_a_container_is_told() {
    let engine = Engine::new();
    let (_, bundle) = engine.bundle(|config| {
        config["linux"]["resources"]["pids"] = json!({"limit": 4});
        shell(config, "read line; (for i in 1 2 3 4; do sleep 1000 & done) 2>/dev/null; read line");
    });
    let mut child = engine.run(&bundle, &pipes());
    let mut stdin = child.take_stdin().expect("there is a pipe");
    let container = child.container().clone();
    let mut watch = container.watch().expect("it can be watched");
    assert_eq!(watch.next(Instant::now()).expect("the cgroup is there"), None);
    container.pause().expect("it runs");
    happens(&mut watch, Happening::Frozen);
    container.resume().expect("it is paused");
    happens(&mut watch, Happening::Thawed);
    stdin.write_all(b"\n").expect("somebody reads it");
    happens(&mut watch, Happening::TooManyProcesses);
    container.kill(9, true).expect("it runs");
    happens(&mut watch, Happening::Exited);
    child.wait().expect("it is ours");
    happens(&mut watch, Happening::Empty);
    child.delete().expect("it can be deleted");
}

#[test]
fn processes_that_wait_for_too_long_are_told() {
    let engine = Engine::new();
    let child = engine
        .run(&engine.script("while :; do :; done & while :; do :; done & while :; do :; done"), &pipes());
    let window = Duration::from_secs(2);
    let threshold = Threshold { resource: Resource::Cpu, all: false, stall: window / 20, window };
    let container = child.container();
    match container.watch_for(&[threshold]) {
        Ok(mut watch) => happens(&mut watch, Happening::Pressure(Resource::Cpu)),
        Err(error) => println!("not tested: {error}"),
    }
    let odd = Threshold { window: Duration::from_secs(3600), ..threshold };
    assert_eq!(container.watch_for(&[odd]).expect_err("it is too long").kind(), ErrorKind::System);
    container.kill(9, true).expect("it runs");
    child.wait().expect("it is ours");
    child.delete().expect("it can be deleted");
}
