//! The tables: medians over the turns, and ratios to the floor of the same turn.

use crate::{
    counts::Counts,
    measure::{Churn, Idle, Load},
    plot,
    servers::{self, Server},
};
use std::{fmt::Write, fs, process::Command};
use ws13_bench::{
    scenario::{CHURN, CHURN_CONNECTIONS, IDLE, IDLE_CONNECTIONS, Scenario},
    stats::median,
};

/// For each turn, the result of each server in their order; `None` where it failed.
pub type Rounds<T> = Vec<Vec<Option<T>>>;

pub struct Report {
    names: Vec<&'static str>,
    loads: Vec<(Scenario, Rounds<Load>)>,
    counts: Vec<(Scenario, Rounds<Counts>)>,
    idle: Option<Rounds<Idle>>,
    churn: Option<Rounds<Churn>>,
    rounds: usize,
    window: f64,
}

impl Report {
    /// The first of the servers is the floor.
    pub fn new(servers: &[&Server], rounds: usize, window: f64) -> Self {
        let names = servers.iter().map(|server| server.name).collect();
        Self { names, loads: Vec::new(), counts: Vec::new(), idle: None, churn: None, rounds, window }
    }

    pub fn add_load(&mut self, scenario: Scenario, rounds: Rounds<Load>) {
        self.loads.push((scenario, rounds));
    }

    pub fn add_idle(&mut self, rounds: Rounds<Idle>) {
        self.idle = Some(rounds);
    }

    pub fn add_counts(&mut self, scenario: Scenario, counts: Rounds<Counts>) {
        self.counts.push((scenario, counts));
    }

    pub fn add_churn(&mut self, rounds: Rounds<Churn>) {
        self.churn = Some(rounds);
    }

    pub fn to_svg(&self) -> String {
        let rows = self.loads.iter().map(|(scenario, rounds)| {
            let ratios = (0..self.names.len()).map(|index| some_median(&ratios(rounds, index))).collect();
            plot::Row { title: scenario.name.into(), ratios }
        });
        plot::svg(&self.names, &rows.collect::<Vec<_>>(), |name| name.starts_with("ws13"))
    }

    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "Measured on {} with Linux {}, {}; {}. Medians of {} rounds of {} turns; windows of {} s.\n\n",
            command("date", &["-u", "+%Y-%m-%d"]),
            read("/proc/sys/kernel/osrelease"),
            cpu_model(),
            command("rustc", &["--version"]),
            self.rounds,
            crate::SLICES,
            self.window,
        );
        self.write_summary(&mut text);
        self.write_counts(&mut text);
        self.write_churn(&mut text);
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
        let bars: Vec<_> =
            columns.iter().map(|column| format!(" *{:.*}* |", column.digits, column.bar)).collect();
        let _ = writeln!(text, "| *the bar of `ws13`* |{}", bars.concat());
        for (index, name) in self.names.iter().enumerate() {
            let cells: Vec<_> =
                columns.iter().map(|column| format!(" {} |", column.cell(index, &self.names))).collect();
            let _ = writeln!(text, "| {name} |{}", cells.concat());
        }
        let _ = writeln!(text, "\nThe least of each column, beside the floors, is set in bold.");
        if self.idle.is_some() {
            let _ = writeln!(
                text,
                "`{IDLE}` is resident memory: bytes for each of {IDLE_CONNECTIONS} connections that have sent one \
                 message and are silent."
            );
        }
    }

    fn write_counts(&self, text: &mut String) {
        if self.counts.is_empty() {
            return;
        }
        let titles: String =
            self.counts.iter().map(|(scenario, _)| format!(" {} |", scenario.name)).collect();
        let _ = writeln!(text, "\n### System calls and allocations a message\n\n| server |{titles}");
        let _ = writeln!(text, "|---|{}", "---:|".repeat(self.counts.len()));
        for (index, name) in self.names.iter().enumerate() {
            let cells: String =
                self.counts.iter().map(|(_, rounds)| format!(" {} |", counts_cell(rounds, index))).collect();
            let _ = writeln!(text, "| {name} |{cells}");
        }
        let _ = writeln!(
            text,
            "\nCounted by the kernel during a second of load, and divided by the messages of that second; an allocation \
             is a call of malloc, calloc, realloc or posix_memalign."
        );
    }

    fn write_churn(&self, text: &mut String) {
        let Some(rounds) = &self.churn else { return };
        let _ = writeln!(text, "\n### {CHURN}: {CHURN_CONNECTIONS} connections that come and go\n");
        let _ = writeln!(
            text,
            "| server | CPU, µs a handshake | times the floor | handshakes/s, one after the other | grown by, KiB |"
        );
        let _ = writeln!(text, "|---|{}", "---:|".repeat(4));
        for (index, name) in self.names.iter().enumerate() {
            let all: Vec<Churn> = rounds.iter().filter_map(|round| round[index]).collect();
            if all.is_empty() {
                let _ = writeln!(text, "| {name} | failed |||");
                continue;
            }
            let of = |figure: fn(&Churn) -> f64| median(&all.iter().map(figure).collect::<Vec<_>>());
            let both = rounds.iter().filter_map(|round| Some((round[index]?, round[FLOOR]?)));
            let ratios: Vec<f64> = both
                .map(|(server, floor)| server.cpu_us_per_handshake / floor.cpu_us_per_handshake)
                .collect();
            let _ = writeln!(
                text,
                "| {name} | {:.1} | {:.2} | {:.0} | {:.0} |",
                of(|churn| churn.cpu_us_per_handshake),
                median(&ratios),
                of(|churn| churn.rate),
                of(|churn| churn.grown / 1024.0),
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
                "| {name} | {:.3} | {:.2} | {:.2}, {:.2} | {:.0} | {:.0} % | {} | {:.0} | {:.0} | {:.0} |",
                of(|load| load.cpu_us_per_message),
                median(&ratios),
                ratios.iter().copied().fold(f64::INFINITY, f64::min),
                ratios.iter().copied().fold(0.0, f64::max),
                of(|load| load.rate),
                of(|load| load.server_busy) * 100.0,
                disturbed(of(|load| load.disturbed)),
                of(|load| load.p50_us),
                of(|load| load.p99_us),
                of(|load| load.p999_us),
            );
        }
    }
}

/// More than all of the window: threads that waited for each other.
fn disturbed(share: f64) -> String {
    if share > 1.0 { "-".into() } else { format!("{:.0} %", share * 100.0) }
}

fn counts_cell(rounds: &Rounds<Counts>, index: usize) -> String {
    let counted = rounds.iter().find_map(|round| round[index]);
    counted.map_or("failed".into(), |counts| {
        let allocations = counts.allocations.map_or("?".into(), |all| format!("{all:.2}"));
        format!("{:.3}, {allocations}", counts.system_calls)
    })
}

/// A server against the floor, in each round that has both.
fn ratios(rounds: &Rounds<Load>, index: usize) -> Vec<f64> {
    let both = rounds.iter().filter_map(|round| Some((round[index]?, round[FLOOR]?)));
    both.map(|(server, floor)| server.cpu_us_per_message / floor.cpu_us_per_message).collect()
}

struct Column {
    title: String,
    values: Vec<Option<f64>>,
    bar: f64,
    digits: usize,
}

impl Column {
    fn ratios(scenario: &Scenario, rounds: &Rounds<Load>) -> Self {
        let values = (0..rounds[0].len()).map(|index| some_median(&ratios(rounds, index))).collect();
        Self { title: scenario.name.into(), values, bar: bar(scenario.name), digits: 2 }
    }

    fn bytes(rounds: &Rounds<Idle>) -> Self {
        let of = |index: usize| -> Vec<f64> {
            rounds.iter().filter_map(|round| Some(round[index]?.bytes_per_connection)).collect()
        };
        let values = (0..rounds[0].len()).map(|index| some_median(&of(index))).collect();
        Self { title: format!("{IDLE}, B"), values, bar: IDLE_BAR, digits: 0 }
    }

    fn cell(&self, index: usize, names: &[impl AsRef<str>]) -> String {
        let Some(value) = self.values[index] else { return "failed".into() };
        let text = format!("{value:.*}", self.digits);
        let is_server = |index: usize| !servers::is_raw(names[index].as_ref());
        let servers = self.values.iter().enumerate().filter(|(other, _)| is_server(*other));
        let least = servers.filter_map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
        if is_server(index) && value == least { format!("**{text}**") } else { text }
    }
}

fn some_median(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| median(values))
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

/// What `ws13 serve echo` is to stay under, of binary messages and of text.
fn bar(scenario: &str) -> f64 {
    match scenario {
        "B" | "B8" => 1.05,
        "C" | "C7" | "C8" => 1.10,
        "H" | "H7" | "H8" => 1.20,
        "D" | "D8" => 1.07,
        "E" | "E7" => 1.12,
        "E8" => 1.45,
        "F" | "F8" => 1.38,
        _ => f64::NAN,
    }
}

/// Bytes of an idle connection.
const IDLE_BAR: f64 = 1500.0;
pub const MARK: &str = "<!-- results -->";
/// The floor is the first server.
pub const FLOOR: usize = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_first() {
        assert!(crate::servers::all()[FLOOR].is_floor());
    }
}
