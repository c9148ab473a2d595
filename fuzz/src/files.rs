//! Several files in one input: each begins with a line `== NAME`.

/// The files in the input; a name is a single one, whatever it contains.
pub(crate) fn files(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let name = line.strip_prefix(b"== ").map(|name| String::from_utf8_lossy(name).trim_end().to_owned());
        match (name.filter(|name| is_name(name)), files.last_mut()) {
            (Some(name), _) => files.push((name, Vec::new())),
            (None, Some((_, content))) => content.extend(line),
            (None, None) => {}
        }
    }
    files
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() < 100 && !name.contains(['/', '\0']) && name != "." && name != ".."
}
