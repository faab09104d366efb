//! Why ws13 and another library may disagree; fuzz/README.md says each in words.

use super::script::Script;
use super::{Ending, Told};
use ws13::close::CloseError;
use ws13::frame::HeaderError;
use ws13::{Fault, LimitHit, Role, Violation};

/// A disagreement that is understood. In all but the last, ws13 refuses what the other takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// ws13 refuses at the first impossible byte; the other waits for the rest of the header, frame or message.
    SeenLater,
    /// A length in more bytes than it needs.
    LengthNotMinimal,
    /// A control frame whose length stands in more bytes than a control frame can need.
    LongControl,
    /// A frame of a client without a mask, or of a server with one.
    Mask,
    /// A new message inside of an unfinished one.
    Interleaved,
    /// A text in fragments, of which one ends inside a character that nothing ends.
    CutCharacter,
    /// A Close with a code that must not be sent is told as one with 1002.
    CloseCode,
    /// 1014 is in the registry since the RFC was written; the other does not know it.
    Code1014,
    /// The limit on a message: fragments count when they have come, not by their header.
    Limit,
}

pub(super) fn of(name: &str, ours: &Told, fault: Option<&Fault>, theirs: &Told) -> Option<Reason> {
    let fast = name == "fastwebsockets";
    let same = ours.messages == theirs.messages;
    if !theirs.messages.starts_with(&ours.messages) {
        // What ws13 takes, the others take.
        return None;
    }
    let Some(fault) = fault else {
        let unknown = matches!(theirs.end, Ending::Refused | Ending::Close(1002));
        return (same && ours.end == Ending::Close(1014) && unknown).then_some(Reason::Code1014);
    };
    match fault {
        _ if same && theirs.end == Ending::MoreNeeded => Some(Reason::SeenLater),
        Fault::Violation(Violation::Header(HeaderError::LengthNotMinimal)) => Some(Reason::LengthNotMinimal),
        Fault::Violation(Violation::Header(HeaderError::LongControl)) => Some(Reason::LongControl),
        Fault::Violation(Violation::Masked | Violation::Unmasked) if fast => Some(Reason::Mask),
        Fault::Violation(Violation::ExpectedContinuation) if fast => Some(Reason::Interleaved),
        Fault::Violation(Violation::Utf8) if fast => Some(Reason::CutCharacter),
        Fault::Violation(Violation::Close(CloseError::Code(_))) if same && !fast => {
            (theirs.end == Ending::Close(1002)).then_some(Reason::CloseCode)
        }
        Fault::Limit(LimitHit::Message { .. } | LimitHit::Fragments { .. }) => Some(Reason::Limit),
        _ => None,
    }
}

/// Whether the bytes have what the reason says.
pub(super) fn is_in(reason: Reason, script: &Script, role: Role) -> bool {
    match reason {
        Reason::LengthNotMinimal => script.has_length_not_minimal(),
        Reason::LongControl => script.has_long_control(),
        Reason::Mask => script.has_wrong_mask(role),
        Reason::Interleaved => script.has_interleaved_messages(),
        Reason::CutCharacter => script.has_cut_character(),
        Reason::Limit => script.has_large_message(),
        // These are told by how the two ended.
        Reason::SeenLater | Reason::CloseCode | Reason::Code1014 => true,
    }
}
