//! The library's examples do what they say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use integration::bundle::shell;
use integration::runtime::example;
use integration::{Test, World};
use serde_json::{Value, json};

fn ended(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the example can be run")
}

#[test]
fn hello_ends_as_its_program_does() {
    let test = Test::at(World::Host);
    let bundle = test.bundle(|config| shell(config, "echo hello; exit 7"));
    let output = ended(Command::new(example("hello")).arg(&bundle.path));
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), &b"hello\n"[..]), "{output:?}");
}

fn sandboxed(test: &Test, script: &str) -> Value {
    let root = test.bundle(|_| ()).inside("/");
    let output = ended(Command::new(example("sandbox")).arg(root).args(["/bin/sh", "-c", script]));
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

#[test]
fn the_sandbox_tells_what_was_said_and_how_it_ended() {
    let test = Test::at(World::Host);
    let said = sandboxed(&test, "echo out; echo odd >&2; touch /x 2>/dev/null || echo read-only; exit 3");
    let wanted =
        json!({"ended": "Code(3)", "ranOutOfMemory": false, "stdout": "out\nread-only\n", "stderr": "odd\n"});
    assert_eq!(said, wanted);
}

#[test]
fn the_sandbox_gives_no_more_time_and_memory_than_it_says() {
    let test = Test::at(World::Host);
    let said = sandboxed(&test, "echo begun; sleep 1000");
    assert_eq!(
        (&said["stdout"], &said["ended"]),
        (&json!("begun\n"), &json!("was stopped, its time is over"))
    );
    let said = sandboxed(&test, "head -c 200000000 /dev/zero | tail -c 200000000 >/dev/null; echo done");
    assert_eq!(said["ranOutOfMemory"], json!(true), "{said}");
}

/// A server, and where it is.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn new(test: &Test, script: &str) -> Self {
        let root = test.bundle(|_| ()).inside("/");
        let mut command = Command::new(example("server"));
        command.arg(root).args(["/bin/sh", "-c", script]).env("LISTEN", "127.0.0.1:0");
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the server can be run");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("there is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it is");
        let address = line.trim().rsplit('/').next().unwrap_or_default().to_owned();
        Self { process, address }
    }

    /// The whole answer to one request.
    fn answer(&self, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let length = body.len();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_server_answers_many_at_once_each_with_its_own_container() {
    let test = Test::at(World::Host);
    let server = Server::new(&test, "echo \"$(cat) from $$\"");
    thread::scope(|scope| {
        for client in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for round in 0..4 {
                    let question = format!("question {client} {round}");
                    let answer = server.answer(&question);
                    let wanted = format!("{question} from 1\n");
                    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(&wanted), "{answer}");
                }
            });
        }
    });
}
