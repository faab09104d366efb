//! The tables: medians over the rounds, and ratios to the floor of the same round.

use crate::{
    measure::{Idle, Load},
    servers::Server,
};
use std::{fmt::Write, fs, io, path::Path, process::Command};
use ws13_bench::{
    scenario::{IDLE, IDLE_CONNECTIONS, Scenario},
    stats::median,
};

/// For each round, the result of each server in their order; `None` where it failed.
pub type Rounds<T> = Vec<Vec<Option<T>>>;

pub struct Report {
    names: Vec<&'static str>,
    loads: Vec<(Scenario, Rounds<Load>)>,
    idle: Option<Rounds<Idle>>,
    rounds: usize,
    window: f64,
}

impl Report {
    /// The first of the servers is the floor.
    pub fn new(servers: &[&Server], rounds: usize, window: f64) -> Self {
        let names = servers.iter().map(|server| server.name).collect();
        Self { names, loads: Vec::new(), idle: None, rounds, window }
    }

    pub fn add_load(&mut self, scenario: Scenario, rounds: Rounds<Load>) {
        self.loads.push((scenario, rounds));
    }

    pub fn add_idle(&mut self, rounds: Rounds<Idle>) {
        self.idle = Some(rounds);
    }

    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "Measured on {} with Linux {}, {}; {}. Medians of {} rounds of {} s.\n\n",
            command("date", &["-u", "+%Y-%m-%d"]),
            read("/proc/sys/kernel/osrelease"),
            cpu_model(),
            command("rustc", &["--version"]),
            self.rounds,
            self.window,
        );
        self.write_summary(&mut text);
        for (scenario, rounds) in &self.loads {
            self.write_load(&mut text, scenario, rounds);
        }
        text
    }

    /// One row for each server, one column for each scenario: the ratios only.
    fn write_summary(&self, text: &mut String) {
        let mut columns: Vec<Column> =
            self.loads.iter().map(|(scenario, rounds)| Column::ratios(scenario, rounds)).collect();
        columns.extend(self.idle.as_ref().map(Column::bytes));

        let titles: Vec<_> = columns.iter().map(|column| format!(" {} |", column.title)).collect();
        let _ = writeln!(text, "| CPU time a message, times the floor's |{}", titles.concat());
        let _ = writeln!(text, "|---|{}", "---:|".repeat(columns.len()));
        for (index, name) in self.names.iter().enumerate() {
            let cells: Vec<_> = columns.iter().map(|column| format!(" {} |", column.cell(index))).collect();
            let _ = writeln!(text, "| {name} |{}", cells.concat());
        }
        let _ = writeln!(text, "\nThe least of each column, beside the floor, is set in bold.");
        if self.idle.is_some() {
            let _ = writeln!(
                text,
                "`{IDLE}` is resident memory: bytes for each of {IDLE_CONNECTIONS} connections that have sent one \
                 message and are silent."
            );
        }
    }

    fn write_load(&self, text: &mut String, scenario: &Scenario, rounds: &Rounds<Load>) {
        let _ = writeln!(text, "\n### {}: {}\n", scenario.name, scenario.describe());
        let _ = writeln!(
            text,
            "| server | CPU, µs a message | times the floor | least, most | messages/s | core busy | disturbed | p50, µs | p99 | p99.9 |"
        );
        let _ = writeln!(text, "|---|{}", "---:|".repeat(9));
        for (index, name) in self.names.iter().enumerate() {
            let all: Vec<Load> = rounds.iter().filter_map(|round| round[index]).collect();
            if all.is_empty() {
                let _ = writeln!(text, "| {name} | failed ||||||||");
                continue;
            }
            let ratios = ratios(rounds, index);
            let of = |figure: fn(&Load) -> f64| median(&all.iter().map(figure).collect::<Vec<_>>());
            let _ = writeln!(
                text,
                "| {name} | {:.3} | {:.2} | {:.2}, {:.2} | {:.0} | {:.0} % | {:.0} % | {:.0} | {:.0} | {:.0} |",
                of(|load| load.cpu_us_per_message),
                median(&ratios),
                ratios.iter().copied().fold(f64::INFINITY, f64::min),
                ratios.iter().copied().fold(0.0, f64::max),
                of(|load| load.rate),
                of(|load| load.server_busy) * 100.0,
                of(|load| load.disturbed) * 100.0,
                of(|load| load.p50_us),
                of(|load| load.p99_us),
                of(|load| load.p999_us),
            );
        }
    }
}

/// A server against the floor, in each round that has both.
fn ratios(rounds: &Rounds<Load>, index: usize) -> Vec<f64> {
    let both = rounds.iter().filter_map(|round| Some((round[index]?, round[FLOOR]?)));
    both.map(|(server, floor)| server.cpu_us_per_message / floor.cpu_us_per_message).collect()
}

struct Column {
    title: String,
    values: Vec<Option<f64>>,
    digits: usize,
}

impl Column {
    fn ratios(scenario: &Scenario, rounds: &Rounds<Load>) -> Self {
        let values = (0..rounds[0].len()).map(|index| some_median(&ratios(rounds, index))).collect();
        Self { title: scenario.name.into(), values, digits: 2 }
    }

    fn bytes(rounds: &Rounds<Idle>) -> Self {
        let of = |index: usize| -> Vec<f64> {
            rounds.iter().filter_map(|round| Some(round[index]?.bytes_per_connection)).collect()
        };
        let values = (0..rounds[0].len()).map(|index| some_median(&of(index))).collect();
        Self { title: format!("{IDLE}, B"), values, digits: 0 }
    }

    fn cell(&self, index: usize) -> String {
        let Some(value) = self.values[index] else { return "failed".into() };
        let text = format!("{value:.*}", self.digits);
        let others = self.values.iter().enumerate().filter(|(other, _)| *other != FLOOR);
        let least = others.filter_map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
        if index != FLOOR && value == least { format!("**{text}**") } else { text }
    }
}

fn some_median(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| median(values))
}

/// Replaces what stands between the two marks in a file.
pub fn write_into(file: &Path, results: &str) -> io::Result<()> {
    let text = fs::read_to_string(file)?;
    let text = replace_marked(&text, results).ok_or(io::Error::other("README.md lacks the two marks"))?;
    fs::write(file, text)
}

fn replace_marked(text: &str, results: &str) -> Option<String> {
    let (before, rest) = text.split_once(MARK)?;
    let (_, after) = rest.split_once(MARK)?;
    Some(format!("{before}{MARK}\n{}\n{MARK}{after}", results.trim()))
}

fn command(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string()).unwrap_or_default()
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default().trim().to_string()
}

fn cpu_model() -> String {
    let info = read("/proc/cpuinfo");
    let model =
        info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{count} cores of {}", model.map_or("an unknown CPU", |(_, name)| name))
}

const MARK: &str = "<!-- results -->";
/// The floor is the first server.
const FLOOR: usize = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_only_what_is_marked() {
        let text = "a\n<!-- results -->\nold\n<!-- results -->\nb\n";
        let replaced = replace_marked(text, "new\n").unwrap();
        assert_eq!(replaced, "a\n<!-- results -->\nnew\n<!-- results -->\nb\n");
        assert_eq!(replace_marked("a", "new"), None);
    }

    #[test]
    fn the_floor_is_first() {
        assert!(crate::servers::all()[FLOOR].is_floor());
    }
}
