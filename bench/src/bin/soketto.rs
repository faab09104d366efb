//! Echo with soketto. It reads and writes header and payload separately, so it is given buffers for both; it leaves
//! UTF-8 to its user, so we check it. `--batched` puts a corked stream below it.

use futures_util::io::{AsyncRead, AsyncWrite, BufReader, BufWriter};
use soketto::{
    BoxedError, Data, Mode,
    connection::{Builder, Error},
};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncReadCompatExt;
use ws13_bench::{
    cork::Corked,
    serve::{self, Settings},
};

fn main() -> std::io::Result<()> {
    serve::run(echo)
}

async fn echo(stream: TcpStream, settings: Settings) -> Result<(), BoxedError> {
    let size = settings.buffer;
    match settings.batched {
        true => echo_over(BufReader::with_capacity(size, Corked::new(stream).compat())).await,
        false => {
            let writer = BufWriter::with_capacity(size, stream.compat());
            echo_over(BufReader::with_capacity(size, writer)).await
        }
    }
}

async fn echo_over<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<(), BoxedError> {
    let (mut sender, mut receiver) = Builder::new(stream, Mode::Server).finish();
    let mut message = Vec::new();
    loop {
        message.clear();
        match receiver.receive_data(&mut message).await {
            Ok(Data::Binary(_)) => sender.send_binary_mut(&mut message).await?,
            Ok(Data::Text(_)) => sender.send_text(simdutf8::basic::from_utf8(&message)?).await?,
            Err(Error::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        sender.flush().await?;
    }
}
