//! The tables in README.md: what stands between two marks is written by a program.

use std::{fs, io, path::Path};

/// Replaces what stands between the two marks in the README.md of this directory.
pub fn replace(mark: &str, results: &str) -> io::Result<()> {
    write_into(&Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"), mark, results)
}

/// Replaces what stands between the two marks in a file.
pub fn write_into(file: &Path, mark: &str, results: &str) -> io::Result<()> {
    let text = fs::read_to_string(file)?;
    let text =
        replace_marked(&text, mark, results).ok_or(io::Error::other("README.md lacks the two marks"))?;
    fs::write(file, text)
}

fn replace_marked(text: &str, mark: &str, results: &str) -> Option<String> {
    let (before, rest) = text.split_once(mark)?;
    let (_, after) = rest.split_once(mark)?;
    Some(format!("{before}{mark}\n{}\n{mark}{after}", results.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_only_what_is_marked() {
        let marked = |text| replace_marked(text, "<!-- a -->", "new");
        assert_eq!(
            marked("x <!-- b --> <!-- a -->old<!-- a --> y").as_deref(),
            Some("x <!-- b --> <!-- a -->\nnew\n<!-- a --> y")
        );
        assert_eq!(marked("nothing"), None);
        assert_eq!(marked("<!-- a --> once"), None);
    }
}
