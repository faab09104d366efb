//! How the command reaches a server: proxies, redirects.

use crate::exit::Failure;
use clap::Args;
use std::path::PathBuf;
use ws13::Client;
use ws13::proxy::Proxy;
use ws13::tls::{ClientTls, ClientTlsBuilder};

/// How many redirects `--location` follows.
const REDIRECTS: u32 = 10;

/// What `ws13 connect` is asked about the way to the server.
#[derive(Args)]
pub(crate) struct Dialling {
    /// Go through this proxy, such as http://user:password@host:3128, https://…, socks5://… or socks5h://…; without it
    /// HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY choose one
    // Not read by clap, which would repeat a wrong one with its password.
    #[arg(long, value_name = "URL", conflicts_with = "no_proxy")]
    proxy: Option<String>,
    /// Trust an https:// proxy whose certificate was issued by one of these (a PEM file), in place of those this machine
    /// trusts
    #[arg(long, value_name = "PEM", conflicts_with = "no_proxy")]
    proxy_ca: Vec<PathBuf>,
    /// Go through no proxy, whatever the environment says
    #[arg(long)]
    no_proxy: bool,
    /// Follow redirects, 10 at most; never from wss: to ws:, and without credentials to another host
    #[arg(short = 'L', long)]
    location: bool,
}

impl Dialling {
    pub(crate) fn follows_redirects(&self) -> bool {
        self.location
    }

    pub(crate) fn apply(&self, client: Client) -> Result<Client, Failure> {
        let client = match &self.proxy {
            Some(url) => client.proxy(Proxy::new(url).map_err(|error| Failure::Usage(error.to_string()))?),
            None if self.no_proxy => client,
            None => client.proxy_from_env(),
        };
        let client = match &self.proxy_ca[..] {
            [] => client,
            files => {
                let trusting = files.iter().try_fold(ClientTls::builder(), ClientTlsBuilder::roots_file);
                client.proxy_tls(trusting?.key_log().build()?)
            }
        };
        Ok(if self.location { client.redirects(REDIRECTS) } else { client })
    }
}
