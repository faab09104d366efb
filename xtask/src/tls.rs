//! `wss://` with other people's software, by a certificate that `openssl` makes here: npm's ws and PyPI's websockets
//! both ways, libcurl, and the console page in Chromium; and in a program that has another provider of cryptography, too.

use crate::checks::{example, ws13};
use crate::conformance::build_foreign;
use crate::dial::dial_with;
use crate::foreign::{
    PATIENCE, both_ways, chromium, node_modules, node_script, python_script, serve_echo, venv,
};
use crate::tools::{self, Outcome, Served, apt_install, command, folder, found, once, run, run_within};
use std::path::{Path, PathBuf};

pub(crate) fn check() -> Outcome {
    openssl()?;
    let files = Files::make()?;
    let options = ["--subprotocol", "me-want-cookies", "--cert", &files.cert, "--key", &files.key];
    let ours = serve_echo(&options)?;
    let (node, python, browser) = (node(&ours, &files), python(&ours, &files), browser(&ours, &files));
    both_ways(both_ways(node, python), browser)?;
    curl(&ours, &files)?;
    let programs = build_foreign(&tools::root().join("tests/foreign/providers"))?;
    run_within(PATIENCE, &mut command(programs.join("ws13-providers")))
}

/// The tests of the library want one, too.
pub(crate) fn openssl() -> Outcome {
    if found("openssl").is_none() { apt_install("openssl") } else { Ok(()) }
}

/// A CA's certificate, and a server's with its key, in PEM.
pub(crate) struct Files {
    pub(crate) ca: String,
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Files {
    pub(crate) fn make() -> Result<Files, String> {
        let dir = folder("tls")?;
        once(&dir, SERVER, || make(&dir))?;
        let path = |name| dir.join(name).to_string_lossy().into_owned();
        Ok(Files { ca: path("ca.pem"), cert: path("server.pem"), key: path("server.key") })
    }
}

/// What a server's certificate says beside its key.
const SERVER: &str =
    "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n";

fn make(dir: &Path) -> Outcome {
    let openssl = |arguments: &str| {
        let mut openssl = command("openssl");
        openssl.args(arguments.split_whitespace()).current_dir(dir);
        run(&mut openssl)
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -days 3650 -subj /CN=ws13-tests -keyout ca.key -out ca.pem"))?;
    openssl(&format!("req {key} -subj /CN=localhost -keyout server.key -out server.csr"))?;
    tools::write(&dir.join("server.ext"), SERVER)?;
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile server.ext -out server.pem",
    )
}

pub(crate) fn wss(served: &Served) -> String {
    format!("wss://{}/", served.address())
}

fn node(ours: &Served, files: &Files) -> Outcome {
    let dir = node_modules("node", &tools::root().join("tests/foreign/node"))?;
    let mut server = node_script(&dir, "server.mjs");
    let theirs = Served::start(server.env("TLS_CERT", &files.cert).env("TLS_KEY", &files.key))?;
    let mut client = node_script(&dir, "client.mjs");
    client.arg(wss(ours)).env("NODE_EXTRA_CA_CERTS", &files.ca);
    both_ways(run_within(PATIENCE, &mut client), dial_with(&ws13()?, &wss(&theirs), &["--ca", &files.ca]))
}

fn python(ours: &Served, files: &Files) -> Outcome {
    let mut server = python_script("server.py")?;
    let theirs = Served::start(server.env("TLS_CERT", &files.cert).env("TLS_KEY", &files.key))?;
    let mut client = python_script("client.py")?;
    client.arg(wss(ours)).env("SSL_CERT_FILE", &files.ca);
    both_ways(run_within(PATIENCE, &mut client), dial_with(&ws13()?, &wss(&theirs), &["--ca", &files.ca]))
}

/// libcurl, whose build for PyPI speaks ws and wss, as Debian's does not everywhere: to our server, and to a service on
/// hyper.
fn curl(ours: &Served, files: &Files) -> Outcome {
    let scripts = tools::root().join("tests/foreign/curl");
    let python = venv("curl", &scripts.join("requirements.txt"))?.join("bin/python");
    let on_hyper = Served::start(command(example("hyper_echo")?).arg("127.0.0.1:0"))?;
    for plain in [serve_echo(&[])?, on_hyper] {
        let mut client = command(&python);
        client.arg(scripts.join("client.py")).args([&plain.url, &wss(ours), &files.ca]);
        run_within(PATIENCE, &mut client)?;
    }
    Ok(())
}

fn browser(ours: &Served, files: &Files) -> Outcome {
    let chromium: PathBuf = chromium()?;
    let dir = node_modules("browser", &tools::root().join("tests/browser"))?;
    let mut console = node_script(&dir, "console.mjs");
    console.arg(format!("https://{}/", ours.address())).args(["--certificate", &files.cert]);
    run_within(PATIENCE, console.env("CHROMIUM", chromium))
}
