//! Input that is pushed into the terminal of whoever called.

use integration::PROBER;
use integration::Test;
use integration::terminal::Terminal;
use integration::test::text;
use serde_json::{Value, json};

use crate::room::sleeping;

/// What a prober says of the terminal that it was given, as its standard output.
fn seen(said: &str) -> Value {
    let document =
        said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no document: {said}"));
    serde_json::from_str(document).expect("the prober prints JSON")
}

/// A session of its own, without the caller's terminal: nothing can be pushed into that.
fn has_no_hold(seen: &Value) {
    assert_eq!(seen["session"]["pid"], seen["session"]["session"], "{seen}");
    assert_eq!(seen["tty"]["controlling"], json!(false), "{seen}");
    assert_eq!(seen["pushed"], json!(false), "{seen}");
}

#[test]
fn cve_2016_10124_cve_2017_5226_nothing_is_pushed_into_the_callers_terminal() {
    let test = Test::new();
    let question = json!({"push": true}).to_string();
    let bundle = test.bundle(|config| config["process"]["args"] = json!([PROBER, question]));
    let (mut master, slave) = Terminal::new(24, 80);
    let running = test.call(&["run", "--bundle", &text(&bundle.path), &test.fresh()]).spawn_on(&slave);
    running.finish();
    let container = sleeping(&test, |_| {});
    let further = test.call(&["exec", &container.id, PROBER, &question]).spawn_on(&slave);
    further.finish();
    drop(slave);
    let said = master.to_the_end();
    let documents: Vec<&str> = said.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(documents.len(), 2, "{said}");
    documents.into_iter().for_each(|document| has_no_hold(&seen(document)));
}
