//! Echo with wtx.

use tokio::net::TcpStream;
use ws13_bench::serve::{self, Settings};
use wtx::{
    collection::Vector,
    rng::{Xorshift64, simple_seed},
    web_socket::{OpCode, WebSocket, WebSocketBuffer, WebSocketPayloadOrigin},
};

fn main() -> std::io::Result<()> {
    serve::run(echo)
}

async fn echo(stream: TcpStream, settings: Settings) -> wtx::Result<()> {
    let buffer = WebSocketBuffer::with_capacity(settings.buffer, 0, 0)?;
    let random = Xorshift64::from(simple_seed());
    let mut ws = WebSocket::<_, _, _, _, false>::new((), false, random, stream, buffer);
    let mut message = Vector::new();
    loop {
        message.clear();
        let (mut common, mut reader, mut writer) = ws.split_mut();
        let mut frame =
            reader.read_frame(&mut message, &mut common, WebSocketPayloadOrigin::Adaptive).await?;
        match frame.op_code() {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => writer.write_frame(&mut common, &mut frame).await?,
            _ => {}
        }
    }
}
