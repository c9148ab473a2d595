//! The shim as containerd sees it, without containerd: messages of version 3 of the task service, and answers to the
//! events that it tells.
//!
//! Needs root and busybox; where they are missing, a test says so and is over.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail where it stands, and says why it does not run"
)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use containerd_shim_protos::api::{
    CheckpointTaskRequest, ConnectRequest, CreateTaskRequest, DeleteRequest, ExecProcessRequest,
    ForwardRequest, KillRequest, PidsRequest, ShutdownRequest, StartRequest, StateRequest, StatsRequest,
    Status, UpdateTaskRequest, WaitRequest,
};
use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult, Extension};
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::shim::oci::{Options, ProcessDetails};
use containerd_shim_protos::ttrpc::context::Context;
use containerd_shim_protos::ttrpc::{self, Client, Code, Server, TtrpcContext};
use containerd_shim_protos::types::empty::Empty;
use containerd_shim_protos::{Events, TaskClient, create_events};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const SHIM: &str = env!("CARGO_BIN_EXE_containerd-shim-runtime-v1");

/// What was told, in its order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Events for Told {
    fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> ttrpc::Result<Empty> {
        self.0.lock().unwrap().push(request.envelope.topic.replace("/tasks/", ""));
        Ok(Empty::new())
    }
}

/// A shim for one bundle, and everything around it.
struct Stage {
    place: PathBuf,
    told: Told,
    _containerd: Server,
    task: TaskClient,
    cgroup: String,
}

impl Stage {
    /// `None`, and a sentence, if this can't be tested here.
    fn set(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
            eprintln!("not run: root and busybox are needed");
            return None;
        }
        let place = std::env::temp_dir().join(format!("shim-{name}-{}", std::process::id()));
        let cgroup = format!("shim-{name}-{}", std::process::id());
        bundle(&place.join("bundle"), &cgroup);
        let told = Told::default();
        let events = format!("unix://{}", place.join("events").display());
        let server = Server::new().bind(&events).unwrap();
        let mut server = server.register_service(create_events(Arc::new(told.clone())));
        server.start().unwrap();
        let address = start(&place, &events, &shim_cgroup(&cgroup));
        let task = TaskClient::new(Client::connect(&address).unwrap());
        Some(Stage { place, told, _containerd: server, task, cgroup })
    }

    fn create(&self) -> u32 {
        let mut request = CreateTaskRequest::new();
        request.id = "c".into();
        request.bundle = self.place.join("bundle").display().to_string();
        request.options = Some(options(&self.place, "")).into();
        self.task.create(Context::default(), &request).unwrap().pid
    }

    fn start(&self) -> u32 {
        let request = StartRequest { id: "c".into(), ..StartRequest::default() };
        self.task.start(Context::default(), &request).unwrap().pid
    }

    fn exec(&self, name: &str, process: &Value) -> ttrpc::Result<Empty> {
        let mut request = ExecProcessRequest::new();
        (request.id, request.exec_id) = ("c".into(), name.into());
        request.spec = Some(Any { value: process.to_string().into(), ..Any::default() }).into();
        self.task.exec(Context::default(), &request)
    }

    fn state(&self) -> Status {
        let request = StateRequest { id: "c".into(), ..StateRequest::default() };
        self.task.state(Context::default(), &request).unwrap().status.enum_value().unwrap()
    }

    fn kill(&self) {
        let request = KillRequest { id: "c".into(), signal: 9, ..KillRequest::default() };
        self.task.kill(Context::default(), &request).unwrap();
    }

    /// How the container, or another process of it, ended.
    fn wait(&self, exec: &str) -> u32 {
        let request = WaitRequest { id: "c".into(), exec_id: exec.into(), ..WaitRequest::default() };
        self.task.wait(Context::default(), &request).unwrap().exit_status
    }

    fn delete(&self) -> u32 {
        let request = DeleteRequest { id: "c".into(), ..DeleteRequest::default() };
        self.task.delete(Context::default(), &request).unwrap().exit_status
    }

    fn shim(&self) -> u32 {
        let request = ConnectRequest { id: "c".into(), ..ConnectRequest::default() };
        self.task.connect(Context::default(), &request).unwrap().shim_pid
    }

    #[track_caller]
    fn was_told(&self, wanted: &[&str]) {
        soon(|| self.told.0.lock().unwrap().len() >= wanted.len());
        assert_eq!(*self.told.0.lock().unwrap(), wanted);
    }

    fn end(&self) {
        self.kill();
        assert_eq!(self.wait(""), 137);
        self.delete();
        self.shut_down();
    }

    /// The last container is gone, and so the shim goes.
    fn shut_down(&self) {
        self.task.shutdown(Context::default(), &ShutdownRequest::new()).unwrap();
        let sockets = || fs::read_dir(self.place.join("s")).unwrap().count();
        assert!(soon(|| sockets() == 0), "the socket is left");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // After a test that failed it is still there.
        let mark = self.place.display().to_string();
        shims(&mark).into_iter().for_each(|pid| _ = kill_process(pid, Signal::KILL));
        let id = ["-namespace", "n", "-id", "c", "-bundle"];
        let bundle = self.place.join("bundle");
        _ = Command::new(SHIM).args(id).arg(&bundle).arg("delete").current_dir(&bundle).output();
        for directory in [shim_directories(&self.cgroup), directories(&self.cgroup)].concat() {
            _ = fs::remove_dir(directory);
        }
        _ = fs::remove_dir_all(&self.place);
    }
}

/// The shims that listen below this path.
fn shims(path: &str) -> Vec<Pid> {
    let pids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let line = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pids.filter(|pid| line(pid).starts_with(SHIM) && line(pid).contains(path))
        .filter_map(Pid::from_raw)
        .collect()
}

fn soon(mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    true
}

/// A container that sleeps.
fn bundle(path: &Path, cgroup: &str) {
    let bin = path.join("rootfs/bin");
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&bin).unwrap();
    fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
    fs::set_permissions(bin.join("busybox"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut config = runtime_core::spec::template(None, false);
    config["process"]["args"] = json!(["/bin/busybox", "sleep", "99999"]);
    config["process"]["terminal"] = json!(false);
    config["linux"]["cgroupsPath"] = json!(format!("/{cgroup}/c"));
    fs::write(path.join("config.json"), config.to_string()).unwrap();
}

/// A process like this one.
fn process(arguments: &[&str]) -> Value {
    let mut process = runtime_core::spec::template(None, false)["process"].take();
    process["args"] = json!(arguments);
    process
}

fn options(place: &Path, shim_cgroup: &str) -> Any {
    let options = Options {
        root: place.join("state").display().to_string(),
        shim_cgroup: shim_cgroup.into(),
        binary_name: "/nowhere/runc".into(),
        ..Options::default()
    };
    let value = options.write_to_bytes().unwrap();
    Any { type_url: "containerd.runc.v1.Options".into(), value, ..Any::default() }
}

fn hierarchies() -> Vec<PathBuf> {
    let mount = Path::new("/sys/fs/cgroup");
    match mount.join("cgroup.controllers").exists() {
        true => vec![mount.to_owned()],
        false => fs::read_dir(mount).unwrap().map(|entry| entry.unwrap().path()).collect(),
    }
}

fn directories(cgroup: &str) -> Vec<PathBuf> {
    hierarchies().into_iter().map(|hierarchy| hierarchy.join(cgroup)).collect()
}

fn shim_directories(cgroup: &str) -> Vec<PathBuf> {
    directories(&shim_name(cgroup))
}

fn shim_name(cgroup: &str) -> String {
    format!("{cgroup}-shim")
}

/// A cgroup for the shim, in one hierarchy.
fn shim_cgroup(cgroup: &str) -> String {
    let pids = shim_directories(cgroup).into_iter().find(|path| path.starts_with("/sys/fs/cgroup/pids"));
    let made = pids.or_else(|| shim_directories(cgroup).into_iter().next()).unwrap();
    fs::create_dir_all(made).unwrap();
    format!("/{}", shim_name(cgroup))
}

/// Calls the `start` action as containerd 2.3 does; the address of the shim.
fn start(place: &Path, events: &str, shim_cgroup: &str) -> String {
    let params = BootstrapParams {
        instance_id: "c".into(),
        namespace: "n".into(),
        containerd_ttrpc_address: events.into(),
        containerd_grpc_address: "/nowhere.sock".into(),
        socket_dir: Some(place.join("s").display().to_string()),
        extensions: vec![Extension {
            value: Some(options(place, shim_cgroup)).into(),
            ..Extension::default()
        }],
        ..BootstrapParams::default()
    };
    let mut child = Command::new(SHIM)
        .args(["-namespace", "n", "-id", "c", "-address", "/nowhere.sock", "start"])
        .current_dir(place.join("bundle"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&params.write_to_bytes().unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let result = BootstrapResult::parse_from_bytes(&output.stdout).unwrap();
    assert_eq!((result.version, result.protocol.as_str()), (3, "ttrpc"));
    result.address
}

#[track_caller]
fn refused<T>(answer: ttrpc::Result<T>) -> Code {
    match answer {
        Err(ttrpc::Error::RpcStatus(status)) => status.code(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was not refused"),
    }
}

#[test]
fn a_container_lives_and_dies() {
    let Some(stage) = Stage::set("life") else { return };
    let pid = stage.create();
    assert_eq!(stage.state(), Status::CREATED);
    assert_eq!(stage.start(), pid);
    assert_eq!(stage.state(), Status::RUNNING);
    stage.exec("x", &process(&["/bin/busybox", "sh", "-c", "exit 5"])).unwrap();
    let request = StartRequest { id: "c".into(), exec_id: "x".into(), ..StartRequest::default() };
    stage.task.start(Context::default(), &request).unwrap();
    assert_eq!(stage.wait("x"), 5);
    stage.kill();
    assert_eq!((stage.wait(""), stage.state()), (137, Status::STOPPED));
    assert_eq!(stage.delete(), 137);
    stage.was_told(&["create", "start", "exec-added", "exec-started", "exit", "exit", "delete"]);
    stage.shut_down();
}

#[test]
fn what_was_never_started_can_be_deleted() {
    let Some(stage) = Stage::set("created") else { return };
    stage.create();
    assert_eq!(stage.delete(), 137);
    stage.was_told(&["create", "exit", "delete"]);
    stage.shut_down();
}

#[test]
fn refusals_have_the_codes_that_containerd_knows() {
    let Some(stage) = Stage::set("refusals") else { return };
    let unknown = StateRequest { id: "c".into(), ..StateRequest::default() };
    assert_eq!(refused(stage.task.state(Context::default(), &unknown)), Code::NOT_FOUND);
    stage.create();
    let again =
        CreateTaskRequest { id: "c".into(), bundle: "/nowhere".into(), ..CreateTaskRequest::default() };
    assert_eq!(refused(stage.task.create(Context::default(), &again)), Code::ALREADY_EXISTS);
    stage.start();
    let start = StartRequest { id: "c".into(), ..StartRequest::default() };
    assert_eq!(refused(stage.task.start(Context::default(), &start)), Code::FAILED_PRECONDITION);
    let delete = DeleteRequest { id: "c".into(), ..DeleteRequest::default() };
    assert_eq!(refused(stage.task.delete(Context::default(), &delete)), Code::FAILED_PRECONDITION);
    let checkpoint = CheckpointTaskRequest { id: "c".into(), ..CheckpointTaskRequest::default() };
    assert_eq!(refused(stage.task.checkpoint(Context::default(), &checkpoint)), Code::UNIMPLEMENTED);
    stage.exec("x", &process(&["/bin/busybox", "true"])).unwrap();
    assert_eq!(refused(stage.exec("x", &process(&["true"]))), Code::ALREADY_EXISTS);
    assert_eq!(refused(stage.exec("y", &json!([]))), Code::INVALID_ARGUMENT);
    let kill = KillRequest { id: "c".into(), exec_id: "x".into(), signal: 9, ..KillRequest::default() };
    assert_eq!(refused(stage.task.kill(Context::default(), &kill)), Code::FAILED_PRECONDITION);
    // Others need it.
    stage.task.shutdown(Context::default(), &ShutdownRequest::new()).unwrap();
    assert_eq!(stage.state(), Status::RUNNING);
    stage.kill();
    assert_eq!(stage.wait(""), 137);
    let kill = KillRequest { id: "c".into(), signal: 9, ..KillRequest::default() };
    assert_eq!(refused(stage.task.kill(Context::default(), &kill)), Code::NOT_FOUND);
    stage.delete();
    stage.shut_down();
}

#[test]
fn a_container_is_looked_at_and_changed() {
    let Some(stage) = Stage::set("looks") else { return };
    let pid = stage.create();
    stage.start();
    stage.exec("x", &process(&["/bin/busybox", "sleep", "99999"])).unwrap();
    let request = StartRequest { id: "c".into(), exec_id: "x".into(), ..StartRequest::default() };
    let further = stage.task.start(Context::default(), &request).unwrap().pid;
    let request = PidsRequest { id: "c".into(), ..PidsRequest::default() };
    let pids = stage.task.pids(Context::default(), &request).unwrap().processes;
    assert_eq!(pids.iter().map(|process| process.pid).collect::<Vec<_>>(), [pid, further]);
    assert!(pids[0].info.is_none());
    let details = ProcessDetails::parse_from_bytes(&pids[1].info.value).unwrap();
    assert_eq!(
        (pids[1].info.type_url.as_str(), details.exec_id.as_str()),
        ("containerd.runc.v1.ProcessDetails", "x")
    );
    let request = StatsRequest { id: "c".into(), ..StatsRequest::default() };
    let stats = stage.task.stats(Context::default(), &request).unwrap().stats;
    assert!(stats.type_url.starts_with("io.containerd.cgroups.v"), "{}", stats.type_url);
    let resources = Any { value: br#"{"pids":{"limit":77}}"#.into(), ..Any::default() };
    let request = UpdateTaskRequest {
        id: "c".into(),
        resources: Some(resources).into(),
        ..UpdateTaskRequest::default()
    };
    stage.task.update(Context::default(), &request).unwrap();
    let limit = |path: &PathBuf| fs::read_to_string(path.join("c/pids.max")).unwrap_or_default();
    assert!(directories(&stage.cgroup).iter().any(|path| limit(path) == "77\n"));
    stage.end();
}

#[test]
fn a_shim_is_where_it_should_be() {
    let Some(stage) = Stage::set("place") else { return };
    stage.create();
    let shim = stage.shim();
    let read = |file: &str| fs::read_to_string(format!("/proc/{shim}/{file}")).unwrap();
    assert!(read("cgroup").contains(&shim_name(&stage.cgroup)), "{}", read("cgroup"));
    let own: i32 = fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    assert_eq!(read("oom_score_adj").trim(), (own + 1).min(1000).to_string());
    assert_eq!(
        fs::read_to_string(stage.place.join("bundle/address")).unwrap().split('/').next(),
        Some("unix:")
    );
    assert!(stage.place.join("state/n/c").is_dir());
    stage.delete();
    stage.shut_down();
}

/// A logger is a child that nobody waits for.
#[test]
fn strangers_are_reaped() {
    let Some(stage) = Stage::set("strangers") else { return };
    stage.create();
    stage.start();
    let mut request = ExecProcessRequest::new();
    (request.id, request.exec_id) = ("c".into(), "x".into());
    request.stdout = "binary:///bin/busybox?true".into();
    let process = process(&["/bin/busybox", "sh", "-c", "exit 3"]);
    request.spec = Some(Any { value: process.to_string().into(), ..Any::default() }).into();
    stage.task.exec(Context::default(), &request).unwrap();
    let request = StartRequest { id: "c".into(), exec_id: "x".into(), ..StartRequest::default() };
    stage.task.start(Context::default(), &request).unwrap();
    assert_eq!(stage.wait("x"), 3);
    let shim = stage.shim();
    let children = || fs::read_to_string(format!("/proc/{shim}/task/{shim}/children")).unwrap();
    assert!(soon(|| children().split_whitespace().count() == 1), "{}", children());
    stage.end();
}
