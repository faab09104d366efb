//! `ws13 check`: the conformance suite against a server or a client.

use crate::exit::Failure;
use crate::values;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;
use ws13::check::{self, ClientCheck, Options, Report, Role, Verdict};

/// What `ws13 check` is asked.
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 no case failed, 1 some did, 2 usage, or nothing to test.\n\nExamples:\n  \
    ws13 check server ws://127.0.0.1:12345/\n  \
    ws13 check server --only frames --only 'close.code.*' ws://127.0.0.1:12345/\n  \
    ws13 check server --json ws://127.0.0.1:12345/ > report.json\n  \
    ws13 check client --listen 127.0.0.1:9002 --junit report.xml\n  \
    ws13 check server --list"
)]
pub(crate) struct Check {
    #[command(subcommand)]
    role: Tested,
}

#[derive(Subcommand)]
enum Tested {
    /// Test a server, which has to echo messages (without an echo, the cases that need it are skipped)
    Server {
        /// Where the server is, such as ws://127.0.0.1:12345/echo
        #[arg(required_unless_present = "list")]
        url: Option<String>,
        /// How many cases run at once
        #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
        jobs: u16,
        #[command(flatten)]
        common: Common,
    },
    /// Test a client that speaks the protocol of Autobahn's fuzzing server: /getCaseCount, /runCase?case=N&agent=NAME,
    /// /updateReports; it has to echo messages
    Client {
        /// Where to listen for it; port 0 lets the system choose one, which is then printed
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9002")]
        listen: String,
        /// How long to wait for it to come, or to come again
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = values::duration)]
        idle: Duration,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
struct Common {
    /// Only these cases: an id, its beginning up to a dot, or with * for anything; may be given several times
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// All but these; may be given several times
    #[arg(long, value_name = "PATTERN")]
    skip: Vec<String>,
    /// How long one answer may take
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    timeout: Duration,
    /// Count what is non-strict as a failure
    #[arg(long)]
    strict: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Write the report to a file, too, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Show the cases that are ok, and the bytes of all
    #[arg(long, short)]
    verbose: bool,
    /// Name the cases, and run none
    #[arg(long)]
    list: bool,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.role {
            Tested::Server { common, .. } if common.list => common.list(Role::Server),
            Tested::Client { common, .. } if common.list => common.list(Role::Client),
            Tested::Server { url, jobs, common } => {
                let options = Options { jobs: jobs.into(), ..common.options() };
                // clap wants the URL wherever nothing is listed.
                let url = url.unwrap_or_default();
                let report = check::server(&url, &options).map_err(nothing)?;
                common.tell(&report)
            }
            Tested::Client { listen, idle, common } => {
                let options = Options { idle, ..common.options() };
                let cannot = |error| Failure::Usage(format!("cannot listen on {listen}: {error}"));
                let server = ClientCheck::bind(&*listen, options).map_err(cannot)?;
                eprintln!(
                    "ws13 check is listening on ws://{}/ (for the client under test)",
                    server.local_addr()?
                );
                let report = server.run().map_err(nothing)?;
                common.tell(&report)
            }
        }
    }
}

fn nothing(error: check::Error) -> Failure {
    Failure::Usage(error.to_string())
}

impl Common {
    fn options(&self) -> Options {
        Options {
            only: self.only.clone(),
            skip: self.skip.clone(),
            timeout: self.timeout,
            ..Options::default()
        }
    }

    fn list(&self, role: Role) -> Result<(), Failure> {
        let options = self.options();
        for (id, section, title) in check::cases(role).iter().filter(|(id, _, _)| options.chooses(id)) {
            print(&format!("{id:<44} {section:<18} {title}\n"));
        }
        Ok(())
    }

    fn tell(&self, report: &Report) -> Result<(), Failure> {
        if let Some(file) = &self.junit {
            let cannot = |error| Failure::Usage(format!("cannot write {}: {error}", file.display()));
            std::fs::write(file, report.to_junit()).map_err(cannot)?;
        }
        print(&if self.json { report.to_json() } else { report.text(self.verbose) });
        let (failed, weak) = (report.count(Verdict::Failed), report.count(Verdict::NonStrict));
        match (failed, weak) {
            (0, 0) => Ok(()),
            (0, _) if !self.strict => Ok(()),
            (0, _) => Err(Failure::Local(format!("{weak} cases are non-strict"))),
            _ => Err(Failure::Local(format!("{failed} cases failed"))),
        }
    }
}

/// A reader that went away, such as `head`, is no concern.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
