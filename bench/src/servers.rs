//! The rows: which program each is, and how it is started.

use std::path::{Path, PathBuf};
use ws13_bench::ring;

pub struct Server {
    /// The name of the row.
    pub name: &'static str,
    kind: Kind,
}

enum Kind {
    /// A program of this package that parses nothing.
    Raw(&'static str),
    /// The `ws13` command of this checkout.
    Command,
    /// A program of this package, and how it is asked to differ.
    Program { name: &'static str, option: Option<&'static str> },
    /// The study of io_uring: runs only when it is named.
    Engine(&'static [&'static str]),
}

/// In the order of the report. Batched and unbatched are separate rows.
pub fn all() -> Vec<Server> {
    let row = |name, kind| Server { name, kind };
    let plain = |name| row(name, Kind::Program { name, option: None });
    let with = |name, program, option| row(name, Kind::Program { name: program, option: Some(option) });
    vec![
        row(FLOOR, Kind::Raw("floor")),
        row("raw-tokio", Kind::Raw("raw-tokio")),
        row("ws13", Kind::Command),
        row("ws13-lent", Kind::Program { name: "ws13-echo", option: None }),
        with("ws13-owned", "ws13-echo", "--owned"),
        with("ws13-split", "ws13-echo", "--split"),
        plain("ws13-blocking"),
        row("raw-uring", Kind::Engine(&["--raw"])),
        row("ws13-uring", Kind::Engine(&[])),
        row("ws13-uring-copy", Kind::Engine(&["--copy"])),
        row("ws13-uring-tokio", Kind::Engine(&["--tokio"])),
        row("ws13-epoll", Kind::Engine(&[EPOLL])),
        plain("tokio-tungstenite"),
        with("tokio-tungstenite-batched", "tokio-tungstenite", BATCHED),
        plain("fastwebsockets"),
        with("fastwebsockets-corked", "fastwebsockets", BATCHED),
        plain("tokio-websockets"),
        with("tokio-websockets-corked", "tokio-websockets", BATCHED),
        plain("sockudo-ws"),
        with("sockudo-ws-batched", "sockudo-ws", BATCHED),
        plain("yawc"),
        with("yawc-batched", "yawc", BATCHED),
        plain("web-socket"),
        with("web-socket-corked", "web-socket", BATCHED),
        plain("soketto"),
        with("soketto-corked", "soketto", BATCHED),
        plain("wtx"),
    ]
}

const FLOOR: &str = "raw-epoll";
const EPOLL: &str = "--epoll";
const BATCHED: &str = "--batched";

impl Server {
    pub fn is_floor(&self) -> bool {
        self.name == FLOOR
    }

    /// Whether replies come back masked, as they were sent.
    pub fn parses_nothing(&self) -> bool {
        is_raw(self.name)
    }

    /// Whether `name` is this row, or its library; an unusual row goes by its own name only.
    pub fn is_called(&self, name: &str) -> bool {
        let rest = self.name.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('-') && self.is_usual()))
    }

    /// The program of this package that has to be built.
    pub fn program(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Raw(name) => Some(name),
            Kind::Command => None,
            Kind::Program { name, .. } => Some(name),
            Kind::Engine(_) => Some("engines"),
        }
    }

    /// The file to start. Our own programs lie beside this one.
    pub fn file(&self, home: &Path) -> PathBuf {
        match self.program() {
            Some(name) => beside(name),
            None => std::env::var_os("WS13").map_or(home.join("../target/release/ws13"), PathBuf::from),
        }
    }

    pub fn is_there(&self, home: &Path) -> bool {
        if self.needs_ring()
            && let Err(error) = ring::check_available()
        {
            eprintln!("{}: left out, {error}", self.name);
            return false;
        }
        let file = self.file(home);
        if !file.exists() {
            eprintln!("{}: left out, there is no {}", self.name, file.display());
        }
        file.exists()
    }

    /// Whether it is in a run of everything.
    pub fn is_usual(&self) -> bool {
        !matches!(self.kind, Kind::Engine(_))
    }

    fn needs_ring(&self) -> bool {
        matches!(self.kind, Kind::Engine(options) if !options.contains(&EPOLL))
    }

    pub fn arguments(&self, read_buffer: usize) -> Vec<String> {
        let listen = ["--listen", "127.0.0.1:0"];
        let mut arguments: Vec<String> = listen.map(String::from).to_vec();
        match self.kind {
            Kind::Raw(_) => {}
            Kind::Engine(options) => arguments.extend(options.iter().copied().map(String::from)),
            Kind::Command => {
                arguments.splice(0..0, ["serve", "echo", "--threads", "1"].map(String::from));
            }
            Kind::Program { option, .. } => {
                arguments.extend(["--buffer".into(), read_buffer.to_string()]);
                arguments.extend(option.map(String::from));
            }
        }
        arguments
    }
}

/// Whether the row of this name is a floor, which parses nothing.
pub fn is_raw(name: &str) -> bool {
    name.starts_with("raw-")
}

/// A program of this package.
pub fn beside(name: &str) -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_names_all_its_rows() {
        let count = |name: &str| all().iter().filter(|server| server.is_called(name)).count();
        assert_eq!(count("tokio-tungstenite"), 2);
        assert_eq!(count("tokio-tungstenite-batched"), 1);
        assert_eq!(count("tokio"), 4);
        assert_eq!(count("ws13"), 5);
        assert_eq!(count("ws13-uring"), 1);
        assert_eq!(count("nobody"), 0);
    }
}
