//! The Container Runtime Interface, by which Kubernetes drives an engine: gRPC on the engine's socket, spoken through
//! curl, with messages that are written by hand.

use crate::engines::Room;
use crate::engines::protobuf::{Answer, Message};

/// Where an engine serves the CRI.
#[derive(Debug)]
pub struct Client<'a> {
    /// The room of the engine.
    pub room: &'a Room,
    /// The engine's socket.
    pub socket: String,
}

impl Client<'_> {
    /// Calls a method of the runtime service; the error is the engine's sentence.
    ///
    /// # Errors
    /// When the engine refuses.
    ///
    /// # Panics
    /// When there is no talking to it.
    pub fn call(&self, method: &str, request: &Message) -> Result<Answer, String> {
        let request = self.room.write(&format!("{}.request", self.room.fresh()), framed(request));
        let (headers, answer) = (format!("{request}.headers"), format!("{request}.answer"));
        let url = format!("http://localhost/runtime.v1.RuntimeService/{method}");
        let data = format!("@{request}");
        let (grpc, trailers) = ("content-type: application/grpc", "te: trailers");
        #[rustfmt::skip]
        let options = [
            "--silent", "--show-error", "--http2-prior-knowledge", "--unix-socket", &self.socket,
            "--header", grpc, "--header", trailers, "--data-binary", &data,
            "--dump-header", &headers, "--output", &answer, &url,
        ];
        self.room.run("curl", &options).ok();
        let read = |path: &str| std::fs::read(self.room.outside(path)).unwrap_or_default();
        let headers = String::from_utf8_lossy(&read(&headers)).into_owned();
        match header(&headers, "grpc-status") {
            Some("0") => Ok(Answer::parse(read(&answer).get(5..).unwrap_or_default())),
            _ => Err(header(&headers, "grpc-message").unwrap_or(&headers).to_owned()),
        }
    }
}

/// A message with gRPC's prefix: not compressed, and so long.
fn framed(message: &Message) -> Vec<u8> {
    let bytes = message.as_bytes();
    let length = u32::try_from(bytes.len()).expect("a message of a test is short");
    [&[0][..], &length.to_be_bytes(), bytes].concat()
}

fn header<'a>(headers: &'a str, name: &str) -> Option<&'a str> {
    headers
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| *key == name)
        .map(|(_, text)| text.trim())
}
