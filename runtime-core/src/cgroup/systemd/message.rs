//! Messages of D-Bus: what systemd is asked, and what it answers. Pure.
//!
//! Only the types that the service manager uses are known. What comes from outside is read with bounds: a message that
//! is none of ours, or damaged, is `None`, whatever is in it.

use super::properties::{Property, Value};

/// What comes before the lengths are known.
const FIXED: usize = 16;
/// No answer of the service manager comes near; more is taken for damage.
const MOST: usize = 1 << 24;
/// Numbers as this machine writes them, which the first byte of a message says.
const ORDER: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };

/// The service manager's well-known name.
pub(super) const SYSTEMD: &str = "org.freedesktop.systemd1";
/// The bus itself.
pub(super) const BUS: &str = "org.freedesktop.DBus";

/// A method that is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) name: &'a str,
    /// The types of the arguments.
    pub(super) signature: &'a str,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// The answer to the call with that number.
    Answer { to: u32, body: Vec<u8> },
    /// The refusal of the call with that number.
    Refusal { to: u32, name: String, text: String },
    /// A job is over.
    JobRemoved { job: String, result: String },
    /// Anything else.
    Other,
}

/// Values one after the other, each where its type wants it.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    fn pad(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub(super) fn number(mut self, number: u32) -> Self {
        self.put_number(number);
        self
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        self.put_text(text);
        self
    }

    /// `a(sv)`
    pub(super) fn properties(mut self, properties: &[Property]) -> Self {
        self.array(8, properties, |writer, Property { name, value }| {
            writer.pad(8);
            writer.put_text(name);
            writer.signature(value.signature());
            writer.value(value);
        });
        self
    }

    /// An array without elements, whatever they would be; their type wants them at a multiple of `align`.
    pub(super) fn nothing(mut self, align: usize) -> Self {
        self.array(align, &[(); 0], |_, ()| ());
        self
    }

    pub(super) fn value_of(mut self, value: &Value) -> Self {
        self.value(value);
        self
    }

    fn put_number(&mut self, number: u32) {
        self.pad(4);
        self.0.extend(number.to_ne_bytes());
    }

    // A NUL would end it early for whoever reads it: nobody is asked for what has one.
    fn put_text(&mut self, text: &str) {
        self.put_number(length(text.len()));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0.push(signature.len().to_le_bytes()[0]);
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }

    /// The length doesn't count what lies between it and the first element.
    fn array<T>(&mut self, align: usize, elements: &[T], put: impl Fn(&mut Self, &T)) {
        self.put_number(0);
        let place = self.0.len() - 4;
        self.pad(align);
        let start = self.0.len();
        elements.iter().for_each(|element| put(self, element));
        let size = length(self.0.len() - start);
        if let Some(place) = self.0.get_mut(place..place + 4) {
            place.copy_from_slice(&size.to_ne_bytes());
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Flag(flag) => self.put_number(u32::from(*flag)),
            Value::Signed(number) => self.put_number(number.cast_unsigned()),
            Value::Number(number) => {
                self.pad(8);
                self.0.extend(number.to_ne_bytes());
            }
            Value::Text(text) => self.put_text(text),
            Value::Texts(texts) => self.array(4, texts, |writer, text| writer.put_text(text)),
            Value::Bytes(bytes) => self.array(1, bytes, |writer, byte| writer.0.push(*byte)),
            Value::Pids(pids) => self.array(4, pids, |writer, pid| writer.put_number(*pid)),
            Value::Devices(devices) => self.array(8, devices, |writer, (device, access)| {
                writer.pad(8);
                writer.put_text(device);
                writer.put_text(access);
            }),
        }
    }

    fn field(&mut self, code: u8, kind: &str, text: &str) {
        self.pad(8);
        self.0.push(code);
        self.signature(kind);
        if kind == "g" { self.signature(text) } else { self.put_text(text) }
    }
}

/// Nothing that is sent comes near the limit of a message.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A call as it is sent; its number isn't zero.
pub(super) fn call(number: u32, method: &Method<'_>, arguments: Writer) -> Vec<u8> {
    const CALL: u8 = 1;
    const VERSION: u8 = 1;
    let mut message = Writer(vec![ORDER, CALL, 0, VERSION]);
    message.put_number(length(arguments.0.len()));
    message.put_number(number);
    let fields = [
        (1, "o", method.path),
        (2, "s", method.interface),
        (3, "s", method.name),
        (6, "s", method.destination),
        (8, "g", method.signature),
    ];
    message.array(8, &fields, |message, (code, kind, text)| {
        // A call without arguments has no signature, and one to the other end of a connection no destination.
        if !text.is_empty() {
            message.field(*code, kind, text);
        }
    });
    message.pad(8);
    message.0.extend(arguments.0);
    message.0
}

/// How long the message is that begins here; `None` as long as too little of it is there.
///
/// # Errors
/// This is no message, or one beyond all measure.
pub(super) fn whole(bytes: &[u8]) -> Result<Option<usize>, ()> {
    let Some(start) = bytes.get(..FIXED) else { return Ok(None) };
    let mut reader = Reader::of(start, 4).ok_or(())?;
    let (body, _number, fields) = (reader.size()?, reader.size()?, reader.size()?);
    let total = (FIXED + fields).next_multiple_of(8) + body;
    if total > MOST { Err(()) } else { Ok(Some(total)) }
}

/// Reads a message that is there as a whole.
pub(super) fn read(bytes: &[u8]) -> Option<Message> {
    const ANSWER: u8 = 2;
    const REFUSAL: u8 = 3;
    const SIGNAL: u8 = 4;
    let head = Head::read(bytes)?;
    match *bytes.get(1)? {
        ANSWER => Some(Message::Answer { to: head.answers?, body: head.body.to_vec() }),
        REFUSAL => {
            let text = Some(head.body).filter(|_| head.signature.starts_with('s')).and_then(text);
            Some(Message::Refusal { to: head.answers?, name: head.error?, text: text.unwrap_or_default() })
        }
        SIGNAL if head.member.as_deref() == Some("JobRemoved") && head.signature == "uoss" => {
            let mut reader = Reader::of(head.body, 0)?;
            reader.number()?;
            let (job, _unit) = (reader.text()?, reader.text()?);
            Some(Message::JobRemoved { job, result: reader.text()? })
        }
        _ => Some(Message::Other),
    }
}

/// The text (or path) that a body is.
pub(super) fn text(body: &[u8]) -> Option<String> {
    Reader::of(body, 0)?.text()
}

/// The text in the variant that a body is.
pub(super) fn text_in_variant(body: &[u8]) -> Option<String> {
    let mut reader = Reader::of(body, 0)?;
    match reader.signature()?.as_str() {
        "s" => reader.text(),
        _ => None,
    }
}

/// What of a message's head matters.
#[derive(Default)]
struct Head<'a> {
    answers: Option<u32>,
    error: Option<String>,
    member: Option<String>,
    signature: String,
    body: &'a [u8],
}

impl<'a> Head<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let size = Reader::of(bytes, FIXED - 4)?.size().ok()?;
        let end = FIXED.checked_add(size)?;
        let mut reader = Reader::of(bytes.get(..end)?, FIXED)?;
        let mut head = Head { body: bytes.get(end.next_multiple_of(8)..)?, ..Head::default() };
        while reader.at < end {
            reader.align(8);
            let code = reader.byte()?;
            let kind = reader.signature()?;
            match (code, kind.as_str()) {
                (5, "u") => head.answers = Some(reader.number()?),
                (3, "s") => head.member = Some(reader.text()?),
                (4, "s") => head.error = Some(reader.text()?),
                (8, "g") => head.signature = reader.signature()?,
                (_, "s" | "o") => _ = reader.text()?,
                (_, "u") => _ = reader.number()?,
                (_, "g") => _ = reader.signature()?,
                _ => return None,
            }
        }
        Some(head)
    }
}

/// Reads values one after the other. The order of the numbers is checked by whoever takes the whole message.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Begins at `at`. `None` if the bytes are the start of a message with the other byte order.
    fn of(bytes: &'a [u8], at: usize) -> Option<Self> {
        (at == 0 || bytes.first() == Some(&ORDER)).then_some(Reader { bytes, at })
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4);
        Some(u32::from_ne_bytes(self.take(4)?.try_into().ok()?))
    }

    fn size(&mut self) -> Result<usize, ()> {
        let size = self.number().and_then(|size| usize::try_from(size).ok());
        size.filter(|size| *size <= MOST).ok_or(())
    }

    fn text(&mut self) -> Option<String> {
        let size = self.size().ok()?;
        self.terminated(size)
    }

    fn signature(&mut self) -> Option<String> {
        let size = self.byte()?;
        self.terminated(size.into())
    }

    fn terminated(&mut self, size: usize) -> Option<String> {
        let text = std::str::from_utf8(self.take(size)?).ok()?.to_owned();
        (self.byte()? == 0).then_some(text)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const METHOD: Method<'_> =
        Method { destination: SYSTEMD, path: "/a", interface: "i.f", name: "M", signature: "sv" };

    /// A message of the service manager, as tests play it.
    pub(in super::super) fn sent(kind: u8, fields: &[(u8, &str, &str)], to: u32, body: Writer) -> Vec<u8> {
        let mut message = Writer(vec![ORDER, kind, 1, 1]);
        message.put_number(length(body.0.len()));
        message.put_number(77);
        message.array(8, &[()], |message, ()| {
            fields.iter().for_each(|(code, kind, text)| message.field(*code, kind, text));
            message.pad(8);
            message.0.push(5);
            message.signature("u");
            message.put_number(to);
        });
        message.pad(8);
        message.0.extend(body.0);
        message.0
    }

    /// The number of a call and the method's name, as systemd reads them.
    pub(in super::super) fn called(bytes: &[u8]) -> Option<(u32, String)> {
        let number = Reader::of(bytes, 8)?.number()?;
        Some((number, Head::read(bytes)?.member?))
    }

    impl Writer {
        pub(in super::super) fn variant(mut self, text: &str) -> Self {
            self.signature("s");
            self.put_text(text);
            self
        }
    }

    #[test]
    fn a_call_is_what_the_specification_says() {
        let bytes = call(7, &Method { signature: "s", ..METHOD }, Writer::default().text("x"));
        assert_eq!(bytes[..4], [ORDER, 1, 0, 1]);
        assert_eq!(bytes[4..12], [6u32.to_ne_bytes(), 7u32.to_ne_bytes()].concat());
        assert_eq!(whole(&bytes), Ok(Some(bytes.len())));
        assert_eq!(bytes[16..24], [1, 1, b'o', 0, 2, 0, 0, 0], "the path is the first field");
        assert_eq!(&bytes[bytes.len() - 6..], [1, 0, 0, 0, b'x', 0], "the body is the end");
        assert_eq!((bytes.len() - 6) % 8, 0);
    }

    #[test]
    fn values_lie_where_their_types_want_them() {
        let property = |value| Property { name: "P".into(), value };
        let body = Writer::default().properties(&[
            property(Value::Number(5)),
            property(Value::Devices(vec![("d".into(), "rw".into())])),
        ]);
        let mut right = Vec::new();
        right.extend(64u32.to_ne_bytes());
        right.extend([0; 4]);
        right.extend([1, 0, 0, 0, b'P', 0, 1, b't', 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
        right.extend([1, 0, 0, 0, b'P', 0, 5, b'a', b'(', b's', b's', b')', 0, 0, 0, 0]);
        right.extend([15, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'd', 0, 0, 0, 2, 0, 0, 0, b'r', b'w', 0]);
        let length = u32::try_from(right.len() - 8).unwrap();
        right[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(body.0, right);
    }

    #[test]
    fn answers_refusals_and_the_ends_of_jobs_are_understood() {
        let answer = sent(2, &[(8, "g", "o")], 3, Writer::default().text("/job/1"));
        let Some(Message::Answer { to: 3, body }) = read(&answer) else { panic!("{:?}", read(&answer)) };
        assert_eq!(text(&body).as_deref(), Some("/job/1"));
        let refusal = sent(3, &[(4, "s", "e.X"), (8, "g", "s")], 4, Writer::default().text("why"));
        let told = Message::Refusal { to: 4, name: "e.X".into(), text: "why".into() };
        assert_eq!(read(&refusal), Some(told));
        let body = Writer::default().number(9).text("/job/9").text("u.scope").text("done");
        let removed = sent(4, &[(3, "s", "JobRemoved"), (8, "g", "uoss")], 0, body);
        assert_eq!(read(&removed), Some(Message::JobRemoved { job: "/job/9".into(), result: "done".into() }));
    }

    #[test]
    fn whatever_is_cut_or_damaged_is_no_message_and_no_end() {
        let body = Writer::default().number(9).text("/job/9").text("u.scope").text("done");
        let bytes = sent(4, &[(3, "s", "JobRemoved"), (8, "g", "uoss")], 0, body);
        for end in 0..bytes.len() {
            _ = whole(&bytes[..end]);
            assert_eq!(read(&bytes[..end]), None, "{end}");
        }
        for place in 0..bytes.len() {
            for value in [0, 1, 127, 128, 255] {
                let mut damaged = bytes.clone();
                damaged[place] = value;
                _ = (whole(&damaged), read(&damaged));
            }
        }
        let mut endless = bytes;
        endless[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(whole(&endless), Err(()));
    }

    #[test]
    fn only_texts_are_read_from_variants() {
        let variant = |kind: &str, value: &Value| {
            let mut body = Writer::default();
            body.signature(kind);
            body.value(value);
            body.0
        };
        assert_eq!(text_in_variant(&variant("s", &Value::Text("257".into()))).as_deref(), Some("257"));
        assert_eq!(text_in_variant(&variant("t", &Value::Number(257))), None);
    }
}
