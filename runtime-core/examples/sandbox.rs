//! Runs a command that nobody trusts: without a network, in a root that it can't write to, with so much time, memory and
//! processes and no more; and tells what it said.
//!
//! `cargo run --example sandbox -- ROOTFS COMMAND [ARGUMENT …]`, as root.

#![allow(clippy::print_stdout, reason = "a program that speaks to people")]

use std::error::Error;
use std::io::{Read, read_to_string};
use std::path::Path;
use std::thread;
use std::time::Duration;

use runtime_core::spec::template;
use runtime_core::{
    Bundle, Child, Container, ContainerId, CreateOptions, Exit, Spec, StateRoot, Stdio, Stream,
};
use serde_json::json;

const TIME: Duration = Duration::from_secs(5);
const MEMORY: u64 = 64 << 20;
const PROCESSES: u64 = 16;
/// Of what it says, no more is kept.
const MOST_SAID: u64 = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rootfs = std::path::absolute(arguments.next().ok_or("which root?")?)?;
    let command: Vec<String> = arguments.collect();

    let bundle = Bundle::of(&rootfs, confined(&rootfs, &command)?)?;
    let root = StateRoot::open(Path::new("/run/sandbox"))?;
    let id = ContainerId::new(format!("sandbox-{}", std::process::id()))?;
    let stdio = Stdio { stdin: Stream::Null, ..Stdio::pipes() };
    let mut child =
        Container::run(&root, &id, &bundle, &CreateOptions { stdio, ..CreateOptions::default() })?;

    // Both are read at once: a program that fills one pipe waits for its reader.
    let [stdout, stderr] = [child.take_stdout(), child.take_stderr()].map(|pipe| {
        thread::spawn(move || pipe.map_or(Ok(String::new()), |pipe| read_to_string(pipe.take(MOST_SAID))))
    });
    let exit = within(&child, TIME)?;
    let out_of_memory = child.ran_out_of_memory();
    child.delete()?;

    let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().unwrap_or_else(|_| Ok(String::new())));
    println!(
        "{}",
        json!({
            "ended": exit.map_or("was stopped, its time is over".to_owned(), |exit| format!("{exit:?}")),
            "ranOutOfMemory": out_of_memory,
            "stdout": stdout?,
            "stderr": stderr?,
        })
    );
    Ok(())
}

/// What `runtime spec` writes, with less of everything: new namespaces of every kind, the network's among them, and in
/// that nothing but a loopback device.
fn confined(rootfs: &Path, command: &[String]) -> Result<Spec, Box<dyn Error>> {
    let mut config = template(None, true);
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(command);
    config["process"]["capabilities"] = json!({});
    config["root"] = json!({ "path": rootfs, "readonly": true });
    config["linux"]["resources"] = json!({
        "memory": { "limit": MEMORY, "swap": MEMORY },
        "pids": { "limit": PROCESSES },
        "devices": [{ "allow": false, "access": "rwm" }],
    });
    Ok(Spec::parse(config.to_string().into_bytes())?)
}

/// How it ended; `None` if it had to be ended.
fn within(child: &Child, time: Duration) -> runtime_core::Result<Option<Exit>> {
    let exit = child.wait_for(time)?;
    if exit.is_none() {
        child.container().kill(9, true)?;
        child.wait()?;
    }
    Ok(exit)
}
