//! A relay on loopback that writes every byte by itself, in both directions.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

/// Passes connections on to `target`, until this program ends; gives the relay's own address.
pub(crate) fn start(target: String) -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("no port for a relay: {e}"))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?.to_string();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            if let Ok(far) = TcpStream::connect(&target) {
                join(near, far);
            }
        }
    });
    Ok(address)
}

fn join(near: TcpStream, far: TcpStream) {
    // Else the kernel waits, and joins the bytes again.
    let both = [&near, &far].map(|stream| stream.set_nodelay(true));
    if let (Ok(near_again), Ok(far_again), [Ok(()), Ok(())]) = (near.try_clone(), far.try_clone(), both) {
        thread::spawn(move || pass(near, far));
        thread::spawn(move || pass(far_again, near_again));
    }
}

/// Passes bytes on until the stream ends; then ends the other one, in this direction.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if buffer[..len].iter().any(|byte| to.write_all(std::slice::from_ref(byte)).is_err()) {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
