//! The oldest Rust that is promised, really run: Debian's `rustc-web` and `cargo-web`, unpacked and never installed.

use crate::tools::{self, Outcome, command, folder, once, output, run};
use std::path::{Path, PathBuf};

/// These come in the version that is asked for; `rustc-web` of another version is of no use.
const RUST: &[&str] = &["rustc-web", "cargo-web", "libstd-rust-web-dev"];

/// Shared libraries of theirs that a machine may not have.
const LIBRARIES: &[&str] = &["libllvm19", "libhttp-parser2.9", "libpcre3", "libssh2-1"];

pub(crate) fn check() -> Outcome {
    let wanted = promised()?;
    let dir = folder("msrv")?;
    once(&dir, &wanted, || unpack(&dir, &wanted))?;
    let found = output(&mut tool(&dir, "rustc", "-V")?)?;
    println!("{}", found.trim());
    if !found.starts_with(&format!("rustc {wanted}.")) {
        return Err(format!("{wanted} is promised, and this is {}", found.trim()));
    }
    for what in ["-p ws13 --no-default-features", "-p ws13 --all-features", "-p ws13-cli"] {
        run(&mut tool(&dir, "cargo", &format!("check --locked {what}"))?)?;
    }
    Ok(())
}

/// `rust-version` of the workspace.
fn promised() -> Result<String, String> {
    let manifest = tools::read(&tools::root().join("Cargo.toml"))?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \""));
    let version = line.and_then(|rest| rest.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| "Cargo.toml names no rust-version".into())
}

fn unpack(dir: &Path, wanted: &str) -> Outcome {
    println!("Debian's packages of Rust {wanted} are unpacked into {}; nothing is installed", dir.display());
    if tools::found("apt-get").is_none() {
        return Err(format!("Rust {wanted} comes from Debian's packages, and there is no apt-get here"));
    }
    // Old lists name packages that are gone, and a new machine has none.
    download(dir, wanted).or_else(|_| tools::apt_update().and_then(|()| download(dir, wanted)))?;
    for file in debs(dir)? {
        run(command("dpkg").arg("-x").arg(&file).arg(dir))?;
        std::fs::remove_file(&file).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn download(dir: &Path, wanted: &str) -> Outcome {
    let version = version(wanted)?;
    // The library itself is in a package that carries the version in its name.
    let library = format!("libstd-rust-web-{wanted}");
    let rust = RUST.iter().copied().chain([library.as_str()]).map(|name| format!("{name}={version}"));
    let packages = rust.chain(LIBRARIES.iter().map(|&name| name.to_owned()));
    run(command("apt-get").args(["download", "-qq"]).args(packages).current_dir(dir))
}

/// The full version of Debian's package for a Rust such as `1.85`.
fn version(wanted: &str) -> Result<String, String> {
    let known = output(command("apt-cache").args(["madison", "rustc-web"]))?;
    let versions = known.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
    let mut fitting = versions.filter(|version| version.starts_with(&format!("{wanted}.")));
    fitting
        .next()
        .map(str::to_owned)
        .ok_or_else(|| format!("Debian's rustc-web does not come as {wanted} here"))
}

fn debs(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(dir).map_err(|e| e.to_string())?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|end| end == "deb")).collect())
}

fn tool(dir: &Path, name: &str, args: &str) -> Result<std::process::Command, String> {
    let bin = dir.join("usr/bin");
    let mut command = command(bin.join(name));
    command.args(args.split_whitespace());
    command.env("RUSTC", bin.join("rustc")).env("CARGO_TARGET_DIR", folder("msrv-target")?);
    command.env("LD_LIBRARY_PATH", libraries(dir)?);
    // rustup's own choice of a toolchain would win over the cargo that is run here.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    Ok(command)
}

/// `lib/x86_64-linux-gnu` and `usr/lib/x86_64-linux-gnu`, by whatever name this machine's kind has.
fn libraries(dir: &Path) -> Result<std::ffi::OsString, String> {
    let mut paths = Vec::new();
    for lib in [dir.join("usr/lib"), dir.join("lib")] {
        let Ok(entries) = std::fs::read_dir(lib) else { continue };
        let inner = entries.flatten().map(|entry| entry.path());
        paths.extend(inner.filter(|path| path.to_string_lossy().contains("-linux-gnu")));
    }
    std::env::join_paths(paths).map_err(|e| e.to_string())
}
