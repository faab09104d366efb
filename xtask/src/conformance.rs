//! The conformance suite, `ws13 check`: against ourselves, and against others for docs/conformance.md.

use crate::checks::{autobahn_client, ws13};
use crate::foreign::{node_echo, python_echo, rust_echo, serve_echo};
use crate::tools::{self, Outcome, Served, command, folder, run, run_within, wait, write};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The whole suite takes some seconds with a good peer: a minute at most.
const MINUTE: Duration = Duration::from_secs(60);

/// It takes a minute with a bad one, and more where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// Our server, without and with compression, and our client: no case may fail or be non-strict.
pub(crate) fn ourselves() -> Outcome {
    let plain = serve_echo(&[])?;
    run_within(MINUTE, check()?.args(["server", "--strict", &plain.url]))?;
    let compressing = serve_echo(&["--compress"])?;
    let junit = folder("check")?.join("server.xml");
    let mut server = check()?;
    run_within(MINUTE, server.args(["server", "--strict", &compressing.url, "--junit"]).arg(&junit))?;
    // Nothing was left out, so that what is checked does not shrink unseen.
    if tools::read(&junit)?.contains("<skipped") {
        return Err("cases were skipped with our compressing server".into());
    }
    client()
}

fn client() -> Outcome {
    let program = autobahn_client()?;
    let mut check = check()?;
    let junit = folder("check")?.join("client.xml");
    let served =
        Served::start(check.args(["client", "--strict", "--listen", "127.0.0.1:0", "--junit"]).arg(&junit))?;
    run_within(MINUTE, command(program).arg(served.url.trim_end_matches('/')).stdout(Stdio::null()))?;
    served.finish(PATIENCE).map_err(|why| format!("our client: {why}; see {}", junit.display()))
}

fn check() -> Result<Command, String> {
    let mut check = command(ws13()?);
    check.arg("check");
    Ok(check)
}

/// `cargo xtask check-peers`: runs the suite against other implementations, and writes docs/conformance.md.
pub(crate) fn peers() -> Outcome {
    let mut columns = vec![Column::of("ws13", env!("CARGO_PKG_VERSION"), serve_echo(&["--compress"])?)?];
    columns.push(Column::of("ws", &npm_version("ws")?, node_echo()?)?);
    columns.push(Column::of("websockets", &pip_version("websockets")?, python_echo()?)?);
    for name in ["tokio-tungstenite", "fastwebsockets", "tokio-websockets"] {
        columns.push(Column::of(name, &crate_version(name)?, rust_echo(name)?)?);
    }
    let file = tools::root().join("docs/conformance.md");
    write(&file, &page(&columns))?;
    println!("{} is written", file.display());
    Ok(())
}

/// What came out for one implementation.
struct Column {
    name: String,
    version: String,
    cases: Vec<Value>,
}

impl Column {
    fn of(name: &str, version: &str, server: Served) -> Result<Column, String> {
        let json = folder("check")?.join(format!("{name}.json"));
        let out =
            std::fs::File::create(&json).map_err(|e| format!("cannot write {}: {e}", json.display()))?;
        println!("$ ws13 check server {} # {name} {version}", server.url);
        // A code of 1 says that cases failed, which is for the page to tell.
        let mut child = check()?.args(["server", "--json", &server.url]).stdout(out).spawn();
        let child = child.as_mut().map_err(|e| format!("cannot run ws13 check: {e}"))?;
        let status = wait(child, PATIENCE).ok_or_else(|| format!("the check of {name} takes too long"))?;
        let report: Value = serde_json::from_str(&tools::read(&json)?)
            .map_err(|e| format!("the check of {name} ended with {status} and no report: {e}"))?;
        let cases = report["cases"].as_array().cloned().unwrap_or_default();
        Ok(Column { name: name.into(), version: version.into(), cases })
    }

    fn count(&self, theme: Option<&str>, verdict: &str) -> usize {
        let cases = self.cases.iter().filter(|case| theme.is_none_or(|name| theme_of(case) == name));
        cases.filter(|case| case["verdict"] == verdict).count()
    }

    fn with(&self, verdict: &str) -> impl Iterator<Item = &Value> {
        self.cases.iter().filter(move |case| case["verdict"] == verdict)
    }
}

/// The first part of a case's id.
fn theme_of(case: &Value) -> &str {
    case["id"].as_str().unwrap_or_default().split('.').next().unwrap_or_default()
}

fn page(columns: &[Column]) -> String {
    let mut page = INTRODUCTION.to_owned();
    table(columns, &mut page);
    page += "\n## Rules that are broken\n\nA MUST of the section that is named.\n\n";
    for column in columns {
        let _ = writeln!(page, "**{}**: {}\n", column.name, failures(column));
    }
    page += WEAK;
    for column in columns {
        let _ = writeln!(page, "**{}**: {}\n", column.name, weaknesses(column));
    }
    page.trim_end().to_owned() + "\n"
}

fn table(columns: &[Column], page: &mut String) {
    // Writing to a String cannot fail.
    let head = columns.iter().map(|column| format!(" {} {} |", column.name, column.version));
    let _ = writeln!(page, "| |{}", head.collect::<String>());
    let _ = writeln!(page, "|---|{}", "---|".repeat(columns.len()));
    for (theme, what) in THEMES {
        let cells = columns.iter().map(|column| cell(column, Some(theme)));
        let _ = writeln!(page, "| {what} |{}", cells.collect::<String>());
    }
    let cells = columns.iter().map(|column| cell(column, None));
    let _ = writeln!(page, "| **all** |{}", cells.collect::<String>());
}

fn cell(column: &Column, theme: Option<&str>) -> String {
    let [ok, weak, told, failed] =
        ["ok", "non-strict", "informational", "failed"].map(|verdict| column.count(theme, verdict));
    match (ok + weak + told + failed, failed) {
        (0, _) => " - |".to_owned(),
        (_, 0) => format!(" {ok} / {weak} / 0 |"),
        _ => format!(" {ok} / {weak} / **{failed}** |"),
    }
}

/// The failed cases by section.
fn failures(column: &Column) -> String {
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for case in column.with("failed") {
        let section = case["section"].as_str().unwrap_or_default();
        sections.entry(section).or_default().push(case["id"].as_str().unwrap_or_default());
    }
    let sections = sections.iter().map(|(section, ids)| {
        let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
        format!("{section}: {}", ids.join(", "))
    });
    let text = sections.collect::<Vec<_>>().join("; ");
    if text.is_empty() { "none.".to_owned() } else { text + "." }
}

/// What is non-strict, by kind, and by theme where there is no kind. What it was is not told: see the introduction.
fn weaknesses(column: &Column) -> String {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for case in column.with("non-strict") {
        let seen = case["seen"].as_str().unwrap_or_default();
        let kind = KINDS.iter().find(|(mark, _)| seen.contains(mark)).map(|(_, kind)| (*kind).to_owned());
        *kinds.entry(kind.unwrap_or_else(|| format!("others of {}", theme_of(case)))).or_default() += 1;
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
    if kinds.is_empty() { "none.".to_owned() } else { kinds.join(", ") + "." }
}

/// What a kind of weakness looks like in a report.
const KINDS: [(&str, &str); 5] = [
    ("without a Close frame", "ends TCP without a Close frame"),
    ("without an HTTP status", "ends TCP without an HTTP status"),
    ("not declined, but refused", "refuses a request whose offer is to be declined"),
    ("it took it", "takes what must not be sent"),
    ("nothing for", "waits for the rest of what is already wrong"),
];

const THEMES: [(&str, &str); 8] = [
    ("handshake", "opening handshake"),
    ("frames", "frames, masking"),
    ("messages", "messages, Ping and Pong"),
    ("utf8", "UTF-8"),
    ("close", "closing handshake"),
    ("deflate", "permessage-deflate"),
    ("limits", "limits, floods"),
    ("alive", "the server at the end"),
];

const INTRODUCTION: &str = "\
# Conformance, measured

What `ws13 check server` says of other implementations, each as an echo server with its default settings and its own
opening handshake ([tests/foreign](../tests/foreign)). `cargo xtask check-peers` makes this page; everybody can repeat it.

How to read a cell: **ok / non-strict / failed**. Failed is a MUST of an RFC that was broken. Non-strict is what the
RFCs allow and what is weak: a SHOULD that was not done, or something wrong that was taken where only its sender is
forbidden it. What has no right or wrong, such as how long a message may be by default, is left out, and so is what an
implementation does not have (permessage-deflate). The suite is ours, and ws13 was made to pass it: judge a verdict by
the section that it names. Only verdicts stand here; how to make somebody else's software fail does not.

";

const WEAK: &str = "\
## What is weak

Kinds of non-strict outcomes, and how many cases have them.

";

fn npm_version(name: &str) -> Result<String, String> {
    let lock = tools::read(&tools::root().join("tests/foreign/node/package-lock.json"))?;
    let lock: Value = serde_json::from_str(&lock).map_err(|e| format!("package-lock.json: {e}"))?;
    let version = lock["packages"][format!("node_modules/{name}")]["version"].as_str();
    version.map(str::to_owned).ok_or_else(|| format!("package-lock.json has no {name}"))
}

fn pip_version(name: &str) -> Result<String, String> {
    let pins = tools::read(&tools::root().join("tests/foreign/python/requirements.txt"))?;
    let pin = pins.lines().find_map(|line| line.strip_prefix(&format!("{name}==")));
    pin.map(str::to_owned).ok_or_else(|| format!("requirements.txt has no {name}"))
}

fn crate_version(name: &str) -> Result<String, String> {
    let lock = tools::read(&tools::root().join("tests/foreign/rust/Cargo.lock"))?;
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap_or_default();
    let version = rest.split('"').next().filter(|version| !version.is_empty());
    version.map(str::to_owned).ok_or_else(|| format!("Cargo.lock has no {name}"))
}

/// Builds the echo servers of other Rust libraries; gives the folder of the programs.
pub(crate) fn build_foreign(workspace: &Path) -> Result<std::path::PathBuf, String> {
    let target = folder("foreign-rust")?;
    let mut build = tools::cargo("build --quiet --locked");
    run(build.current_dir(workspace).env("CARGO_TARGET_DIR", &target))?;
    Ok(target.join("debug"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn column() -> Column {
        let case = |id: &str, verdict: &str, seen: &str| json!({ "id": id, "section": "RFC 6455 5.1", "verdict": verdict, "seen": seen, "bytes": ["-> 81"] });
        let cases = vec![
            case("frames.a", "ok", "the echo"),
            case("frames.b", "failed", "it took it"),
            case("frames.c", "failed", "it took it"),
            case("close.d", "non-strict", "the end of TCP without a Close frame"),
            case("close.e", "non-strict", "something else"),
            case("limits.f", "informational", "over 16 MiB"),
        ];
        Column { name: "peer".into(), version: "1.2".into(), cases }
    }

    #[test]
    fn a_page_has_verdicts_and_sections_and_no_bytes() {
        let page = page(&[column()]);
        assert!(page.contains("| frames, masking | 1 / 0 / **2** |\n"), "{page}");
        assert!(page.contains("| closing handshake | 0 / 2 / 0 |\n| permessage-deflate | - |\n"), "{page}");
        assert!(page.contains("**peer**: RFC 6455 5.1: `frames.b`, `frames.c`.\n"), "{page}");
        assert!(
            page.contains("**peer**: ends TCP without a Close frame (1), others of close (1).\n"),
            "{page}"
        );
        assert!(!page.contains("81") && !page.contains("16 MiB"));
    }
}
