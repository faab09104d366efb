//! The `ws13` command: talks WebSocket from a terminal.

mod check;
mod connect;
mod dialling;
mod exit;
mod lines;
mod peer;
mod serve;
mod staying;
mod tls;
mod values;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "ws13", version, about = "WebSocket from a terminal: serve, connect, peer, check")]
struct Command {
    #[command(subcommand)]
    subcommand: Sub,
}

#[derive(Subcommand)]
enum Sub {
    /// Serve WebSocket, and a console page to try it from a browser
    Serve(serve::Serve),
    /// Connect to a URL: standard input goes out, messages come to standard output
    Connect(connect::Connect),
    /// Listen and dial at once: a line typed at one peer reaches all the others
    Peer(peer::Peer),
    /// Test a server or a client of any make for conformance
    Check(check::Check),
}

fn main() -> ExitCode {
    let ended = match Command::parse().subcommand {
        Sub::Serve(serve) => serve.run(),
        Sub::Connect(connect) => connect.run(),
        Sub::Peer(peer) => peer.run(),
        Sub::Check(check) => check.run(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ws13: {failure}");
            failure.code()
        }
    }
}
