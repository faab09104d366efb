//! The scenarios: how many connections send what, and how many messages each keeps in flight.

/// What the messages carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Binary,
    /// Text with characters of one to four bytes, so that UTF-8 validation has work to do.
    MixedText,
    /// Text of one byte a character, as JSON and most of what programs say to each other.
    AsciiText,
}

#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub connections: usize,
    /// Payload bytes of each message.
    pub size: usize,
    /// Messages each connection keeps in flight.
    pub depth: usize,
    pub kind: Kind,
}

const KIB: usize = 1024;
const SMALL_READ_BUFFER: usize = 8 * KIB;
const BULK_READ_BUFFER: usize = 128 * KIB;

const fn binary(name: &'static str, connections: usize, size: usize, depth: usize) -> Scenario {
    Scenario { name, connections, size, depth, kind: Kind::Binary }
}

/// Another one's messages, of another kind.
const fn with(name: &'static str, kind: Kind, of: Scenario) -> Scenario {
    Scenario { name, kind, ..of }
}

const B: Scenario = binary("B", 100, 64, 1);
const C: Scenario = binary("C", 100, 64, 16);
const H: Scenario = binary("H", 100, 64, 64);
const D: Scenario = binary("D", 100, KIB, 4);
const E: Scenario = binary("E", 16, 16 * KIB, 2);
const F: Scenario = binary("F", 4, KIB * KIB, 1);

/// In the order of the report.
pub const SCENARIOS: [Scenario; 7] = [B, C, H, D, E, with("E8", Kind::MixedText, E), F];

/// Those that run only when they are named.
pub const ON_REQUEST: [Scenario; 8] = [
    with("B8", Kind::MixedText, B),
    with("C7", Kind::AsciiText, C),
    with("C8", Kind::MixedText, C),
    with("H7", Kind::AsciiText, H),
    with("H8", Kind::MixedText, H),
    with("D8", Kind::MixedText, D),
    with("E7", Kind::AsciiText, E),
    with("F8", Kind::MixedText, F),
];

/// The name of the memory scenario, which has no messages in flight.
pub const IDLE: &str = "idle";
pub const IDLE_CONNECTIONS: usize = 5_000;

/// The name of the scenario of connections that come and go: an opening handshake, and then the client is gone.
pub const CHURN: &str = "churn";
pub const CHURN_CONNECTIONS: usize = 20_000;

impl Scenario {
    /// The read buffer for the peers that let one choose: small messages do not gain from a big one.
    pub fn read_buffer(&self) -> usize {
        if self.size >= 16 * KIB { BULK_READ_BUFFER } else { SMALL_READ_BUFFER }
    }

    pub fn describe(&self) -> String {
        let size = match self.size {
            size if size >= KIB * KIB => format!("{} MiB", size / KIB / KIB),
            size if size >= KIB => format!("{} KiB", size / KIB),
            size => format!("{size} B"),
        };
        let kind = match self.kind {
            Kind::Binary => "",
            Kind::MixedText => " mixed UTF-8 text",
            Kind::AsciiText => " ASCII text",
        };
        format!("{} connections, {size}{kind}, depth {}", self.connections, self.depth)
    }
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Binary => "binary",
            Kind::MixedText => "mixed",
            Kind::AsciiText => "ascii",
        }
    }

    pub fn opcode(self) -> u8 {
        match self {
            Kind::Binary => 2,
            Kind::MixedText | Kind::AsciiText => 1,
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        [Kind::Binary, Kind::MixedText, Kind::AsciiText]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or(())
    }
}
