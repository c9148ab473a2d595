//! Readiness of the program, as the host's service manager hears of it.

use std::fs;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use integration::bundle::{Bundle, shell};
use integration::command::ends_within;
use integration::test::text;
use integration::{Container, Exit, Test, promise};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde_json::json;

/// How long a message may take; and how long something that must not happen is waited for.
const SOON: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_millis(200);

/// The service manager.
struct Manager(UnixDatagram);

/// What it was told, and a descriptor that came along.
type Told = (String, Option<OwnedFd>);

impl Manager {
    fn at(path: &Path) -> Self {
        Self::on(UnixDatagram::bind(path).expect("a socket can be bound"))
    }

    fn on(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(SOON)).expect("a socket has time-outs");
        Manager(socket)
    }

    /// The next message.
    fn hears(&self) -> Told {
        let mut bytes = [0; 8192];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut bytes)];
        let message = rustix::net::recvmsg(&self.0, parts, &mut control, RecvFlags::CMSG_CLOEXEC);
        let length = message.expect("nothing was said in time").bytes;
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        (String::from_utf8_lossy(&bytes[..length]).trim_end().to_owned(), descriptor)
    }

    /// The next message that has no descriptor.
    fn hears_text(&self) -> String {
        let (text, descriptor) = self.hears();
        assert!(descriptor.is_none(), "{text} came with a descriptor");
        text
    }
}

/// A program that is ready when there is a file `/go`, and says something before that and at its end.
fn program(test: &Test) -> Bundle {
    test.bundle(|config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        let say = |text: &str| format!("/bin/prober '{{\"notify\": [\"{text}\"]}}' >/dev/null");
        shell(
            config,
            &format!(
                "{}; until [ -e /go ]; do sleep 0.02; done; {}; until [ -e /end ]; do sleep 0.02; done; {}; exit 7",
                say("STATUS=warm\\nMAINPID=1\\nFDSTORE=1"),
                say("READY=1"),
                say("STOPPING=1"),
            ),
        );
    })
}

fn let_go(bundle: &Bundle, file: &str) {
    fs::write(bundle.inside(file), "").expect("a file can be written");
}

#[test]
fn start_ends_when_the_program_is_ready_and_the_service_manager_knows() {
    promise("start waits for readiness", || {
        let test = Test::new();
        let path = test.directory.join("manager");
        let manager = Manager::at(&path);
        let bundle = program(&test);
        let id = test.fresh();
        let create = test.call(&["create", "--bundle", &text(&bundle.path), &id]).env("NOTIFY_SOCKET", &path);
        let container = Container::of(&test, &id, create.run().ok());
        let start = test.call(&["start", &id]).env("NOTIFY_SOCKET", &path).spawn();
        assert_eq!(manager.hears_text(), "STATUS=warm");
        assert!(!ends_within(start.pid(), A_WHILE), "the program is not ready");
        // Others get their turn.
        assert_eq!(container.status(), "running");
        let_go(&bundle, "go");
        assert_eq!(manager.hears_text(), "READY=1");
        assert_eq!(manager.hears_text(), format!("MAINPID={}", container.pid));
        let (barrier, descriptor) = manager.hears();
        assert_eq!(barrier, "BARRIER=1");
        assert!(!ends_within(start.pid(), A_WHILE), "the service manager is at it still");
        drop(descriptor.expect("a barrier is a descriptor"));
        assert_eq!(start.finish().ok().stderr, "");
        let_go(&bundle, "end");
        assert_eq!(container.finish(), Exit::Code(7));
    });
}

#[test]
fn a_detached_run_reports_to_an_abstract_socket() {
    promise("a detached run waits for readiness", || {
        let test = Test::new();
        let name = format!("manager-{}", test.mark);
        let address = SocketAddr::from_abstract_name(&name).expect("a name can be an address");
        let manager = Manager::on(UnixDatagram::bind_addr(&address).expect("a socket can be bound"));
        let bundle = program(&test);
        let_go(&bundle, "go");
        let id = test.fresh();
        let call = test.call(&["run", "--detach", "--bundle", &text(&bundle.path), &id]);
        let run = call.env("NOTIFY_SOCKET", format!("@{name}")).spawn();
        while manager.hears_text() != "READY=1" {}
        assert!(manager.hears_text().starts_with("MAINPID="));
        drop(manager.hears());
        let container = Container::of(&test, &id, run.finish().ok());
        let_go(&bundle, "end");
        assert_eq!(container.finish(), Exit::Code(7));
    });
}

#[test]
fn a_run_in_the_foreground_goes_on_passing_on() {
    promise("the last word of a program is passed on", || {
        let test = Test::new();
        let path = test.directory.join("manager");
        let manager = Manager::at(&path);
        let bundle = program(&test);
        let_go(&bundle, "go");
        let_go(&bundle, "end");
        let id = test.fresh();
        let run = test.call(&["run", "--bundle", &text(&bundle.path), &id]).env("NOTIFY_SOCKET", &path);
        run.run().exits(7);
        let heard: Vec<_> = (0..3).map(|_| manager.hears_text()).collect();
        assert_eq!(heard, ["STATUS=warm", "READY=1", "STOPPING=1"]);
    });
}

#[test]
fn a_program_that_ends_before_it_is_ready_keeps_nobody_waiting() {
    promise("a program that ends before it is ready keeps nobody waiting", || {
        let test = Test::new();
        let path = test.directory.join("manager");
        let _manager = Manager::at(&path);
        let bundle = test.bundle(|config| {
            let script = "echo $NOTIFY_SOCKET; touch /run/notify/x 2>/dev/null || echo closed; exit 3";
            shell(config, script);
        });
        let id = test.fresh();
        let create = test.call(&["create", "--bundle", &text(&bundle.path), &id]).env("NOTIFY_SOCKET", &path);
        let container = Container::of(&test, &id, create.run().ok());
        test.call(&["start", &id]).env("NOTIFY_SOCKET", &path).run().ok();
        assert_eq!(container.finish(), Exit::Code(3));
        assert_eq!(container.stdout(), "/run/notify/notify.sock\nclosed\n");
    });
}

#[test]
fn without_a_service_manager_there_is_nothing_to_wait_for() {
    let test = Test::new();
    let bundle = test.bundle(|config| shell(config, "echo ${NOTIFY_SOCKET-none}; ls /run"));
    let (directory, id) = (text(&bundle.path), test.fresh());
    let said = test.call(&["run", "--bundle", &directory, &id]).env("NOTIFY_SOCKET", "").run();
    assert_eq!(said.stdout, "none\n");
    promise("a service manager that is not there is found out before anything runs", || {
        let call = test.call(&["run", "--bundle", &directory, &id]).env("NOTIFY_SOCKET", "/not/there");
        call.run().fails_with(&["NOTIFY_SOCKET=/not/there: no such file or directory"]);
        test.runtime(&["state", &id]).fails_with(&["does not exist"]);
    });
}
