//! A person at a terminal: a window of tmux, and the keys that people press. Needs tmux.

use crate::command::{Call, DEADLINE};
use crate::leaks::soon;

/// A window of 100 columns and 30 rows in which a shell runs, in a tmux of its own.
pub struct Screen<'a> {
    /// Who sits there, for those who read along.
    who: String,
    /// A command of tmux with these arguments.
    tmux: Box<Caller<'a>>,
}

type Caller<'a> = dyn Fn(&[&str]) -> Call + 'a;

impl<'a> Screen<'a> {
    /// Starts it; tmux meets itself at the path `socket`, and is called by `call` with arguments.
    ///
    /// # Panics
    /// When no shell appears.
    pub fn open(who: &str, socket: String, call: impl Fn(&[&str]) -> Call + 'a) -> Self {
        let tmux = move |arguments: &[&str]| {
            let all = [&["-S", &socket, "-f", "/dev/null"], arguments].concat();
            call(&all).env("LC_ALL", "C.UTF-8").env("TERM", "screen")
        };
        let screen = Self { who: who.to_owned(), tmux: Box::new(tmux) };
        screen.tmux(&["new-session", "-d", "-x", "100", "-y", "30", "env PS1='host> ' sh"]);
        screen.shows("host>");
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        (self.tmux)(arguments).run().ok().stdout
    }

    /// Presses keys: texts, or names that tmux has for keys.
    pub fn types(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// What is on the screen; with colours as escape sequences.
    pub fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Waits until that is on the screen.
    ///
    /// # Panics
    /// When it never is.
    #[track_caller]
    pub fn shows(&self, wanted: &str) -> String {
        let shown = soon(DEADLINE / 2, || Some(self.text()).filter(|text| text.contains(wanted)));
        shown.unwrap_or_else(|| panic!("never shows {wanted:?}:\n{}", self.text()))
    }

    /// Waits until the last thing on the screen is that.
    #[track_caller]
    fn ends_with(&self, wanted: &str) {
        let ended = soon(DEADLINE / 2, || self.text().trim_end().ends_with(wanted).then_some(()));
        assert!(ended.is_some(), "never ends with {wanted:?}:\n{}", self.text());
    }

    /// Prints what is on the screen.
    #[allow(clippy::print_stdout, reason = "so that people see what people would see")]
    pub fn print(&self, title: &str) {
        println!("--- {}: {title}\n{}", self.who, self.text().trim_end());
    }

    /// What a person does in the shell of a fresh container, whose prompt is this: looks, changes the size of the
    /// window, interrupts, ends input, edits a file below `/tmp`.
    ///
    /// # Panics
    /// When the screen does not show what it should.
    pub fn session(&self, prompt: &str) {
        let shell = Shell { screen: self, prompt };
        self.ends_with(prompt);
        shell.looks();
        shell.resizes();
        shell.interrupts();
        shell.edits();
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        let _ = (self.tmux)(&["kill-server"]).run();
    }
}

/// A shell on the screen. Nothing is pressed before it waits for that: a line editor that comes or goes loses keys.
struct Shell<'a> {
    screen: &'a Screen<'a>,
    prompt: &'a str,
}

impl Shell<'_> {
    /// Enters a line that fits into one of the screen.
    #[track_caller]
    fn enters(&self, line: &str) {
        self.screen.types(&[line]);
        self.screen.ends_with(line);
        self.screen.types(&["Enter"]);
    }

    /// Enters a command and waits for its end.
    #[track_caller]
    fn does(&self, command: &str) {
        self.enters(command);
        self.screen.ends_with(self.prompt);
    }

    fn looks(&self) {
        self.does("tty");
        self.screen.shows("\n/dev/pts/0\n");
        self.has_size("30 100");
        self.does(r"printf '\033[31mred\033[0m and \033[1;32mgreen\033[0m\n'");
        assert!(self.screen.shows("and \x1b[1m\x1b[32mgreen").contains("\x1b[31mred"));
        self.screen.print("names, colours, size");
    }

    fn resizes(&self) {
        self.does("clear");
        self.screen.tmux(&["resize-window", "-x", "90", "-y", "20"]);
        self.has_size("20 90");
        self.screen.print("after a change of the window's size");
    }

    /// Rows and columns: a new size may have a way to go before it is known inside.
    fn has_size(&self, size: &str) {
        self.does(&format!("until stty size | grep -x '{size}'; do sleep 0.1; done"));
        self.screen.shows(&format!("\n{size}\n"));
    }

    fn interrupts(&self) {
        self.enters("sh -c 'echo asleep; exec sleep 1000'");
        self.screen.shows("\nasleep\n");
        self.screen.types(&["C-c"]);
        self.screen.ends_with(self.prompt);
        self.does("echo interrupted $?");
        self.screen.shows("\ninterrupted 130\n");
        self.enters("sh -c 'echo listening; exec cat'");
        self.screen.shows("\nlistening\n");
        self.enters("a line");
        self.screen.shows("a line\na line\n");
        self.screen.types(&["C-d"]);
        self.screen.ends_with(self.prompt);
        self.screen.print("Ctrl-C and Ctrl-D");
    }

    fn edits(&self) {
        self.enters("vi /tmp/letter");
        // That is how vi says that it waits for commands.
        self.screen.shows("\n- /tmp/letter");
        self.screen.types(&["i", "Dear container,", "Enter", "how are you?", "Escape"]);
        self.screen.shows("how are you?\n");
        self.screen.shows("\n- /tmp/letter [Modified]");
        self.screen.print("vi");
        self.screen.types(&[":wq", "Enter"]);
        self.screen.ends_with(self.prompt);
        self.does("clear");
        self.does("cat /tmp/letter");
        self.screen.shows("\nDear container,\nhow are you?\n");
        self.screen.print("what vi wrote");
    }
}
