//! The direction of imports in crates/ws13/src: drivers -> handshake, connection -> leaves.

use crate::tools::{self, Outcome};
use std::path::{Path, PathBuf};

/// Modules that know only each other.
const LEAVES: &[&str] =
    &["frame", "mask", "utf8", "close", "text", "message", "limits", "error", "time", "trusted"];
/// The state machines on top of them.
const MACHINES: &[&str] = &["connection", "handshake", "proxy"];
/// What moves bytes.
const DRIVERS: &[&str] = &["tokio", "blocking", "client", "server", "tls", "hyper", "axum", "test"];

/// The conformance suite, and what it must not share with what it tests.
const SUITE: &[&str] = &["check"];
const TESTED: &[&str] =
    &["connection", "deflate", "extension", "state", "tokio", "blocking", "client", "server"];

/// What the core may not know, wherever it comes from: runtimes, TLS, sockets, clocks, threads. Addresses are core::net's.
const OUTSIDE: &[&str] =
    &["tokio::", "hyper::", "rustls::", "std::net", "std::thread", "std::time", "std::fs"];

pub(crate) fn check() -> Outcome {
    let src = tools::root().join("crates/ws13/src");
    let mut wrong = Vec::new();
    let above: Vec<_> = MACHINES.iter().chain(DRIVERS).copied().collect();
    let rules = [(LEAVES, above.as_slice(), OUTSIDE), (MACHINES, DRIVERS, OUTSIDE), (SUITE, TESTED, &[])];
    for (modules, forbidden, outside) in rules {
        for module in modules {
            let files = files(&src, module)?;
            if files.is_empty() {
                wrong.push(format!(
                    "{module}: no such module; the table in xtask/src/imports.rs is out of date"
                ));
            }
            for file in files {
                let inside = file.strip_prefix(&src).unwrap_or(&file);
                let code = code(&tools::read(&file)?);
                let found = imported(&code, depth(inside)).into_iter();
                let found = found.filter(|name| forbidden.contains(&name.as_str()));
                let outside =
                    outside.iter().filter(|path| mentions(&code, path)).map(|&path| path.to_owned());
                wrong.extend(found.chain(outside).map(|name| format!("{} imports {name}", inside.display())));
            }
        }
    }
    wrong.dedup();
    for line in &wrong {
        println!("not ok - {line}");
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("{} imports go the wrong way", wrong.len())) }
}

/// `module.rs` and everything below `module/`.
fn files(src: &Path, module: &str) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let file = src.join(format!("{module}.rs"));
    if file.is_file() {
        files.push(file);
    }
    let mut folders = vec![src.join(module)];
    while let Some(folder) = folders.pop().filter(|path| path.is_dir()) {
        for entry in std::fs::read_dir(&folder).map_err(|e| e.to_string())?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// How many `super` lead from this file's module to the crate's root.
fn depth(inside: &Path) -> usize {
    inside.components().count() - usize::from(inside.ends_with("mod.rs"))
}

/// The text without comments, strings and tests, so that only the module's own code is left.
fn code(text: &str) -> String {
    let mut code = String::new();
    // Tests stand last, and may import what they like.
    for line in text.lines().take_while(|line| !line.starts_with("mod tests {")) {
        let mut quoted = false;
        let mut last = ' ';
        for (at, c) in line.char_indices() {
            match c {
                '"' if last != '\\' && last != '\'' => quoted = !quoted,
                '/' if !quoted && line[at..].starts_with("//") => break,
                _ if !quoted => code.push(c),
                _ => {}
            }
            last = c;
        }
        code.push('\n');
    }
    code
}

/// The modules of the crate's root that the code names, by `crate::` or by `super::`.
fn imported(code: &str, depth: usize) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        names.extend(heads(&code[at + "crate::".len()..]));
    }
    let mut rest = code;
    while let Some(at) = rest.find("super::") {
        let mut supers = 0;
        rest = &rest[at..];
        while let Some(tail) = rest.strip_prefix("super::") {
            supers += 1;
            rest = tail;
        }
        if supers == depth {
            names.extend(heads(rest));
        }
    }
    names
}

/// The first name of each path: `a::b` gives a, `{a::b, c::{d, e}}` gives a and c.
fn heads(paths: &str) -> Vec<String> {
    let Some(group) = paths.strip_prefix('{') else {
        return vec![name(paths)];
    };
    let mut heads = vec![name(group.trim_start())];
    let mut open = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            ',' if open == 1 => heads.push(name(group[at + 1..].trim_start())),
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    heads
}

fn name(text: &str) -> String {
    text.chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect()
}

/// Whether the path stands in the code on its own, not as the end of a longer one such as `crate::tokio::`.
fn mentions(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        !before.is_alphanumeric() && before != '_' && before != ':'
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_file_imports() {
        let text = "use crate::{frame::{Header, connection}, client};\nuse crate::server::Server;\nlet x = super::tokio::y;";
        assert_eq!(imported(text, 1), ["frame", "client", "server", "tokio"]);
        assert_eq!(imported("use super::super::blocking::X;", 2), ["blocking"]);
        assert_eq!(imported("use super::sender::Sender;", 2), Vec::<String>::new());
    }

    #[test]
    fn tests_may_import_anything() {
        assert_eq!(
            code("use a;\n#[cfg(test)]\nmod tests {\n    use crate::client;\n}\n"),
            "use a;\n#[cfg(test)]\n"
        );
    }

    #[test]
    fn comments_and_strings_import_nothing() {
        let text = "// use crate::client;\n/// [`crate::client`]\nlet a = \"crate::client // \"; let b = '\"'; use crate::frame;";
        assert_eq!(imported(&code(text), 1), ["frame"]);
    }

    #[test]
    fn tells_the_crate_tokio_from_the_module_tokio() {
        assert!(mentions("use tokio::net::TcpStream;", "tokio::"));
        assert!(!mentions("use crate::tokio::Driver;", "tokio::"));
        assert!(mentions("std::time::Instant::now()", "std::time"));
    }

    #[test]
    fn depth_counts_modules() {
        for (path, supers) in [("frame.rs", 1), ("mask/mod.rs", 1), ("mask/wide.rs", 2)] {
            assert_eq!(depth(Path::new(path)), supers, "{path}");
        }
    }
}
