//! Echo servers on io_uring: bare (`--raw`) and with ws13's core; `--epoll`: the same on epoll; `--tokio`: on
//! io_uring inside a runtime of tokio; `--copy`: what arrives is copied into the core's buffer.

mod echo;
mod raw;

use echo::{Echo, Shared};
use raw::Raw;
use std::{
    convert::Infallible,
    io::{self, Write},
    net::TcpListener,
    sync::Arc,
};
use ws13_bench::{
    args::{Args, fail},
    dialogue::Dialogue,
    epoll, ring,
};

fn main() {
    match run() {
        Ok(never) => match never {},
        Err(error) => fail(&format!("engines: {error}")),
    }
}

fn run() -> io::Result<Infallible> {
    let args = Args::from_env();
    if args.has("--raw") {
        return serve(&args, Raw::default);
    }
    let shared = Arc::new(Shared::new(args.has("--copy")));
    serve(&args, || Echo::new(Arc::clone(&shared)))
}

fn serve<D: Dialogue>(args: &Args, begin: impl FnMut() -> D) -> io::Result<Infallible> {
    if !args.has("--epoll") {
        ring::check_available()?;
    }
    let listener = TcpListener::bind(args.require::<String>("--listen"))?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    if args.has("--epoll") {
        return epoll::serve(listener, begin);
    }
    if args.has("--tokio") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(ring::serve_on_tokio(listener, begin));
    }
    ring::serve(listener, begin)
}
