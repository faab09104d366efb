//! The tables: ratios to the floor of the same round, medians over the rounds.

use crate::{
    ROWS,
    client::{Case, Measured, Mode},
};
use std::fmt::Write;
use ws13_bench::stats::median;

/// A case, and for each round each row.
pub type Results = [(Case, Vec<Vec<Measured>>)];

pub const MARK: &str = "<!-- clients -->";

pub fn to_markdown(results: &Results, window: f64) -> String {
    let rounds = results.first().map_or(0, |(_, rounds)| rounds.len());
    let mut text =
        format!("Medians of {rounds} rounds of {window} s; in brackets the least and the greatest ratio.\n");
    for mode in [Mode::Send, Mode::Receive, Mode::Ask] {
        let columns: Vec<_> = results.iter().filter(|(case, _)| case.mode == mode).collect();
        write_table(&mut text, mode, &columns);
    }
    text
}

fn write_table(text: &mut String, mode: Mode, columns: &[&(Case, Vec<Vec<Measured>>)]) {
    let title = match mode {
        Mode::Send => "bulk sending",
        Mode::Receive => "bulk receiving",
        Mode::Ask => "64 B there and back",
    };
    let heads: Vec<_> = columns.iter().map(|(case, _)| head(*case)).collect();
    let _ = writeln!(text, "\n| {title} | {} |", heads.join(" | "));
    let _ = writeln!(text, "|---|{}", "---:|".repeat(columns.len()));
    let floors: Vec<_> = columns.iter().map(|(_, rounds)| format!("{:.3} µs", floor(rounds))).collect();
    let _ = writeln!(text, "| {}, CPU time a message | {} |", ROWS[0], floors.join(" | "));
    for (row, name) in ROWS.iter().enumerate().skip(1) {
        let cells: Vec<_> = columns.iter().map(|(_, rounds)| cell(rounds, row)).collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    let shares = |share: fn(&Measured) -> f64| {
        let each = columns.iter().map(|(_, rounds)| {
            let all: Vec<_> = rounds.iter().flatten().map(share).collect();
            let least = all.iter().copied().fold(f64::INFINITY, f64::min);
            let most = all.iter().copied().fold(0.0, f64::max);
            format!("{:.0} to {:.0} %", 100.0 * least, 100.0 * most)
        });
        each.collect::<Vec<_>>().join(" | ")
    };
    let _ = writeln!(text, "| *core busy* | {} |", shares(|measured| measured.busy));
    let _ = writeln!(text, "| *disturbed* | {} |", shares(|measured| measured.disturbed));
}

fn head(case: Case) -> String {
    match (case.mode, case.size) {
        (Mode::Ask, _) => format!("depth {}", case.batch),
        (_, size @ 0..1024) => format!("{size} B"),
        (_, size @ 1024..0x10_0000) => format!("{} KiB", size >> 10),
        (_, size) => format!("{} MiB", size >> 20),
    }
}

fn floor(rounds: &[Vec<Measured>]) -> f64 {
    median(&rounds.iter().map(|rows| rows[0].us).collect::<Vec<_>>())
}

fn cell(rounds: &[Vec<Measured>], row: usize) -> String {
    let ratio = ratio(rounds, row);
    let best = (1..ROWS.len()).all(|other| median(&ratio) <= median(&self::ratio(rounds, other)));
    let bold = if best { "**" } else { "" };
    let least = ratio.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratio.iter().copied().fold(0.0, f64::max);
    format!("{bold}{:.2}{bold} ({least:.2}, {most:.2})", median(&ratio))
}

/// Times the floor's, in each round.
fn ratio(rounds: &[Vec<Measured>], row: usize) -> Vec<f64> {
    rounds.iter().map(|rows| rows[row].us / rows[0].us).collect()
}
