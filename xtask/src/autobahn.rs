//! Autobahn|Testsuite against our server and our client, on loopback only.
//!
//! The reference is `wstest`, which needs a Python 2.7; where there is none, PyPI's `kosoku` runs the same cases under
//! Python 3 and writes the same report.

use crate::checks::autobahn_client;
use crate::foreign::{serve_echo, venv};
use crate::judge::{chosen, failures};
use crate::relay;
use crate::tools::{
    self, Outcome, Served, command, emptied, folder, free_port, once, output, run, run_within, write,
};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// What is run by default: the protocol, the limits and mixed traffic. 12 and 13 are of permessage-deflate.
const SECTIONS: &str = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.*,10.*";

/// What is run byte by byte: all but the large ones.
const BYTE_BY_BYTE: &str = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.1.1,9.2.1,9.7.1,9.8.1,10.*";

/// For one section in the server's role, and for all cases in the client's.
const PATIENCE: Duration = Duration::from_secs(900);

pub(crate) const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// Which side of ours is tested.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Server,
    Client,
}

impl Role {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "server" => Some(Self::Server),
            "client" => Some(Self::Client),
            _ => None,
        }
    }

    fn test(self, cases: &str) -> Outcome {
        let chosen = chosen(cases)?;
        let engine = Engine::install()?;
        let failures = match self {
            Self::Server => server_failures(&engine, cases, false)?,
            Self::Client => client_failures(&engine, cases)?,
        };
        told(&chosen, &failures, &engine)
    }
}

fn told(chosen: &[String], failures: &[String], engine: &Engine) -> Outcome {
    for line in failures {
        println!("not ok - {line}");
    }
    let (all, name) = (chosen.len(), engine.name());
    println!("{} of {all} cases as they should be, by {name}", all - failures.len());
    if failures.is_empty() { Ok(()) } else { Err(format!("{} of {all} cases failed", failures.len())) }
}

/// `cargo xtask autobahn --one-byte`: our server behind a relay that writes every byte by itself, in both directions.
pub(crate) fn one_byte(cases: Option<&str>) -> Outcome {
    let cases = cases.unwrap_or(BYTE_BY_BYTE);
    let chosen = chosen(cases)?;
    let engine = Engine::install()?;
    told(&chosen, &server_failures(&engine, cases, true)?, &engine)
}

pub(crate) fn server() -> Outcome {
    Role::Server.test(SECTIONS)
}

pub(crate) fn client() -> Outcome {
    Role::Client.test(SECTIONS)
}

/// `cargo xtask autobahn`.
pub(crate) fn command_line(roles: &[Role], cases: Option<&str>) -> ExitCode {
    let failed = roles.iter().map(|role| role.test(cases.unwrap_or(SECTIONS))).filter_map(Result::err);
    let failed = failed.inspect(|why| println!("FAILED: {why}")).count();
    println!("{} passed, {failed} failed", roles.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The fuzzing client drops what is left of a run when a connection fails, so each section is a run of its own.
fn server_failures(engine: &Engine, cases: &str, one_byte: bool) -> Result<Vec<String>, String> {
    let cases = if cases == "*" { format!("{SECTIONS},12.*,13.*") } else { cases.to_owned() };
    let server = serve_echo(&["--max-message", "32MiB"])?;
    let address = server.address().to_owned();
    let address = if one_byte { relay::start(address)? } else { address };
    let mut failed = Vec::new();
    for section in cases.split(',') {
        let dir = folder(if one_byte { "autobahn-one-byte" } else { "autobahn-server" })?
            .join(section.replace('*', "all"));
        emptied(&dir)?;
        let log = log(&dir)?;
        let mut client = engine.client(&address, section, &dir)?;
        client.stderr(log.try_clone().map_err(|e| e.to_string())?).stdout(log);
        // The index tells whether it went well; this result only whether it ended.
        if let Err(why) = run_within(PATIENCE, &mut client) {
            println!("{why}; see {}", dir.join("log.txt").display());
        }
        failed.extend(failures(&chosen(section)?, &index(&dir), &dir));
    }
    Ok(failed)
}

fn client_failures(engine: &Engine, cases: &str) -> Result<Vec<String>, String> {
    let program = autobahn_client()?;
    let dir = folder("autobahn-client")?;
    emptied(&dir)?;
    let server = engine.server(cases, &dir)?;
    let log = log(&dir)?;
    run_within(PATIENCE, command(program).arg(server.url.trim_end_matches('/')).stdout(log))?;
    // The last thing that our client asks for is the report.
    let start = Instant::now();
    while !index(&dir).is_object() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(failures(&chosen(cases)?, &index(&dir), &dir))
}

/// Where an engine, or our client, talks of every case.
fn log(dir: &Path) -> Result<File, String> {
    let log = dir.join("log.txt");
    File::create(&log).map_err(|e| format!("cannot write {}: {e}", log.display()))
}

/// Null where there is no report, or half of one.
fn index(dir: &Path) -> Value {
    let text = std::fs::read_to_string(dir.join("index.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

enum Engine {
    /// The venv of `wstest`.
    Wstest(PathBuf),
    /// The venv of `kosoku`.
    Kosoku(PathBuf),
}

impl Engine {
    fn install() -> Result<Self, String> {
        let Some(python) = python2() else {
            println!("There is no Python 2.7 for the reference wstest here: kosoku runs the cases.");
            return Ok(Self::Kosoku(venv("autobahn-kosoku", &files().join("kosoku.txt"))?));
        };
        let dir = folder("autobahn-wstest")?;
        let pins = files().join("wstest.txt");
        once(&dir, &format!("{}\n{}", python.display(), tools::read(&pins)?), || {
            println!("Autobahn's wstest and what it needs are installed into {}", dir.display());
            // The last virtualenv that still makes, and runs on, a 2.7.
            let boot = dir.join("virtualenv");
            let pip = ["-W", "ignore", "-m", "pip", "install", "-q", "--no-warn-script-location"];
            run(command(&python).args(pip).arg("--target").arg(&boot).arg("virtualenv==20.15.1"))?;
            let make = ["-W", "ignore", "-m", "virtualenv", "-q"];
            run(command(&python).args(make).arg(dir.join("venv")).env("PYTHONPATH", &boot))?;
            let install = ["-W", "ignore", "-m", "pip", "install", "-q", "-r"];
            run(command(dir.join("venv/bin/python")).args(install).arg(&pins))
        })?;
        Ok(Self::Wstest(dir.join("venv")))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Wstest(_) => "the reference wstest",
            Self::Kosoku(_) => "kosoku",
        }
    }

    /// The command that tries the cases on a server, and ends.
    fn client(&self, address: &str, cases: &str, dir: &Path) -> Result<Command, String> {
        match self {
            Self::Wstest(venv) => {
                let servers = json!([{ "agent": "ws13", "url": format!("ws://{address}/") }]);
                let spec = json!({ "servers": servers, "outdir": dir, "cases": list(cases) });
                wstest(venv, "fuzzingclient", spec, dir)
            }
            Self::Kosoku(venv) => {
                let mut command = command(venv.join("bin/kosoku"));
                command.args(["-m", "fuzzingclient", address, "-o"]).arg(dir).args(included(cases));
                Ok(command)
            }
        }
    }

    /// A server that tries the cases on its clients.
    fn server(&self, cases: &str, dir: &Path) -> Result<Served, String> {
        let port = free_port()?;
        let mut server = match self {
            Self::Wstest(venv) => {
                let url = format!("ws://127.0.0.1:{port}");
                let spec = json!({ "url": url, "outdir": dir, "cases": list(cases) });
                let mut command = wstest(venv, "fuzzingserver", spec, dir)?;
                // No web page beside it.
                command.args(["--webport", "0"]);
                command
            }
            Self::Kosoku(venv) => {
                let mut command = command(venv.join("bin/kosoku"));
                let address = format!("127.0.0.1:{port}");
                command.args(["-m", "fuzzingserver", &address, "-o"]).arg(dir).args(included(cases));
                command
            }
        };
        Served::start(&mut server)
    }
}

fn wstest(venv: &Path, mode: &str, mut spec: Value, dir: &Path) -> Result<Command, String> {
    let file = dir.join("spec.json");
    spec["exclude-cases"] = json!([]);
    spec["exclude-agent-cases"] = json!({});
    write(&file, &spec.to_string())?;
    let mut command = command(venv.join("bin/python"));
    command.args(["-u", "-W", "ignore"]).arg(files().join("wstest.py"));
    command.args(["--mode", mode, "--spec"]).arg(file);
    Ok(command)
}

fn list(cases: &str) -> Vec<&str> {
    cases.split(',').collect()
}

fn included(cases: &str) -> impl Iterator<Item = &str> {
    cases.split(',').flat_map(|case| ["-i", case])
}

fn files() -> PathBuf {
    tools::root().join("tests/foreign/autobahn")
}

/// A Python 2.7 that runs: pyenv's, or the one on the path (pyenv's shim there may refuse).
fn python2() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or(home)?;
    let versions = std::fs::read_dir(pyenv.join("versions")).into_iter().flatten().flatten();
    let versions = versions.filter(|entry| entry.file_name().to_string_lossy().starts_with("2.7."));
    let found = versions.map(|entry| entry.path().join("bin/python2.7")).chain([PathBuf::from("python2.7")]);
    found.into_iter().find(|python| output(command(python).args(["-c", "print(1)"])).is_ok())
}
