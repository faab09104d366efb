//! Autobahn|Testsuite against our server and our client, on loopback only.
//!
//! The reference is `wstest`, which needs a Python 2.7; where there is none, PyPI's `kosoku` runs the same cases under
//! Python 3 and writes the same report.

use crate::checks::autobahn_client;
use crate::foreign::{serve_echo, venv};
use crate::judge::{chosen, failures};
use crate::relay;
use crate::summary::{self, Cases};
use crate::tools::{
    self, Outcome, Served, command, emptied, folder, free_port, once, output, run, run_within, write,
};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// What the steps run: the protocol, the limits and mixed traffic.
const SECTIONS: &str = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.*,10.*";

/// What the command runs: permessage-deflate, too. All 517 cases.
const ALL: &str = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.*,10.*,12.*,13.*";

/// What is run byte by byte: all but the large ones, and of permessage-deflate the messages of 16 bytes, under each
/// kind of text and with each choice of parameters.
const BYTE_BY_BYTE: &str = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.1.1,9.2.1,9.7.1,9.8.1,10.*,12.1.1,12.2.1,12.3.1,12.4.1,\
    12.5.1,13.1.1,13.2.1,13.3.1,13.4.1,13.5.1,13.6.1,13.7.1";

/// For one section in the server's role, and for all cases in the client's.
const PATIENCE: Duration = Duration::from_secs(3600);

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

    fn test(self, cases: &str) -> Result<Cases, String> {
        let engine = Engine::install()?;
        let report = match self {
            Self::Server => server_report(&engine, cases, false)?,
            Self::Client => client_report(&engine, cases)?,
        };
        told(cases, report, &engine)
    }
}

/// What an engine said of the cases, and which of the chosen ones are not as they should be.
#[derive(Default)]
struct Report {
    cases: Cases,
    failures: Vec<String>,
}

impl Report {
    /// Takes in the report in a folder.
    fn add(&mut self, cases: &str, dir: &Path) -> Outcome {
        let index = index(dir);
        self.failures.extend(failures(&chosen(cases)?, &index, dir));
        let agents = index.as_object().into_iter().flatten();
        self.cases.extend(agents.filter_map(|(_, cases)| cases.as_object().cloned()).flatten());
        Ok(())
    }
}

fn told(cases: &str, report: Report, engine: &Engine) -> Result<Cases, String> {
    for line in &report.failures {
        println!("not ok - {line}");
    }
    let (all, failed, name) = (chosen(cases)?.len(), report.failures.len(), engine.name());
    println!("{} of {all} cases as they should be, by {name}", all.saturating_sub(failed));
    if failed == 0 { Ok(report.cases) } else { Err(format!("{failed} of {all} cases failed")) }
}

/// `cargo xtask autobahn --one-byte`: our server behind a relay that writes every byte by itself, in both directions.
pub(crate) fn one_byte(cases: Option<&str>) -> Outcome {
    let cases = cases.unwrap_or(BYTE_BY_BYTE);
    let engine = Engine::install()?;
    told(cases, server_report(&engine, cases, true)?, &engine).map(drop)
}

pub(crate) fn server() -> Outcome {
    Role::Server.test(SECTIONS).map(drop)
}

pub(crate) fn client() -> Outcome {
    Role::Client.test(SECTIONS).map(drop)
}

/// `cargo xtask autobahn`: the roles and cases that are named. All of both also make docs/autobahn.md.
pub(crate) fn command_line(roles: &[Role], cases: Option<&str>) -> ExitCode {
    let reports: Vec<_> = roles.iter().map(|role| role.test(cases.unwrap_or(ALL))).collect();
    let mut failures: Vec<_> = reports.iter().filter_map(|report| report.as_ref().err().cloned()).collect();
    if let ([Ok(server), Ok(client)], None) = (reports.as_slice(), cases) {
        failures.extend(write_summary(server, client).err());
    }
    failures.iter().for_each(|why| println!("FAILED: {why}"));
    println!("{} passed, {} failed", reports.iter().filter(|report| report.is_ok()).count(), failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write_summary(server: &Cases, client: &Cases) -> Outcome {
    let file = tools::root().join("docs/autobahn.md");
    write(&file, &summary::page(Engine::install()?.name(), server, client))?;
    println!("{} is written", file.display());
    Ok(())
}

/// The fuzzing client drops what is left of a run when a connection fails, so each section is a run of its own.
fn server_report(engine: &Engine, cases: &str, one_byte: bool) -> Result<Report, String> {
    let cases = if cases == "*" { ALL } else { cases };
    let server = serve_echo(&["--max-message", "32MiB", "--compress"])?;
    let address = server.address().to_owned();
    let address = if one_byte { relay::start(address)? } else { address };
    let mut report = Report::default();
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
        report.add(section, &dir)?;
    }
    Ok(report)
}

fn client_report(engine: &Engine, cases: &str) -> Result<Report, String> {
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
    let mut report = Report::default();
    report.add(cases, &dir)?;
    Ok(report)
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
