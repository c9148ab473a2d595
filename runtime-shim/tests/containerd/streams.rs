//! Standard streams: fifos, files, loggers and terminals.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;

use integration::Exit;
use integration::engines::image::IMAGE;

use crate::engine::{Engine, soon};

#[test]
fn streams_lead_where_they_should() {
    let Some(engine) = Engine::start() else { return };
    reads(&engine);
    writes_much(&engine);
    writes_to_a_file(&engine);
    writes_to_a_logger(&engine);
    sits_at_a_terminal(&engine);
    attaches_again(&engine);
    engine.stop();
}

/// `ctr` closes the input only if it ends after the task was made.
fn reads(engine: &Engine) {
    let (input, mut end) = std::io::pipe().unwrap();
    let name = engine.room.fresh();
    let call = engine.call(&Engine::words(&["--rm"], &name, &["cat"]));
    let running = call.stdin(OwnedFd::from(input).into()).spawn();
    assert!(soon(|| engine.status(&name) == "RUNNING"));
    end.write_all(b"one\ntwo\n").unwrap();
    drop(end);
    assert_eq!(running.finish().ok().stdout, "one\ntwo\n");
}

fn writes_much(engine: &Engine) {
    let outcome = engine.run(&[], &["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"]).ok();
    assert_eq!(outcome.stdout.len(), 3_000_000);
}

fn writes_to_a_file(engine: &Engine) {
    let file = engine.room.path("logs/of/a/container");
    let uri = format!("file://{file}");
    let name = engine.detached(&["--log-uri", &uri], &["sh", "-c", "echo out; echo err >&2"]);
    assert!(soon(|| engine.status(&name) == "STOPPED"));
    assert_eq!(fs::read_to_string(engine.room.outside(&file)).unwrap(), "out\nerr\n");
    engine.remove(&name);
}

fn writes_to_a_logger(engine: &Engine) {
    let out = engine.room.path("logged");
    let script = format!(
        "#!/bin/sh\ncat <&4 >{out}.err 5>&- &\necho \"$CONTAINER_NAMESPACE $CONTAINER_ID $*\" >{out}.who\n\
         exec 5>&-\ncat <&3 >{out}.out\nwait\n"
    );
    let logger = engine.room.write("logger", script);
    engine.room.run("chmod", &["755", &logger]).ok();
    let uri = format!("binary://{logger}?tag=a%20b");
    let name = engine.detached(&["--log-uri", &uri], &["sh", "-c", "echo out; echo err >&2"]);
    assert!(soon(|| engine.status(&name) == "STOPPED"));
    let read = |ending: &str| {
        fs::read_to_string(engine.room.outside(&format!("{out}.{ending}"))).unwrap_or_default()
    };
    assert!(soon(|| read("out") == "out\n" && read("err") == "err\n"), "{:?} {:?}", read("out"), read("err"));
    assert_eq!(read("who"), format!("{} {name} tag a b\n", engine.room.mark));
    engine.remove(&name);
    let nowhere = engine.run(&["--log-uri", "binary:///nowhere"], &["true"]);
    nowhere.fails_with(&["cannot start the logger /nowhere"]);
}

fn sits_at_a_terminal(engine: &Engine) {
    let name = engine.room.fresh();
    let mut terminal = engine.terminal(&Engine::words(&["--rm", "-t"], &name, &["sh"]));
    terminal.expect("# ");
    terminal.write("until [ \"$(stty size)\" = '33 77' ]; do sleep 0.1; done; echo at $(tty)\n");
    terminal.expect("at /dev/pts/0");
    terminal.resize(20, 50);
    terminal.write("until [ \"$(stty size)\" = '20 50' ]; do sleep 0.1; done; echo re''sized\n");
    terminal.expect("resized");
    terminal.write("head -c 200000 /dev/zero | tr '\\0' x; echo; echo the e''nd; exit 7\n");
    terminal.expect("the end");
    assert_eq!(terminal.finish().1, Exit::Code(7));
    let name = engine.sleeper();
    let mut terminal = engine.terminal(&["task", "exec", "-t", "--exec-id", "x", &name, "sh"]);
    terminal.expect("# ");
    terminal.write("echo at $(tty); exit 3\n");
    terminal.expect("at /dev/pts/");
    assert_eq!(terminal.finish().1, Exit::Code(3));
    engine.remove(&name);
}

/// A client that goes takes nothing along: the next one is heard, and the program was never told.
fn attaches_again(engine: &Engine) {
    let name = engine.room.fresh();
    let create = ["container", "create", "-t", "--runtime", "io.containerd.runtime.v1", IMAGE, &name, "sh"];
    engine.ctr(&create).ok();
    let mut first = engine.terminal(&["task", "start", &name]);
    first.expect("# ");
    first.write("echo fi''rst\n");
    first.expect("first");
    let clients = || {
        let all = engine.room.processes().into_iter();
        let line = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        all.filter(|pid| line(pid).contains("ctr\0") && line(pid).contains(&name)).collect::<Vec<_>>()
    };
    clients().iter().for_each(|pid| drop(engine.room.run("kill", &["-9", &pid.to_string()])));
    drop(first.finish());
    assert_eq!(engine.status(&name), "RUNNING");
    let mut second = engine.terminal(&["task", "attach", &name]);
    second.write("echo sec''ond; exit 4\n");
    second.expect("second");
    assert_eq!(second.finish().1, Exit::Code(4));
    engine.ctr(&["container", "delete", &name]).ok();
}
