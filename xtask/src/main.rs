//! `cargo xtask`: everything that checks this project, the same here as in CI.

mod autobahn;
mod checks;
mod conformance;
mod dial;
mod foreign;
mod imports;
mod judge;
mod licences;
mod msrv;
mod steps;
mod tools;
mod traceability;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask test [STEP]...                    run every step, or only the named ones
       cargo xtask list                              name the steps
       cargo xtask autobahn [server|client] [CASES]  Autobahn alone; CASES: ids or globs, such as '9.*,7.7.1'
       cargo xtask check-peers                       the conformance suite against others; writes docs/conformance.md

What the steps install goes below target/xtask/.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["test", names @ ..] => steps::run(names),
        ["list"] => steps::list(),
        ["check-peers"] => match conformance::peers() {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("FAILED: {why}");
                ExitCode::FAILURE
            }
        },
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

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
