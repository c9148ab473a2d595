//! A person at a terminal: `run` inside tmux, with the keys that people press. Needs tmux.
//!
//! What is on the screen is printed; `--nocapture` shows it.

use integration::bundle::{mount, shell};
use integration::runtime::find;
use integration::test::text;
use integration::tmux::Screen;
use integration::{Test, runtime};
use serde_json::json;

#[test]
fn a_session_of_a_person() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        shell(config, "exec sh");
        config["process"]["terminal"] = json!(true);
        config["process"]["env"] = json!(["PATH=/bin", "TERM=xterm-256color", "PS1=inside> ", "HOME=/tmp"]);
        mount(config, "/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev", "mode=1777"]);
    });
    let tmux = find("tmux".as_ref()).expect("this test needs tmux: install the package tmux");
    let call = |arguments: &[&str]| test.program(&tmux, arguments);
    let screen = Screen::open("run", text(&test.directory.join("tmux")), call);
    let run = format!(
        "{} --root {} run --bundle {} {}; echo status $?",
        text(&runtime().path),
        text(&test.state_root()),
        text(&bundle.path),
        test.fresh()
    );
    screen.types(&[&run, "Enter"]);
    screen.shows("inside>");
    screen.session("inside>");

    screen.types(&["exit 7", "Enter"]);
    screen.shows("status 7");
    // The shell outside has its terminal back: it echoes, and a newline starts at the left.
    screen.types(&["clear; stty -a | tr ' ' '\\n' | grep -x -e echo -e icanon -e onlcr", "Enter"]);
    screen.shows("icanon\necho\n");
    screen.print("outside again");
}
