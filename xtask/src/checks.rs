//! The checks that are cargo's own: layout, lints, documentation, features, tests.

use crate::conformance::build_foreign;
use crate::tls;
use crate::tools::{self, Outcome, cargo, folder, output, run, write};
use std::path::PathBuf;

/// The choices of features that a user makes; `None` leaves the core alone.
const FEATURES: &[Option<&str>] = &[
    None,
    Some("std"),
    Some("tokio"),
    Some("json"),
    Some("deflate"),
    Some("tokio,json"),
    Some("std,tracing"),
    Some("tls"),
    Some("tokio,tls"),
    Some("tokio,webpki-roots"),
    Some("hyper"),
    Some("axum"),
    Some("test"),
    Some("check"),
];

pub(crate) fn fmt() -> Outcome {
    run(&mut cargo("fmt --all --check"))
}

pub(crate) fn clippy() -> Outcome {
    for features in ["", "--all-features"] {
        run(&mut cargo(&format!("clippy --workspace --all-targets {features} -- -D warnings")))?;
    }
    Ok(())
}

pub(crate) fn docs() -> Outcome {
    let mut doc = cargo("doc --workspace --no-deps --all-features");
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

pub(crate) fn features() -> Outcome {
    for features in FEATURES {
        let features = features.map_or_else(String::new, |names| format!("--features {names}"));
        run(&mut cargo(&format!("clippy -p ws13 --no-default-features {features} -- -D warnings")))?;
    }
    run(&mut cargo("clippy -p ws13 --all-features -- -D warnings"))
}

/// `#![no_std]` in the core is not enough: a dependency could bring std along. A static library that names a panic
/// handler of its own links only where nobody else has one, and std has.
pub(crate) fn no_std() -> Outcome {
    let dir = folder("no-std")?;
    std::fs::create_dir_all(dir.join("src")).map_err(|e| e.to_string())?;
    let library = tools::root().join("crates/ws13");
    write(&dir.join("Cargo.toml"), &PROBE_MANIFEST.replace("LIBRARY", &library.to_string_lossy()))?;
    write(&dir.join("src/lib.rs"), PROBE)?;
    let build = || {
        let mut build = cargo("build --quiet");
        build.current_dir(&dir).env("CARGO_TARGET_DIR", dir.join("target"));
        build
    };
    if tools::root().join("Cargo.lock").exists() {
        // The same versions as everywhere else.
        std::fs::copy(tools::root().join("Cargo.lock"), dir.join("Cargo.lock")).map_err(|e| e.to_string())?;
    }
    run(&mut build())?;
    match output(build().arg("--features=std")) {
        Err(why) if why.contains("panic_impl") => {
            println!("with std it does not build: the probe tells the two apart")
        }
        Err(why) => return Err(why),
        Ok(_) => return Err("the probe builds even with std, so it proves nothing".into()),
    }
    for target in bare_targets()? {
        run(build().args(["--target", &target]))?;
    }
    Ok(())
}

/// Installed targets without an operating system, such as `thumbv7em-none-eabi`; often there is none.
fn bare_targets() -> Result<Vec<String>, String> {
    let sysroot = output(tools::command("rustc").args(["--print", "sysroot"]))?;
    let entries = std::fs::read_dir(format!("{}/lib/rustlib", sysroot.trim())).map_err(|e| e.to_string())?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name.contains("-none")).collect())
}

pub(crate) fn test() -> Outcome {
    tls::openssl()?;
    run(&mut cargo("test --workspace --all-features --no-fail-fast"))
}

/// All examples as a user builds them; in release mode only what the steps after this one run, since linking takes long.
/// And the calls of other libraries that docs/moving-from.md compares with ours.
pub(crate) fn examples() -> Outcome {
    run(&mut cargo("build --workspace --examples --all-features"))?;
    build_foreign(&tools::root().join("tests/foreign/rust"))?;
    ws13()?;
    // The README's first command names no package.
    run(&mut cargo("run --quiet --release -- --version"))?;
    autobahn_client().map(drop)
}

/// The release build of the command.
pub(crate) fn ws13() -> Result<PathBuf, String> {
    run(&mut cargo("build --quiet --release -p ws13-cli"))?;
    Ok(tools::target().join("release/ws13"))
}

/// The example that broadcasts.
pub(crate) fn broadcast() -> Result<PathBuf, String> {
    run(&mut cargo("build --quiet -p ws13 --example broadcast --all-features"))?;
    Ok(tools::target().join("debug/examples/broadcast"))
}

/// The benchmarks' own code. What they measure is not asked for here.
pub(crate) fn bench_itself() -> Outcome {
    let manifest = "--manifest-path bench/Cargo.toml";
    run(&mut cargo(&format!("fmt --all --check {manifest}")))?;
    run(&mut cargo(&format!("clippy --all-targets {manifest} -- -D warnings")))?;
    run(&mut cargo(&format!("test --quiet {manifest}")))
}

/// The benchmarks, a workspace of their own, with the command as it is now.
pub(crate) fn bench(args: &[&str]) -> Outcome {
    let command = ws13()?;
    let mut bench = cargo("run --release --manifest-path bench/Cargo.toml --");
    run(bench.args(args).env("WS13", command))
}

/// The release build of the client that Autobahn tests.
pub(crate) fn autobahn_client() -> Result<PathBuf, String> {
    run(&mut cargo("build --quiet --release -p ws13 --example autobahn_client --all-features"))?;
    Ok(tools::target().join("release/examples/autobahn_client"))
}

/// The example that dials through a proxy by the blocking driver.
pub(crate) fn blocking_proxy() -> Result<PathBuf, String> {
    run(&mut cargo("build --quiet -p ws13 --example blocking_proxy"))?;
    Ok(tools::target().join("debug/examples/blocking_proxy"))
}

/// An example of an application with the library in it, in the build that the tests have compiled most of.
pub(crate) fn example(name: &str) -> Result<PathBuf, String> {
    run(&mut cargo(&format!("build --quiet -p ws13 --example {name} --all-features")))?;
    Ok(tools::target().join("debug/examples").join(name))
}

const PROBE_MANIFEST: &str = "\
[package]
name = \"no-std-probe\"
version = \"0.0.0\"
edition = \"2024\"

[lib]
crate-type = [\"staticlib\"]

[dependencies]
ws13 = { path = \"LIBRARY\", default-features = false }

[features]
std = [\"ws13/std\"]

[profile.dev]
panic = \"abort\"

[workspace]
";

const PROBE: &str = r#"#![no_std]

extern crate ws13;

struct None_;

unsafe impl core::alloc::GlobalAlloc for None_ {
    unsafe fn alloc(&self, _: core::alloc::Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: core::alloc::Layout) {}
}

#[global_allocator]
static ALLOCATOR: None_ = None_;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
"#;
