//! As much of Protocol Buffers as a few calls of the CRI need.

/// A message that is being written.
#[derive(Debug, Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number, as `int64`, `uint32`, `bool` or an enumeration has it.
    pub fn number(mut self, field: u32, value: u64) -> Self {
        self.varint(u64::from(field) << 3);
        self.varint(value);
        self
    }

    /// Adds a string.
    pub fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// Adds several strings to a repeated field.
    pub fn texts(self, field: u32, values: &[&str]) -> Self {
        values.iter().fold(self, |message, value| message.text(field, value))
    }

    /// Adds a message.
    pub fn message(self, field: u32, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }

    fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// What is sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A message that was received.
#[derive(Debug, Clone, Default)]
pub struct Answer(Vec<(u32, Value)>);

#[derive(Debug, Clone)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Answer {
    /// Reads a message; what follows a damaged part is left out.
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while let Some(field) = field(&mut bytes) {
            fields.push(field);
        }
        Self(fields)
    }

    /// A number; 0 when it is not there, as in the format itself.
    pub fn number(&self, field: u32) -> u64 {
        let found = self.0.iter().rev().find(|(number, _)| *number == field);
        if let Some((_, Value::Number(value))) = found { *value } else { 0 }
    }

    /// A string; empty when it is not there.
    pub fn text(&self, field: u32) -> String {
        String::from_utf8_lossy(self.bytes(field)).into_owned()
    }

    /// A message; empty when it is not there.
    pub fn message(&self, field: u32) -> Answer {
        Answer::parse(self.bytes(field))
    }

    fn bytes(&self, field: u32) -> &[u8] {
        let found = self.0.iter().rev().find(|(number, _)| *number == field);
        if let Some((_, Value::Bytes(value))) = found { value } else { &[] }
    }
}

fn field(bytes: &mut &[u8]) -> Option<(u32, Value)> {
    let key = varint(bytes)?;
    let value = match key & 7 {
        0 => Value::Number(varint(bytes)?),
        1 => Value::Bytes(take(bytes, 8)?),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Value::Bytes(take(bytes, length)?)
        }
        5 => Value::Bytes(take(bytes, 4)?),
        _ => return None,
    };
    Some((u32::try_from(key >> 3).ok()?, value))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take(bytes: &mut &[u8], length: usize) -> Option<Vec<u8>> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken.to_vec())
}

#[cfg(test)]
mod tests {
    use super::{Answer, Message};

    #[test]
    fn what_is_written_is_read() {
        let inner = Message::new().number(1, 300).text(2, "inner");
        let written = Message::new().message(3, &inner).texts(4, &["a", "b"]).number(5, u64::MAX);
        let read = Answer::parse(written.as_bytes());
        assert_eq!((read.message(3).number(1), read.message(3).text(2)), (300, "inner".into()));
        assert_eq!((read.text(4), read.number(5), read.number(6)), ("b".into(), u64::MAX, 0));
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        assert_eq!(Message::new().number(1, 150).as_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().text(2, "testing").as_bytes(), b"\x12\x07testing");
    }

    #[test]
    fn damage_ends_a_message() {
        assert_eq!(Answer::parse(&[0x08, 0x96]).number(1), 0);
        assert_eq!(Answer::parse(&[0x12, 0x7f, b'x']).text(2), "");
    }
}
