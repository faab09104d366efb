//! Who is let in to `ws13 serve`: web pages, host names, and the proxies that say who the client is.

use clap::Args;
use ws13::handshake::{AllowedHost, Authority, Network, Origin, OriginPolicy, Proxies, Request, Trusted};
use ws13::{LocalAddr, Server};

#[derive(Args)]
pub(super) struct Access {
    /// Let in the web pages of this origin, such as https://example.com, or * for any; may be given several times.
    /// Without it only this server's own pages are let in. Programs, which send no Origin, always are
    #[arg(long, alias = "origin", value_name = "ORIGIN", value_parser = allowed_origin)]
    allow_origin: Vec<Allowed<Origin>>,
    /// Answer to this host name, such as example.com, *.example.com or example.com:8080, or * for any; may be given
    /// several times. Without it a server on loopback answers to the names of this machine only, so that no foreign name
    /// can be made to point to it (DNS rebinding), and a server elsewhere to any
    #[arg(long, value_name = "NAME", value_parser = allowed_host)]
    allow_host: Vec<Allowed<AllowedHost>>,
    /// Believe proxies of this network about who the client is, such as 10.0.0.0/8 or 127.0.0.1, or unix for those that
    /// come by a Unix socket; may be given several times. How they tell it has to be chosen, too
    #[arg(long, value_name = "NETWORK", value_parser = trusted, requires = "told")]
    trust_proxy: Vec<TrustedProxy>,
    /// Trusted proxies begin each connection with the PROXY protocol, version 1 or 2
    #[arg(long, requires = "trust_proxy", group = "told")]
    proxy_protocol: bool,
    /// Trusted proxies write the header Forwarded
    #[arg(long, requires = "trust_proxy", group = "told", conflicts_with = "x_forwarded")]
    forwarded: bool,
    /// Trusted proxies write the headers X-Forwarded-For, -Proto and -Host
    #[arg(long, requires = "trust_proxy", group = "told")]
    x_forwarded: bool,
}

#[derive(Clone, Debug)]
enum Allowed<T> {
    Any,
    This(T),
}

#[derive(Clone, Debug)]
enum TrustedProxy {
    Network(Network),
    Unix,
}

impl Access {
    pub(super) fn apply(&self, server: Server, address: &LocalAddr) -> Server {
        let mut origins = self.origins();
        origins.hosts = self.hosts(address);
        server.origins(origins).behind(self.proxies())
    }

    /// What people should know of it when they start a server that others can reach.
    pub(super) fn notice(&self, address: &LocalAddr) -> Option<&'static str> {
        let reachable = matches!(address, LocalAddr::Tcp(address) if !address.ip().is_loopback());
        (reachable && self.allow_host.is_empty()).then_some(
            "others can reach this address: it answers to any host name (--allow-host narrows that), and lets in the web \
             pages of the same origin and all programs",
        )
    }

    /// Whether what concerns the server itself, such as its figures, may be shown to this client: one of this machine, or
    /// one who asks by a name that was allowed.
    pub(super) fn shows_figures(&self) -> impl Fn(&Request) -> bool + Send + Sync + 'static {
        let named = self.allow_host.iter().any(|allowed| matches!(allowed, Allowed::This(_)));
        move |request| named || request.peer_addr().is_none_or(|peer| peer.ip().to_canonical().is_loopback())
    }

    fn origins(&self) -> OriginPolicy {
        match listed(&self.allow_origin) {
            None => OriginPolicy::any(),
            Some(listed) if listed.is_empty() => OriginPolicy::same_origin(),
            Some(listed) => OriginPolicy::list(listed),
        }
    }

    fn hosts(&self, address: &LocalAddr) -> Option<Vec<AllowedHost>> {
        let named = listed(&self.allow_host)?;
        let own = match address {
            LocalAddr::Tcp(address) if address.ip().is_loopback() => Some(address),
            _ if named.is_empty() => return None,
            _ => None,
        };
        let mut hosts = named;
        if let Some(address) = own {
            // A name that is allowed does not take the machine's own away.
            hosts.extend(AllowedHost::loopback());
            hosts.extend(address.to_string().parse::<Authority>().ok().map(AllowedHost::from));
        }
        Some(hosts)
    }

    fn proxies(&self) -> Proxies {
        let networks = self.trust_proxy.iter().filter_map(|trusted| match trusted {
            TrustedProxy::Network(network) => Some(*network),
            TrustedProxy::Unix => None,
        });
        let mut trusted = Trusted::networks(networks);
        if self.trust_proxy.iter().any(|trusted| matches!(trusted, TrustedProxy::Unix)) {
            trusted = trusted.and_unix();
        }
        let mut proxies = Proxies::trusted(trusted);
        if self.proxy_protocol {
            proxies = proxies.proxy_protocol();
        }
        if self.forwarded {
            proxies = proxies.forwarded();
        }
        if self.x_forwarded {
            proxies = proxies.x_forwarded();
        }
        proxies
    }
}

/// `None` when any is allowed.
fn listed<T: Clone>(allowed: &[Allowed<T>]) -> Option<Vec<T>> {
    let listed = allowed.iter().map(|allowed| match allowed {
        Allowed::Any => None,
        Allowed::This(this) => Some(this.clone()),
    });
    listed.collect()
}

fn allowed_origin(text: &str) -> Result<Allowed<Origin>, String> {
    allowed(text, |text| Origin::new(text).map_err(|error| error.to_string()))
}

fn allowed_host(text: &str) -> Result<Allowed<AllowedHost>, String> {
    allowed(text, |text| AllowedHost::new(text).map_err(|error| error.to_string()))
}

fn allowed<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Allowed<T>, String> {
    if text == "*" { Ok(Allowed::Any) } else { read(text).map(Allowed::This) }
}

fn trusted(text: &str) -> Result<TrustedProxy, String> {
    match text {
        "unix" => Ok(TrustedProxy::Unix),
        text => text
            .parse()
            .map(TrustedProxy::Network)
            .map_err(|error: ws13::handshake::InvalidNetwork| error.to_string()),
    }
}
