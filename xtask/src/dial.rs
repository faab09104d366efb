//! `ws13 connect` against a foreign echo server: what it prints, and how it ends.

use crate::tools::{Outcome, command, free_port, wait};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// One run of the command, and what has to come of it.
#[derive(Default)]
pub(crate) struct Dial {
    pub(crate) name: String,
    /// The path and query after the server's address.
    pub(crate) path: &'static str,
    pub(crate) options: Vec<String>,
    pub(crate) input: String,
    /// Whether the input stays open, so that the end is the peer's doing, or `--count`'s.
    pub(crate) held: bool,
    pub(crate) code: i32,
    pub(crate) printed: String,
    /// What standard error has to tell.
    pub(crate) told: Vec<&'static str>,
    /// What it must not tell.
    pub(crate) untold: Vec<&'static str>,
}

/// Runs every check against the server at `url`, which has the paths of tests/foreign/node/server.mjs.
pub(crate) fn dial(ws13: &Path, url: &str) -> Outcome {
    dial_with(ws13, url, &[])
}

/// The same with options that every run has.
pub(crate) fn dial_with(ws13: &Path, url: &str, options: &[&str]) -> Outcome {
    let mut runs: Vec<_> =
        checks().into_iter().map(|check| (format!("{url}{}", check.path), check)).collect();
    runs.push((nobody()?, Dial { name: "nobody listens".into(), code: 3, ..Dial::default() }));
    run_all(ws13, &runs, options)
}

/// Runs each against its URL, with options that every run has.
pub(crate) fn run_all(ws13: &Path, runs: &[(String, Dial)], options: &[&str]) -> Outcome {
    let mut failed = 0;
    for (url, check) in runs {
        match check.run(ws13, url, options) {
            Ok(()) => println!("ok - connect: {}", check.name),
            Err(why) => {
                failed += 1;
                println!("not ok - connect: {}: {why}", check.name);
            }
        }
    }
    println!("{} passed, {failed} failed", runs.len() - failed);
    if failed == 0 { Ok(()) } else { Err(format!("{failed} checks of `ws13 connect` failed")) }
}

/// An address where nothing listens any more.
fn nobody() -> Result<String, String> {
    Ok(format!("ws://127.0.0.1:{}/", free_port()?))
}

fn checks() -> Vec<Dial> {
    let lines = "hi\ngrüße, 世界, 🍪\nthird\n".to_owned();
    let burst: String = (0..500).map(|i| format!("message {i} {}\n", ".".repeat(i))).collect();
    let long = format!("{}\n", "x".repeat(1024 * 1024));
    let none = Dial::default;
    vec![
        // Counted, since a server may answer our Close before it echoes what came ahead of it: websockets does.
        Dial {
            name: "lines come back as lines".into(),
            options: words(&["--count", "3"]),
            input: lines.clone(),
            printed: lines,
            ..none()
        },
        Dial {
            name: "500 lines in one burst".into(),
            options: words(&["--count", "500"]),
            input: burst.clone(),
            printed: burst,
            ..none()
        },
        Dial {
            name: "a line of 1 MiB".into(),
            options: words(&["--count", "1"]),
            input: long.clone(),
            printed: long,
            ..none()
        },
        Dial { name: "the end of the input is the end".into(), ..none() },
        Dial {
            name: "--count ends it while the input is open".into(),
            options: words(&["--count", "2"]),
            input: "one\ntwo\n".into(),
            held: true,
            printed: "one\ntwo\n".into(),
            ..none()
        },
        Dial {
            name: "the subprotocol is agreed".into(),
            path: "subprotocol",
            options: words(&["--subprotocol", "me-want-cookies", "--count", "1"]),
            held: true,
            printed: "me-want-cookies\n".into(),
            ..none()
        },
        Dial {
            name: "the server closes with 1000".into(),
            path: "close?code=1000&reason=bye",
            held: true,
            ..none()
        },
        Dial {
            name: "the server closes with a code of its own".into(),
            path: "close?code=4001&reason=no+more+cookies",
            held: true,
            code: 6,
            told: vec!["4001", "no more cookies"],
            ..none()
        },
        Dial {
            name: "a refusal shows its status and body".into(),
            path: "refuse",
            code: 4,
            told: vec!["401", "no cookie, no entry"],
            ..none()
        },
        Dial {
            name: "a header of the user's own, here a foreign origin".into(),
            options: words(&["-H", "Origin: http://evil.example"]),
            code: 4,
            told: vec!["403"],
            ..none()
        },
        Dial { name: "TCP ends without a Close".into(), path: "abrupt", held: true, code: 6, ..none() },
        Dial { name: "a frame that nothing allows".into(), path: "violate", held: true, code: 5, ..none() },
        Dial {
            name: "a handshake that is never answered".into(),
            path: "hang",
            options: words(&["--timeout", "1"]),
            held: true,
            code: 7,
            ..none()
        },
        Dial { name: "an option that is none".into(), options: words(&["--cookies"]), code: 2, ..none() },
    ]
}

fn words(options: &[&str]) -> Vec<String> {
    options.iter().map(|&word| word.to_owned()).collect()
}

impl Dial {
    fn run(&self, ws13: &Path, url: &str, options: &[&str]) -> Outcome {
        let mut connect = command(ws13);
        connect.args(["connect", url]).args(options).args(&self.options);
        connect.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = connect.spawn().map_err(|e| format!("cannot run it: {e}"))?;
        let mut input = child.stdin.take().expect("piped");
        let (lines, held) = (self.input.clone(), self.held);
        // It may end before it has read everything; then its output is what is judged.
        let feeding = thread::spawn(move || {
            let _ = input.write_all(lines.as_bytes());
            held.then_some(input)
        });
        let printed = collect(child.stdout.take().expect("piped"));
        let told = collect(child.stderr.take().expect("piped"));
        let status = wait(&mut child, PATIENCE);
        drop(feeding.join());
        let (printed, told) = (printed.join().unwrap_or_default(), told.join().unwrap_or_default());
        let status = status.ok_or_else(|| format!("still running after {} s", PATIENCE.as_secs()))?;
        self.judge(status.code(), &printed, &told)
    }

    fn judge(&self, code: Option<i32>, printed: &str, told: &str) -> Outcome {
        if code != Some(self.code) {
            return Err(format!("exit {code:?} in place of {}; it told {told:?}", self.code));
        }
        if printed != self.printed {
            return Err(format!("it printed {:?} in place of {:?}", short(printed), short(&self.printed)));
        }
        if let Some(word) = self.told.iter().find(|word| !told.contains(**word)) {
            return Err(format!("{word:?} is not in {told:?}"));
        }
        match self.untold.iter().find(|word| told.contains(**word)) {
            Some(word) => Err(format!("{word:?} is in {told:?}")),
            None => Ok(()),
        }
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}
