//! Lines from standard input, and messages to standard output.

use std::borrow::Cow;
use std::io::{self, BufRead, IsTerminal, Write};
use tokio::sync::mpsc;
use ws13::Message;

/// Lines that were read and not sent yet: as many as keep a connection busy, and a paste in bounds.
const WAITING: usize = 64;

/// Reads standard input in a thread of its own; the channel ends with the input.
pub(crate) fn input() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let line = line.map(|mut line| {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                line
            });
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A line as a message: text, or with `binary` its bytes.
pub(crate) fn message(line: Vec<u8>, binary: bool) -> Result<Message, String> {
    if binary {
        return Ok(Message::from(line));
    }
    match String::from_utf8(line) {
        Ok(text) => Ok(Message::from(text)),
        Err(_) => {
            Err("a line of the input is not UTF-8, and was not sent; --binary sends any bytes".to_owned())
        }
    }
}

/// Writes a message as a line. On a terminal control characters are made visible and bytes shown as hex; in a pipe
/// everything goes out as it came.
pub(crate) fn print(message: &Message) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let terminal = out.is_terminal();
    match message {
        Message::Text(text) if terminal => out.write_all(printable(text).as_bytes())?,
        Message::Binary(bytes) if terminal => {
            write!(out, "({} bytes)", bytes.len())?;
            for byte in bytes {
                write!(out, " {byte:02x}")?;
            }
        }
        message => out.write_all(message.as_bytes())?,
    }
    out.write_all(b"\n")?;
    out.flush()
}

/// Text without what could steer a terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let harmless = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\t');
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if harmless(letter) { shown.push(letter) } else { shown.extend(letter.escape_default()) }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printed_steers_the_terminal() {
        assert_eq!(printable("plain\ttext\nß"), "plain\ttext\nß");
        assert_eq!(printable("\u{1b}[2Jgone\u{7}"), "\\u{1b}[2Jgone\\u{7}");
        assert_eq!(printable("\u{9b}2J"), "\\u{9b}2J");
    }

    #[test]
    fn a_line_that_is_no_text_is_refused_unless_binary() {
        assert!(message(vec![0xff], false).is_err());
        assert_eq!(message(vec![0xff], true), Ok(Message::from(vec![0xff])));
    }
}
