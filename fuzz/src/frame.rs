//! Frame headers: what is read is written as the same bytes, and what is written is read as the same header.

use crate::within;
use ws13::frame::{Header, OpCode, Rsv};

pub fn check(data: &[u8]) {
    within(0, || read_and_write(data));
    within(0, || write_and_read(data));
}

fn read_and_write(data: &[u8]) {
    let whole = Header::decode(data);
    for end in 0..data.len().min(Header::MAX_LEN) {
        match (Header::decode(&data[..end]), &whole) {
            // "The minimal number of bytes MUST be used" and all else is found as soon as it can be.
            (Ok(None), _) => {}
            (Ok(Some(read)), Ok(Some(whole))) => assert_eq!(read, *whole),
            (Err(read), Err(whole)) => assert_eq!(read, *whole),
            (read, whole) => panic!("{read:?} of a part, {whole:?} of the whole"),
        }
    }
    match whole {
        Ok(Some((header, len))) => {
            assert!(len <= Header::MAX_LEN && len <= data.len());
            assert_eq!(header.encode()[..], data[..len]);
            assert!(!header.opcode.is_control() || (header.fin && header.payload_len <= 125));
            assert!(header.payload_len <= u64::MAX / 2);
        }
        Ok(None) => assert!(data.len() < Header::MAX_LEN),
        Err(_) => assert!(data.len() >= 2),
    }
}

fn write_and_read(data: &[u8]) {
    let [first, mask_bit, len @ ..] = data else { return };
    let Some((len, rest)) = len.split_first_chunk::<8>() else { return };
    let mask = rest.first_chunk::<4>().filter(|_| mask_bit & 1 == 1).copied();
    let opcode = OpCode::from_bits(*first);
    // Any length of any size is tried, not large ones alone.
    let payload_len = (u64::from_be_bytes(*len) >> (mask_bit >> 2)) & (u64::MAX >> 1);
    let fin = first & 0x80 != 0 || opcode.is_control();
    let payload_len = if opcode.is_control() { payload_len.min(125) } else { payload_len };
    let header = Header { fin, rsv: Rsv::from_bits(*first), opcode, mask, payload_len };
    let bytes = header.encode();
    assert_eq!(Header::decode(&bytes), Ok(Some((header, bytes.len()))));
}
