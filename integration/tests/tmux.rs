//! A person at a terminal: `run` inside tmux, with the keys that people press. Needs tmux.
//!
//! What is on the screen is printed; `--nocapture` shows it.

use std::path::PathBuf;

use integration::bundle::shell;
use integration::command::DEADLINE;
use integration::leaks::soon;
use integration::runtime::find;
use integration::test::text;
use integration::{Test, runtime};
use serde_json::json;

/// A tmux of our own with one window.
struct Screen<'a> {
    test: &'a Test,
    tmux: PathBuf,
    socket: String,
}

impl<'a> Screen<'a> {
    /// A window of 100 columns and 30 rows in which a shell runs.
    fn new(test: &'a Test) -> Self {
        let tmux = find("tmux".as_ref()).expect("this test needs tmux: install the package tmux");
        let screen = Self { test, tmux, socket: text(&test.directory.join("tmux")) };
        screen.tmux(&["new-session", "-d", "-x", "100", "-y", "30", "env PS1='host> ' sh"]);
        screen.shows("host>");
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let all = [&["-S", &self.socket, "-f", "/dev/null"], arguments].concat();
        self.test.program(&self.tmux, &all).env("LC_ALL", "C.UTF-8").env("TERM", "screen").run().ok().stdout
    }

    fn types(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// What is on the screen; with colours as escape sequences.
    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Waits until that is on the screen.
    #[track_caller]
    fn shows(&self, wanted: &str) -> String {
        let shown = soon(DEADLINE / 2, || Some(self.text()).filter(|text| text.contains(wanted)));
        shown.unwrap_or_else(|| panic!("never shows {wanted:?}:\n{}", self.text()))
    }

    #[track_caller]
    fn print(&self, title: &str) {
        println!("--- {title}\n{}", self.text().trim_end());
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        let all = ["-S", &self.socket, "kill-server"];
        let _ = self.test.program(&self.tmux, &all).run();
    }
}

#[test]
fn a_session_of_a_person() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        shell(config, "exec sh");
        config["process"]["terminal"] = json!(true);
        config["process"]["env"] = json!(["PATH=/bin", "TERM=xterm-256color", "PS1=inside> ", "HOME=/tmp"]);
        integration::bundle::mount(config, "/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev", "mode=1777"]);
    });
    let screen = Screen::new(&test);
    let run = format!(
        "{} --root {} run --bundle {} {}; echo status $?",
        text(&runtime().path),
        text(&test.state_root()),
        text(&bundle.path),
        test.fresh()
    );
    screen.types(&[&run, "Enter"]);
    screen.shows("inside>");

    screen.types(&["tty; stty size", "Enter"]);
    screen.shows("/dev/pts/0\n30 100\n");
    screen.types(&[r"printf '\033[31mred\033[0m and \033[1;32mgreen\033[0m\n'", "Enter"]);
    assert!(screen.shows("and \x1b[1m\x1b[32mgreen").contains("\x1b[31mred"));
    screen.print("names, size, colours");

    // The kernel itself tells the runtime: it is in the foreground of the window's terminal.
    screen.tmux(&["resize-window", "-x", "90", "-y", "20"]);
    screen.types(&["clear; stty size", "Enter"]);
    screen.shows("20 90\n");
    screen.print("after a change of the window's size");

    // Pressed too early it would interrupt the shell's own line.
    screen.types(&["sh -c 'echo asleep; exec sleep 1000'", "Enter"]);
    screen.shows("\nasleep\n");
    screen.types(&["C-c"]);
    screen.types(&["echo interrupted $?", "Enter"]);
    screen.shows("interrupted 130");
    screen.types(&["cat", "Enter"]);
    screen.types(&["a line", "Enter"]);
    screen.shows("a line\na line\n");
    screen.types(&["C-d"]);
    screen.types(&["echo end of file", "Enter"]);
    screen.shows("\nend of file\n");
    screen.print("Ctrl-C and Ctrl-D");

    screen.types(&["vi /tmp/letter", "Enter"]);
    screen.shows("/tmp/letter");
    screen.types(&["i", "Dear container,", "Enter", "how are you?", "Escape"]);
    screen.shows("how are you?");
    screen.print("vi");
    screen.types(&[":wq", "Enter"]);
    screen.shows("inside>");
    screen.types(&["clear; cat /tmp/letter", "Enter"]);
    screen.shows("Dear container,\nhow are you?\n");
    screen.print("what vi wrote");

    screen.types(&["exit 7", "Enter"]);
    screen.shows("status 7");
    // The shell outside has its terminal back: it echoes, and a newline starts at the left.
    screen.types(&["clear; stty -a | tr ' ' '\\n' | grep -x -e echo -e icanon -e onlcr", "Enter"]);
    screen.shows("icanon\necho\n");
    screen.print("outside again");
}
