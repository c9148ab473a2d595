//! What somebody says who takes the place of systemd at the other end of the bus.

// The library's own file: it depends on nothing but these two, and only what it writes depends on them.
#[allow(dead_code)]
#[path = "../../runtime-core/src/cgroup/systemd/message.rs"]
mod reading;

/// In the place of the library's.
#[allow(dead_code)]
mod properties {
    pub(crate) struct Property {
        pub(crate) name: String,
        pub(crate) value: Value,
    }

    pub(crate) enum Value {
        Flag(bool),
        Signed(i32),
        Number(u64),
        Text(String),
        Texts(Vec<String>),
        Bytes(Vec<u8>),
        Pids(Vec<u32>),
        Devices(Vec<(String, String)>),
    }

    impl Value {
        pub(crate) fn signature(&self) -> &'static str {
            "v"
        }
    }
}

/// A message is no longer than it says, and one that is cut short is read as far as it goes.
pub(crate) fn message(bytes: &[u8]) {
    _ = (reading::text(bytes), reading::text_in_variant(bytes), reading::read(bytes));
    let Ok(Some(length)) = reading::whole(bytes) else { return };
    let Some(whole) = bytes.get(..length) else { return };
    if let Some(reading::Message::Answer { body, .. }) = reading::read(whole) {
        assert!(body.len() < length);
        _ = (reading::text(&body), reading::text_in_variant(&body));
    }
    for end in [0, 1, length / 2, length - 1] {
        _ = reading::read(&whole[..end]);
    }
}
