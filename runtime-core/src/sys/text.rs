//! Files of the kernel's, read as text. What isn't UTF-8 (a name that somebody chose) is replaced.

use std::os::fd::AsFd;

use rustix::io::{Errno, Result as Answer, read, retry_on_intr};

/// The largest file that is read; mountinfo of a busy host stays far below.
const MOST: usize = 64 << 20;

/// All of a file.
pub(crate) fn whole(file: impl AsFd) -> Answer<String> {
    until(file, |count, _| count == 0)
}

/// All of a file whose content is made at once: there is more only if what was offered is filled.
pub(crate) fn short(file: impl AsFd) -> Answer<String> {
    until(file, |count, room| count < room)
}

fn until(file: impl AsFd, ended: impl Fn(usize, usize) -> bool) -> Answer<String> {
    let (mut text, mut length) = (vec![0; 4096], 0);
    loop {
        let room = text.get_mut(length..).unwrap_or_default();
        let offered = room.len();
        let count = retry_on_intr(|| read(&file, &mut *room))?;
        length += count;
        if ended(count, offered) {
            text.truncate(length);
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        match text.len() {
            all if length < all => {}
            MOST.. => return Err(Errno::FBIG),
            all => text.resize(all * 4, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Seek, Write};

    use super::*;

    #[test]
    fn files_of_any_length_are_read_to_their_end() {
        let path = std::env::temp_dir().join(format!("text-test-{}", std::process::id()));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        for text in ["", "short\n", &"CapBnd:\t1\n".repeat(1000), &"x".repeat(4096)] {
            file.rewind().unwrap();
            file.set_len(0).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            for read in [(|file| whole(file)) as fn(&File) -> _, |file| short(file)] {
                file.rewind().unwrap();
                assert_eq!(read(&file).unwrap(), text);
            }
        }
        let table = whole(File::open("/proc/self/smaps").unwrap()).unwrap();
        assert!(table.len() > 4096 && table.contains("[vdso]"));
    }

    #[test]
    fn names_that_are_no_text_hide_no_others() {
        let (from, to) = std::io::pipe().unwrap();
        (&to).write_all(b"one \xff\ntwo\n").unwrap();
        drop(to);
        assert!(whole(from).unwrap().ends_with("\ntwo\n"));
    }
}
