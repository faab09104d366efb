//! Command line flags of the helper programs: `--name value`, or `--name` alone.

use std::str::FromStr;

/// The arguments of this process.
pub struct Args(Vec<String>);

impl Args {
    pub fn from_env() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|argument| argument == name)
    }

    /// The value after `name`, if it is there. A value that does not parse ends the process: a
    /// measurement with a setting nobody asked for is worse than none.
    pub fn get<T: FromStr>(&self, name: &str) -> Option<T> {
        let at = self.0.iter().position(|argument| argument == name)?;
        match self.0.get(at + 1).map(|value| value.parse()) {
            Some(Ok(value)) => Some(value),
            _ => fail(&format!("{name} needs a value")),
        }
    }

    pub fn require<T: FromStr>(&self, name: &str) -> T {
        self.get(name).unwrap_or_else(|| fail(&format!("{name} is missing")))
    }
}

/// Says what is wrong and ends the process with status 2.
pub fn fail(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(2)
}
