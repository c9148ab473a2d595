//! A service that runs a container for each request: what is sent to it is what the program reads, and what the program
//! says is the answer, from its first byte on.
//!
//! ```sh
//! cargo run --release --example server -- ROOTFS COMMAND [ARGUMENT …]     # as root
//! curl --data-binary @- http://127.0.0.1:8080/
//! ```
//!
//! `LISTEN` is another address. `RUNTIME` is a command, such as `runc`, which is executed for each request instead: to
//! compare. With `UNLIMITED`, memory and processes aren't limited, where nothing can limit them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that speaks to people")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio as Standard;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::any;
use runtime_core::spec::template;
use runtime_core::{Bundle, Child, Container, ContainerId, CreateOptions, Spec, StateRoot, Stdio, Stream};
use serde_json::{Value, json};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWriteExt, Interest};
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::io::ReaderStream;

const TIME: Duration = Duration::from_secs(10);
const MEMORY: u64 = 64 << 20;
const PROCESSES: u64 = 16;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let rootfs = std::path::absolute(arguments.next().ok_or("which root?")?)?;
    let config = confined(&rootfs, &arguments.collect::<Vec<_>>());

    let engine = match std::env::var_os("RUNTIME") {
        None => Engine::Library(Box::new(Library::new(&config)?)),
        Some(command) => Engine::Command(Other::new(&config, command.into())?),
    };
    let app = Router::new().route("/", any(answer)).with_state(Arc::new(engine));
    let listener = TcpListener::bind(std::env::var("LISTEN").unwrap_or("127.0.0.1:8080".into())).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn answer(State(engine): State<Arc<Engine>>, body: Bytes) -> Result<Body, (StatusCode, String)> {
    let answer = match &*engine {
        Engine::Library(library) => library.run(body).await,
        Engine::Command(other) => other.run(body).await,
    };
    answer.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))
}

fn confined(rootfs: &Path, command: &[String]) -> Value {
    let mut config = template(None, true);
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(command);
    config["process"]["capabilities"] = json!({});
    config["root"] = json!({ "path": rootfs, "readonly": true });
    if std::env::var_os("UNLIMITED").is_none() {
        config["linux"]["resources"]["memory"] = json!({ "limit": MEMORY });
        config["linux"]["resources"]["pids"] = json!({ "limit": PROCESSES });
    }
    config
}

enum Engine {
    Library(Box<Library>),
    Command(Other),
}

/// A name that no other request has.
fn fresh() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("request-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What the program says, as it says it.
fn streamed(said: impl AsyncRead + Send + 'static) -> Body {
    Body::from_stream(ReaderStream::new(said))
}

struct Library {
    root: StateRoot,
    bundle: Bundle,
    options: CreateOptions,
}

impl Library {
    fn new(config: &Value) -> Outcome<Self> {
        let spec = Spec::parse(config.to_string().into_bytes())?;
        let stdio = Stdio { stderr: Stream::Null, ..Stdio::pipes() };
        Ok(Self {
            root: StateRoot::open(Path::new("/run/server"))?,
            bundle: Bundle::of(Path::new("/run/server"), spec)?,
            options: CreateOptions { stdio, ..CreateOptions::default() },
        })
    }

    async fn run(&self, body: Bytes) -> Outcome<Body> {
        let (root, bundle, options) = (self.root.clone(), self.bundle.clone(), self.options.clone());
        let made =
            spawn_blocking(move || Container::run(&root, &ContainerId::new(fresh())?, &bundle, &options));
        let mut child = made.await??;
        let stdin = child.take_stdin().map(|pipe| pipe::Sender::from_owned_fd(pipe.into())).transpose()?;
        let stdout =
            child.take_stdout().map(|pipe| pipe::Receiver::from_owned_fd(pipe.into())).transpose()?;
        tokio::spawn(async move {
            if let Some(mut stdin) = stdin {
                // A program need not read what it is told.
                let _ = stdin.write_all(&body).await;
            }
        });
        tokio::spawn(async move {
            if let Err(error) = attend(child).await {
                eprintln!("{error}");
            }
        });
        Ok(stdout.map_or_else(Body::empty, streamed))
    }
}

/// Waits for the end of a container without a thread, ends it when its time is over, and removes it.
async fn attend(child: Child) -> Outcome<()> {
    // SAFETY: a child is one descriptor from its birth until it is dropped.
    let child = unsafe { AsyncFd::register_with_interest(child, Interest::READABLE) }?;
    if timeout(TIME, child.readable()).await.is_err() {
        child.get_ref().container().kill(9, true)?;
    }
    let child = child.into_inner();
    spawn_blocking(move || child.wait().and_then(|_| child.delete())).await??;
    Ok(())
}

/// A runtime that is a command.
struct Other {
    bundle: PathBuf,
    command: PathBuf,
}

impl Other {
    fn new(config: &Value, command: PathBuf) -> Outcome<Self> {
        let bundle = PathBuf::from("/run/server-bundle");
        fs::create_dir_all(&bundle)?;
        fs::write(bundle.join("config.json"), config.to_string())?;
        Ok(Self { bundle, command })
    }

    async fn run(&self, body: Bytes) -> Outcome<Body> {
        let mut command = Command::new(&self.command);
        command.arg("run").arg("--bundle").arg(&self.bundle).arg(fresh());
        command.stdin(Standard::piped()).stdout(Standard::piped()).stderr(Standard::null());
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().ok_or("it has no output")?);
        tokio::spawn(async move {
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(&body).await;
            }
        });
        tokio::spawn(async move {
            if timeout(TIME, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        });
        Ok(streamed(stdout))
    }
}
