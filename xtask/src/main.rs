//! `cargo xtask`: everything that checks this project, the same here as in CI.

mod autobahn;
mod checks;
mod concurrency;
mod conformance;
mod dial;
mod foreign;
mod front;
mod fuzz;
mod imports;
mod instructions;
mod judge;
mod licences;
mod msrv;
mod nightly;
mod proxies;
mod relay;
mod robustness;
mod sanitizer;
mod simulate;
mod steps;
mod summary;
mod tls;
mod tools;
mod traceability;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask test [STEP]...                    run every step, or only the named ones
       cargo xtask list                              name the steps
       cargo xtask autobahn [server|client] [CASES]  all of Autobahn, or CASES: ids or globs, such as '9.*,7.7.1';
                                                     all cases in both roles write docs/autobahn.md
       cargo xtask autobahn --one-byte [CASES]       against our server, each byte a write of its own
       cargo xtask simulate [SEEDS] [--first N]      seeds of the simulation, 100000 of them, in an optimized build
       cargo xtask simulate --seed N                 one seed again
       cargo xtask fuzz [TARGET]... [--seconds N] [--seed N] [--asan]
                                                     60 seconds of each target, or of those named
       cargo xtask robustness                        the table of attacks and quirks, with a verdict on each row
       cargo xtask bench [SCENARIO]... [ROW]...      times, memory and system calls against the peers; see bench/README.md
       cargo xtask instructions --keep               count instructions a message anew, and keep them as bars
       cargo xtask check-peers                       the conformance suite against others; writes docs/conformance.md

What the steps install goes below target/xtask/.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["test", names @ ..] => steps::run(names),
        ["list"] => steps::list(),
        ["bench", rest @ ..] => exit_code(checks::bench(rest)),
        ["instructions", "--keep"] => exit_code(instructions::keep()),
        ["simulate", rest @ ..] => exit_code(simulate::command_line(rest)),
        ["fuzz", rest @ ..] => exit_code(fuzz::command_line(rest)),
        ["robustness"] => exit_code(robustness::run()),
        ["autobahn", "--one-byte"] => exit_code(autobahn::one_byte(None)),
        ["autobahn", "--one-byte", cases] => exit_code(autobahn::one_byte(Some(cases))),
        ["check-peers"] => exit_code(conformance::peers()),
        ["autobahn", rest @ ..] => match (rest.first().and_then(|name| autobahn::Role::named(name)), rest) {
            (Some(role), [_]) => autobahn::command_line(&[role], None),
            (Some(role), [_, cases]) => autobahn::command_line(&[role], Some(cases)),
            (None, []) => autobahn::command_line(&autobahn::ROLES, None),
            (None, [cases]) => autobahn::command_line(&autobahn::ROLES, Some(cases)),
            _ => usage(),
        },
        _ => usage(),
    }
}

fn exit_code(outcome: tools::Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
