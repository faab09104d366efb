//! Work to be counted in instructions: `instructions CASE N` does it N times and prints nothing.
//!
//! Counted by `cargo xtask instructions` under valgrind, these repeat exactly, whatever else the machine does. The cost of
//! one is the difference between two runs, so that what happens once does not count.

mod attacks;
#[cfg(feature = "deflate")]
mod compressing;
mod core_only;
mod driver;

use std::process::ExitCode;

/// What is counted, and how to do it so many times.
type Case = (&'static str, fn(usize));

#[cfg(feature = "deflate")]
const COMPRESSING: &[Case] = compressing::CASES;
#[cfg(not(feature = "deflate"))]
const COMPRESSING: &[Case] = &[];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--list-messages"] => list(core_only::CASES.iter().chain(driver::CASES).chain(COMPRESSING)),
        ["--list-attacks"] => list(attacks::CASES),
        [name, times] => return run(name, times),
        // As `cargo test --benches` and `cargo bench` call it: there is nothing to do without a counter.
        _ => println!("counted by `cargo xtask instructions`"),
    }
    ExitCode::SUCCESS
}

fn list<'a>(cases: impl IntoIterator<Item = &'a Case>) {
    for (name, _) in cases {
        println!("{name}");
    }
}

fn run(name: &str, times: &str) -> ExitCode {
    let mut cases = core_only::CASES.iter().chain(driver::CASES).chain(COMPRESSING).chain(attacks::CASES);
    match (cases.find(|case| case.0 == name), times.parse()) {
        (Some((_, work)), Ok(times)) => {
            work(times);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("no case `{name}` with `{times}` times");
            ExitCode::from(2)
        }
    }
}
