//! Who a program is to be: the words of `exec --user`, and the container's `/etc/passwd`, which may be anything.

use std::fs;

use runtime_cli::understanding;

use crate::jail::within;
use crate::passwd::Home;

/// The first line is a user as it is typed, the rest is the file.
pub(crate) fn passwd(bytes: &[u8]) {
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (typed, file) = bytes.split_at(line);
    let uid = typed_user(&String::from_utf8_lossy(typed)).unwrap_or_default();
    let file = file.get(1..).unwrap_or_default().to_vec();
    within(move || {
        fs::create_dir_all("/etc").expect("a directory");
        fs::write("/etc/passwd", &file).expect("a file");
        let home = Home::of(uid);
        assert_eq!(home.variable().to_bytes(), expected(&file, uid), "{uid} in {:?}", file.escape_ascii());
    });
}

/// The user, which is taken only if it is written as numbers below the one that means nobody.
fn typed_user(text: &str) -> Option<u32> {
    let id = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.trim_start_matches('0').parse::<u128>();
        digits.then_some(number.unwrap_or(if text.bytes().all(|byte| byte == b'0') { 0 } else { u128::MAX }))
    };
    let number =
        |text: &str| id(text).filter(|number| *number < u128::from(u32::MAX)).map(|number| number as u32);
    let expected = match text.split_once(':') {
        None if text.is_empty() => Some((None, None)),
        None => number(text).map(|uid| (Some(uid), None)),
        Some((uid, gid)) => number(uid).zip(number(gid)).map(|(uid, gid)| (Some(uid), Some(gid))),
    };
    assert_eq!(understanding::user(text), expected, "{text:?}");
    expected?.0
}

/// The first line of the user that names a directory, as far as there is room for a line and for the variable.
fn expected(file: &[u8], uid: u32) -> Vec<u8> {
    const LINE: usize = 2048;
    const VARIABLE: usize = 512;
    let home = |line: &[u8]| {
        let line = &line[..line.len().min(LINE)];
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let number = fields.get(2).filter(|field| !field.is_empty() && field.iter().all(u8::is_ascii_digit));
        let number = str::from_utf8(number?).ok()?.parse::<u32>().ok()?;
        let home = fields.get(5).filter(|home| number == uid && !home.is_empty())?;
        Some(home.to_vec())
    };
    let home = file.split(|byte| *byte == b'\n').find_map(home).unwrap_or_else(|| b"/".to_vec());
    let variable = [b"HOME=", &home[..], &[0]].concat();
    match variable.iter().take(VARIABLE).position(|byte| *byte == 0) {
        Some(end) => variable[..end].to_vec(),
        None => b"HOME=/".to_vec(),
    }
}
