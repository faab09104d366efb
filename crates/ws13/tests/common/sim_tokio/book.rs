//! What was sent by whom, where a future that was dropped leaves open whether it has sent its message.

use ws13::{Kind, Message};

/// What one side has sent: several senders, each with messages of its own that are numbered.
#[derive(Default)]
pub struct Book {
    senders: Vec<Sent>,
    pub delivered: usize,
}

#[derive(Default)]
struct Sent {
    /// For each number: whether it is certain that the message was sent.
    certain: Vec<bool>,
    /// The number that comes next, or a later one.
    next: usize,
}

impl Book {
    /// A sender that is new.
    pub fn sender(&mut self) -> usize {
        self.senders.push(Sent::default());
        self.senders.len() - 1
    }

    /// The sender's next message, which may or may not be sent.
    pub fn next(&mut self, sender: usize, longest: usize) -> Message {
        let certain = &mut self.senders[sender].certain;
        certain.push(false);
        message(sender, certain.len() - 1, longest)
    }

    /// The sender's latest message has been taken.
    pub fn sent(&mut self, sender: usize) {
        *self.senders[sender].certain.last_mut().expect("it has been made") = true;
    }

    /// The other side has received a message.
    pub fn receive(&mut self, received: &Message, longest: usize) {
        let text = String::from_utf8_lossy(received.as_bytes());
        let mut parts = text.split(':');
        let mut number =
            || parts.next().and_then(|part| part.parse::<usize>().ok()).expect("a message of ours");
        let (sender, number) = (number(), number());
        let sent = &mut self.senders[sender];
        assert!(number < sent.certain.len(), "a message that was never sent");
        assert!(number >= sent.next, "doubled or reordered: {number} of {sender} after {}", sent.next);
        let skipped = sent.certain[sent.next..number].iter().any(|certain| *certain);
        assert!(!skipped, "lost: one of {}..{number} of {sender}", sent.next);
        assert!(*received == message(sender, number, longest), "a message comes as it was sent");
        sent.next = number + 1;
        self.delivered += 1;
    }

    pub fn check_all_received(&self) {
        for (sender, sent) in self.senders.iter().enumerate() {
            let lost = sent.certain[sent.next..].iter().any(|certain| *certain);
            assert!(!lost, "lost at the end: one of {}.. of {sender}", sent.next);
        }
    }
}

/// Who sent it and its number stand in front; the rest follows from them.
fn message(sender: usize, number: usize, longest: usize) -> Message {
    let mut text = format!("{sender}:{number}:");
    let len = [0, 1, 100, 126, 3_000, 9_000, 70_000][(sender * 3 + number * 5) % 7].min(longest);
    while text.len() < len {
        text.push(char::from(b'a' + ((text.len() * 7 + number) % 26) as u8));
    }
    match if number % 2 == 0 { Kind::Text } else { Kind::Binary } {
        Kind::Text => Message::from(text),
        Kind::Binary => Message::from(text.into_bytes()),
    }
}
