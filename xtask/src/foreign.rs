//! Other people's software against the `ws13` command: a browser, npm's ws, PyPI's websockets.

use crate::checks::{broadcast, example, ws13};
use crate::conformance::build_foreign;
use crate::dial::dial;
use crate::tools::{
    self, Outcome, Served, apt_install, command, folder, found, once, output, run, run_within,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For one script of checks.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

const SUBPROTOCOL: &str = "me-want-cookies";

pub(crate) fn browser() -> Outcome {
    let chromium = chromium()?;
    let scripts = tools::root().join("tests/browser");
    let dir = node_modules("browser", &scripts)?;
    let server = serve_echo(&["--subprotocol", SUBPROTOCOL])?;
    let compressing = serve_echo(&["--compress"])?;
    let in_axum = Served::start(command(example("axum_echo")?).arg("127.0.0.1:0"))?;
    let mut console = node_script(&dir, "console.mjs");
    run_within(PATIENCE, console.arg(server.http()).env("CHROMIUM", &chromium))?;
    for address in [&[compressing.http(), "console".into()][..], &[in_axum.http()]] {
        let mut deflate = node_script(&dir, "deflate.mjs");
        run_within(PATIENCE, deflate.args(address).env("CHROMIUM", &chromium))?;
    }
    let everyone = Served::start(command(broadcast()?).arg("127.0.0.1:0"))?;
    let mut broadcast = node_script(&dir, "broadcast.mjs");
    run_within(PATIENCE, broadcast.arg(server.http()).arg(&everyone.url).env("CHROMIUM", &chromium))
}

/// Where the browser is; installs it where there is none.
pub(crate) fn chromium() -> Result<PathBuf, String> {
    if found("chromium").is_none() {
        apt_install("chromium")?;
    }
    found("chromium").ok_or_else(|| "Debian's chromium is installed, but not on the path".to_owned())
}

pub(crate) fn node() -> Outcome {
    let dir = node_modules("node", &tools::root().join("tests/foreign/node"))?;
    let ours = serve_echo(&["--subprotocol", SUBPROTOCOL])?;
    let theirs = Served::start(&mut node_script(&dir, "server.mjs"))?;
    both_ways(
        run_within(PATIENCE, node_script(&dir, "client.mjs").arg(&ours.url)),
        dial(&ws13()?, &theirs.url),
    )?;
    let compressing = serve_echo(&["--compress"])?;
    run_within(PATIENCE, node_script(&dir, "deflate.mjs").arg(&compressing.url).arg(ws13()?))?;
    let everyone = Served::start(command(broadcast()?).arg("127.0.0.1:0"))?;
    run_within(PATIENCE, node_script(&dir, "broadcast.mjs").arg(&everyone.url))?;
    // The same server within axum.
    let in_axum = Served::start(command(example("axum_echo")?).arg("127.0.0.1:0"))?;
    run_within(PATIENCE, node_script(&dir, "client.mjs").arg(&in_axum.url))?;
    run_within(PATIENCE, node_script(&dir, "deflate.mjs").arg(&in_axum.url).arg(ws13()?))
}

pub(crate) fn python() -> Outcome {
    let ours = serve_echo(&["--subprotocol", SUBPROTOCOL])?;
    let theirs = Served::start(&mut python_script("server.py")?)?;
    both_ways(run_within(PATIENCE, python_script("client.py")?.arg(&ours.url)), dial(&ws13()?, &theirs.url))?;
    let compressing = serve_echo(&["--compress"])?;
    run_within(PATIENCE, python_script("deflate.py")?.arg(&compressing.url).arg(ws13()?))
}

/// A script of tests/foreign/python, with the packages that it needs.
pub(crate) fn python_script(name: &str) -> Result<std::process::Command, String> {
    let scripts = tools::root().join("tests/foreign/python");
    let python = venv("python", &scripts.join("requirements.txt"))?.join("bin/python");
    let mut script = command(python);
    script.arg(scripts.join(name));
    Ok(script)
}

/// Both have run by now, so that one failure does not hide the other.
pub(crate) fn both_ways(server: Outcome, client: Outcome) -> Outcome {
    match (server, client) {
        (Err(a), Err(b)) => Err(format!("our server: {a}; our client: {b}")),
        (server, client) => server.and(client),
    }
}

/// Our echo server on a port of its own.
pub(crate) fn serve_echo(options: &[&str]) -> Result<Served, String> {
    let mut serve = command(ws13()?);
    Served::start(serve.args(["serve", "echo", "--listen", "127.0.0.1:0"]).args(options))
}

/// npm's ws as an echo server with its default settings.
pub(crate) fn node_echo() -> Result<Served, String> {
    let dir = node_modules("node", &tools::root().join("tests/foreign/node"))?;
    Served::start(&mut node_script(&dir, "echo.mjs"))
}

/// PyPI's websockets as an echo server with its default settings.
pub(crate) fn python_echo() -> Result<Served, String> {
    Served::start(&mut python_script("echo.py")?)
}

/// A Rust library as an echo server with its default settings.
pub(crate) fn rust_echo(name: &str) -> Result<Served, String> {
    let programs = build_foreign(&tools::root().join("tests/foreign/rust"))?;
    Served::start(&mut command(programs.join(name.replace('-', "_"))))
}

/// A copy of the scripts with their packages beside them, which is where node looks for them.
pub(crate) fn node_modules(name: &str, scripts: &Path) -> Result<PathBuf, String> {
    let dir = folder(name)?;
    let lock = scripts.join("package-lock.json");
    // Without a lock the versions in package.json are all there is to go by.
    let (recipe, how) = if lock.exists() { (lock, "ci") } else { (scripts.join("package.json"), "install") };
    once(&dir, &tools::read(&recipe)?, || {
        println!("npm's packages for {name} are installed into {}", dir.display());
        copy(scripts, &dir)?;
        let quiet = ["--no-audit", "--no-fund", "--loglevel", "error"];
        run(command("npm").arg(how).args(quiet).current_dir(&dir))
    })?;
    copy(scripts, &dir)?;
    Ok(dir)
}

/// The files of one folder, not the folders in it.
fn copy(from: &Path, to: &Path) -> Outcome {
    for entry in std::fs::read_dir(from).map_err(|e| format!("{}: {e}", from.display()))?.flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

pub(crate) fn node_script(dir: &Path, name: &str) -> std::process::Command {
    let mut script = command("node");
    script.arg(dir.join(name));
    script
}

/// A Python 3 with the packages of a requirements file; gives the folder of the venv.
pub(crate) fn venv(name: &str, requirements: &Path) -> Result<PathBuf, String> {
    let dir = folder(name)?;
    let version = output(command("python3").arg("--version"))?;
    once(&dir, &format!("{version}{}", tools::read(requirements)?), || {
        println!("{} is installed into {}", tools::read(requirements)?.trim(), dir.display());
        run(command("python3").args(["-m", "venv"]).arg(&dir))?;
        run(command(dir.join("bin/python")).args(["-m", "pip", "install", "-q", "-r"]).arg(requirements))
    })?;
    Ok(dir)
}
