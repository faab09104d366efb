//! Runs the scenarios against every server, in interleaved rounds, and reports the medians.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml -- [--rounds N] [SCENARIO…] [SERVER…]`

mod counts;
mod measure;
mod plot;
mod report;
mod servers;

use counts::{Counts, Probes};
use measure::{Churn, Idle, Load, Running};
use report::{FLOOR, Report, Rounds};
use servers::Server;
use std::{
    collections::HashMap,
    fmt::Display,
    path::{Path, PathBuf},
    process::Command,
};
use ws13_bench::{
    args::fail,
    process, readme,
    scenario::{CHURN, IDLE, ON_REQUEST, SCENARIOS, Scenario},
};

const USAGE: &str = "\
usage: ws13-bench [--rounds N] [--window SECONDS] [--counts] [--write] [SCENARIO…] [SERVER…]
  SCENARIO  B C H D E E8 F idle churn; all of these without any; B8 C8 H8 D8 F8: as text, as E8 is; C7 H7 E7: as ASCII
  SERVER    the name of a row, or the start of several; without any all but those on io_uring; the floor always runs
  --rounds  starts of each server in each scenario, 3 without it
  --window  seconds that each start is measured for, in four slices between those of the others, 2 without it
  --counts  count system calls and allocations, too (needs root and perf); a run of everything does so by itself
  --write   put the tables and the plot into README.md; a run of everything does so by itself";

fn main() {
    let plan = Plan::from_args(std::env::args().skip(1).collect());
    if let Err(error) = run(&plan) {
        fail(&format!("bench: {error}"));
    }
}

fn run(plan: &Plan) -> std::io::Result<()> {
    process::raise_file_limit()?;
    let home = manifest_directory();
    build(&home, &plan.servers)?;
    let servers: Vec<_> = plan.servers.iter().filter(|server| server.is_there(&home)).collect();

    let mut report = Report::new(&servers, plan.rounds, plan.window);
    for scenario in &plan.scenarios {
        report.add_load(*scenario, loads(plan, scenario, &servers, &home));
    }
    if plan.counts && !plan.scenarios.is_empty() {
        let probes = Probes::set();
        for scenario in &plan.scenarios {
            let counts = rounds(1, scenario.name, &servers, |server| {
                Counts::measure(server, &home, scenario, &probes)
            });
            report.add_counts(*scenario, counts);
        }
    }
    if plan.idle {
        report.add_idle(rounds(plan.rounds, IDLE, &servers, |server| Idle::measure(server, &home)));
    }
    if plan.churn {
        report.add_churn(rounds(plan.rounds, CHURN, &servers, |server| Churn::measure(server, &home)));
    }

    let text = report.to_markdown();
    println!("{text}");
    if plan.write {
        std::fs::write(home.join("results.svg"), report.to_svg())?;
        readme::write_into(&home.join("README.md"), report::MARK, &text)?;
    }
    Ok(())
}

/// The servers, a few at a time, are started afresh for every round, and then measured in turn with the floor, a slice of the
/// window at a time: what comes over the machine for seconds comes over all of them, and over the floor.
fn loads(plan: &Plan, scenario: &Scenario, servers: &[&Server], home: &Path) -> Rounds<Load> {
    let rows: Vec<_> = (FLOOR + 1..servers.len()).collect();
    // The floor may be all there is.
    let groups = rows.len().div_ceil(TOGETHER).max(1);
    let mut all = Vec::new();
    for start in 0..plan.rounds {
        for group in 0..groups {
            let others = rows.iter().skip(group * TOGETHER).take(TOGETHER);
            let members: Vec<_> = std::iter::once(&FLOOR).chain(others).copied().collect();
            let start_one = |&index: &usize| Running::start(servers[index], home, scenario.read_buffer());
            let running: HashMap<_, _> = members.iter().map(|index| (*index, start_one(index))).collect();
            let title = format!("{}, start {} of {}", scenario.name, start + 1, plan.rounds);
            all.extend(turns(SLICES, &title, servers, &members, |index| match &running[&index] {
                Ok(running) => Load::measure(running, scenario, plan.window / SLICES as f64),
                Err(error) => Err(std::io::Error::new(error.kind(), error.to_string())),
            }));
        }
    }
    all
}

/// Every server, then every server again.
fn rounds<T: Display>(
    count: usize,
    scenario: &str,
    servers: &[&Server],
    measure: impl Fn(&Server) -> std::io::Result<T>,
) -> Rounds<T> {
    let all: Vec<_> = (0..servers.len()).collect();
    turns(count, scenario, servers, &all, |index| measure(servers[index]))
}

/// Some of the servers, then the same again. Each turn begins with another one, so that none always follows the same.
/// What cannot be measured is said, and missing in the report.
fn turns<T: Display>(
    count: usize,
    title: &str,
    servers: &[&Server],
    members: &[usize],
    measure: impl Fn(usize) -> std::io::Result<T>,
) -> Rounds<T> {
    let mut turns = Vec::new();
    for turn in 0..count {
        let mut results: Vec<_> = servers.iter().map(|_| None).collect();
        for place in 0..members.len() {
            let index = members[(place + turn) % members.len()];
            eprint!("{title}, turn {} of {count}, {}: ", turn + 1, servers[index].name);
            results[index] = match measure(index) {
                Ok(result) => {
                    eprintln!("{result}");
                    Some(result)
                }
                Err(error) => {
                    eprintln!("failed: {error}");
                    None
                }
            };
        }
        turns.push(results);
    }
    turns
}

/// Slices of a window.
const SLICES: usize = 4;
/// Servers that are measured in turn, beside the floor.
const TOGETHER: usize = 7;

/// What is to be measured.
struct Plan {
    scenarios: Vec<Scenario>,
    idle: bool,
    churn: bool,
    counts: bool,
    servers: Vec<Server>,
    rounds: usize,
    window: f64,
    write: bool,
}

impl Plan {
    fn from_args(args: Vec<String>) -> Self {
        let (mut rounds, mut window, mut write, mut counts) = (3, 2.0, false, false);
        let mut names = Vec::new();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--rounds" => rounds = number(args.next()).max(1.0) as usize,
                "--window" => window = number(args.next()).max(0.1),
                "--write" => write = true,
                "--counts" => counts = true,
                name if name.starts_with('-') => fail(USAGE),
                _ => names.push(arg),
            }
        }
        let (write, counts) = (write || names.is_empty(), counts || names.is_empty());
        Self { rounds, window, write, counts, ..Self::named(&names) }
    }

    fn named(names: &[String]) -> Self {
        let is_scenario = |name: &String| {
            name == IDLE || name == CHURN || SCENARIOS.iter().chain(&ON_REQUEST).any(|s| s.name == name)
        };
        let (wanted, rows): (Vec<_>, Vec<_>) = names.iter().partition(|name| is_scenario(name));
        if let Some(unknown) =
            rows.iter().find(|row| !servers::all().iter().any(|server| server.is_called(row)))
        {
            fail(&format!("no scenario and no server is called {unknown}\n{USAGE}"));
        }
        let named = |name: &str| wanted.iter().any(|other| *other == name);
        let asked = |name: &str| wanted.is_empty() || named(name);
        let usual = SCENARIOS.into_iter().filter(|scenario| asked(scenario.name));
        let runs = |server: &Server| {
            let named = rows.iter().any(|row| server.is_called(row));
            named || server.is_floor() || (rows.is_empty() && server.is_usual())
        };
        Self {
            scenarios: usual.chain(ON_REQUEST.into_iter().filter(|scenario| named(scenario.name))).collect(),
            idle: asked(IDLE),
            churn: asked(CHURN),
            servers: servers::all().into_iter().filter(runs).collect(),
            rounds: 0,
            window: 0.0,
            write: false,
            counts: false,
        }
    }
}

fn number(text: Option<String>) -> f64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| fail(USAGE))
}

fn manifest_directory() -> PathBuf {
    let compiled_in = env!("CARGO_MANIFEST_DIR");
    std::env::var_os("CARGO_MANIFEST_DIR").map_or(compiled_in.into(), PathBuf::from)
}

/// `cargo run` builds this program only; the load generator and the servers are programs of their own.
fn build(home: &Path, servers: &[Server]) -> std::io::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--bin", "load", "--manifest-path"]).arg(home.join("Cargo.toml"));
    for program in servers.iter().filter_map(Server::program) {
        command.args(["--bin", program]);
    }
    match command.status()?.success() {
        true => Ok(()),
        false => Err(std::io::Error::other("the servers do not build")),
    }
}
