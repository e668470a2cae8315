//! A tool for console tokens, made of `console-token` and nothing else. See `token --help`.

mod cli;
mod files;
mod store;

use std::error::Error;
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cli::{Cli, Command, Form, Inspect, Mint, Resolve, Sign, Verify};
use console_token::nova::{Microversion, ShowAnswer};
use console_token::resolver::libvirt::{Answer, Kind};
use console_token::resolver::websockify;
use console_token::signed::{Claims, Keys, Rule, SigningKey, VerifyingKey};
use console_token::web::{Host, Redacted, place};
use console_token::{
    AccessUrl, AttemptId, ConsoleType, Grant, Protocol, Refusal, Scope, Secret, SignedToken, StoreError, Target,
    Transition, UnixSeconds, Uses, VerifyContext,
};
use examples::command;
use serde_json::{Value, json};
use store::{Hashed, Opened, in_file, seed};
use zeroize::Zeroizing;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The token was refused.
const REFUSED: u8 = 1;
/// Something could not be read, reached or written.
const FAILED: u8 = 3;
/// The longest line of standard input, in bytes: a URL with a signed token in it.
const LINE: u64 = 16 << 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(command::parse::<Cli>().command).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("token: {}", told(&*error));
            ExitCode::from(FAILED)
        }
    }
}

async fn run(command: Command) -> Result<u8> {
    match command {
        Command::Mint(mint) => self::mint(&mint).await,
        Command::Sign(sign) => self::sign(&sign),
        Command::PublicKey { key_file } => {
            let key = SigningKey::ed25519("key", &*seed(&key_file)?)?;
            print(&base16ct::lower::encode_string(key.public()))
        }
        Command::Inspect(inspect) => self::inspect(&inspect).await,
        Command::Verify(verify) => self::verify(&verify).await,
        Command::Resolve(resolve) => self::resolve(&resolve).await,
    }
}

async fn mint(mint: &Mint) -> Result<u8> {
    let console = mint.console.parse::<ConsoleType>();
    let console = console.map_err(|error| format!("--console: {error}"))?;
    let target = match (&mint.unix_path, &mint.host) {
        (Some(path), _) => Target::Unix { path: path.clone() },
        (None, Some(host)) if mint.port.or(mint.tls_port).is_some() => Target::Host {
            host: checked(host)?,
            port: mint.port,
            tls_port: mint.tls_port,
        },
        _ => return Err("--host needs --port or --tls-port".into()),
    };
    let mut grant = Grant::new(target, console, now(), mint.ttl).with_uses(Uses::Limited(mint.uses));
    if let Some(vm) = &mint.vm {
        grant = grant.with_vm(vm);
    }
    if let Some(user) = &mint.user {
        grant = grant.with_user(user);
    }
    if let Some(issuer) = &mint.issuer {
        grant = grant.with_issuer(issuer);
    }
    if let Some(audience) = &mint.audience {
        grant = grant.with_audience(audience);
    }
    let token = if mint.uuid {
        Secret::uuid4(&*random::<16>()?)
    } else {
        Secret::base64url(&*random::<32>()?)
    };
    // Before it is kept: a base that cannot hold the token should cost none.
    let url = mint
        .url
        .as_ref()
        .map(|base| AccessUrl::new(console, base, &token).map_err(|error| format!("--url: {error}")))
        .transpose()?;
    let opened = Opened::open(&mint.place.store, mint.place.pepper_file.as_deref()).await?;
    let Hashed { store, hash } = opened.hashed(&token)?;
    store.insert(&hash, &grant).await?;
    eprintln!("token {}", hash.fingerprint());
    print(url.as_ref().map_or(token.expose(), AccessUrl::expose))
}

/// A host that every program reads in the same way.
fn checked(host: &str) -> Result<String> {
    host.parse::<Host>().map_err(|error| format!("--host: {error}"))?;
    Ok(host.trim_matches(['[', ']']).to_owned())
}

fn sign(sign: &Sign) -> Result<u8> {
    let key = SigningKey::ed25519(&sign.key_id, &*seed(&sign.key_file)?)?;
    let id = URL_SAFE_NO_PAD.encode(*random::<16>()?);
    let claims = Claims::new(&sign.issuer, &sign.audience, &sign.vm, &id, now(), sign.ttl);
    print(key.sign(&claims)?.expose())
}

async fn inspect(inspect: &Inspect) -> Result<u8> {
    let line = line()?;
    let Some(name) = &inspect.store else {
        let shown = match SignedToken::presented(line.as_bytes()) {
            Ok(token) => unverified(&token),
            Err(_) if line.contains("://") => json!({ "url": Redacted(&line).to_string() }),
            Err(_) => json!({ "bytes": line.len(), "is_token": presented(&line).is_ok() }),
        };
        return print(&format!("{shown:#}"));
    };
    let token = match presented(&line) {
        Ok(token) => token,
        Err(refusal) => return refused(&refusal),
    };
    let Hashed { store, hash } = Opened::open(name, inspect.pepper_file.as_deref())
        .await?
        .hashed(&token)?;
    let Some(record) = store.record(&hash).await? else {
        return refused(&Refusal::Unknown);
    };
    let grant = record.grant();
    let now = now();
    let mut terms = serde_json::to_value(&**grant)?;
    // A path inside of a host can be a ticket.
    if let Some(path) = terms.pointer_mut("/target/Internal/path") {
        *path = "***".into();
    }
    let shown = json!({
        "fingerprint": hash.fingerprint().to_string(),
        "grant": terms,
        "now": now.0,
        "seconds_left": grant.window().1.0.saturating_sub(now.0),
        "accepted": record.check(&VerifyContext { audience: grant.audience.as_deref(), ..VerifyContext::at(now) }).map_or_else(|refusal| refusal.to_string(), |()| "yes".into()),
    });
    print(&format!("{shown:#}"))
}

/// What a signed token says of itself. The signature is the secret part, and is not shown.
fn unverified(token: &SignedToken) -> Value {
    let part = |part: &str| -> Value {
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    };
    let mut parts = token.expose().split('.');
    let (header, claims) = (parts.next().map(part), parts.next().map(part));
    json!({ "verified": false, "header": header, "claims": claims })
}

async fn verify(verify: &Verify) -> Result<u8> {
    let line = line()?;
    if let (Some(public), Some(id), Some(audience)) = (&verify.public_key, &verify.key_id, &verify.audience) {
        let keys = Keys::default().with(VerifyingKey::ed25519(id, &public_key(public)?)?);
        let rule = Rule::new(audience).with_skew(verify.skew);
        let verified = match SignedToken::presented(line.as_bytes()) {
            Ok(token) => keys.verify(&token, &rule, now()),
            Err(refusal) => return refused(&refusal),
        };
        return match verified {
            Ok(verified) => {
                let claims = verified.claims();
                print(&format!(
                    "accepted: {} by {}, until {}",
                    claims.subject, claims.issuer, claims.expires.0
                ))
            }
            Err(error) => refused(&error),
        };
    }
    let name = verify.store.as_deref().ok_or("no --store")?;
    let token = match presented(&line) {
        Ok(token) => token,
        Err(refusal) => return refused(&refusal),
    };
    let opened = Opened::open(name, verify.pepper_file.as_deref()).await?;
    if !matches!(opened, Opened::Hashes { .. }) {
        return match in_file(&opened, &token)? {
            Some(_) => print("accepted"),
            None => refused(&Refusal::Unknown),
        };
    }
    let Hashed { store, hash } = opened.hashed(&token)?;
    let context = VerifyContext {
        audience: verify.audience.as_deref(),
        ..VerifyContext::at(now())
    };
    match store.check(&hash, context).await {
        Ok(grant) => print(&format!("accepted: {}, until {}", grant.console, grant.window().1.0)),
        Err(StoreError::Refused(refusal)) => refused(&refusal),
        Err(error) => Err(error.into()),
    }
}

async fn resolve(resolve: &Resolve) -> Result<u8> {
    let token = match presented(&line()?) {
        Ok(token) => token,
        Err(refusal) => return refused(&refusal),
    };
    let opened = Opened::open(&resolve.place.store, resolve.place.pepper_file.as_deref()).await?;
    if !matches!(opened, Opened::Hashes { .. }) {
        if resolve.redeem {
            return Err("a token file counts no uses".into());
        }
        let Some(target) = in_file(&opened, &token)? else {
            return refused(&Refusal::Unknown);
        };
        // A file does not say what is there.
        let grant = Grant::new(target, ConsoleType::NoVnc, now(), 0);
        return print(&answer(&grant, resolve.form)?);
    }
    let Hashed { store, hash } = opened.hashed(&token)?;
    let context = VerifyContext {
        audience: resolve.audience.as_deref(),
        ..VerifyContext::at(now())
    };
    let mut checked = store.check(&hash, context).await;
    // An answer that cannot be written should cost no use.
    let text = match &checked {
        Ok(grant) => answer(grant, resolve.form)?,
        Err(_) => Zeroizing::default(),
    };
    if let (true, Ok(grant)) = (resolve.redeem, &checked) {
        let attempt = AttemptId(*random::<16>()?);
        let step = match grant.scope {
            Scope::SpiceSession => Transition::Claim(attempt),
            _ => Transition::Redeem(attempt),
        };
        checked = store.apply(&hash, context, step).await.map(|admitted| admitted.grant);
    }
    match checked {
        Ok(_) => print(&text),
        Err(StoreError::Refused(refusal)) => refused(&refusal),
        Err(error) => Err(error.into()),
    }
}

fn answer(grant: &Grant, form: Form) -> Result<Zeroizing<String>> {
    Ok(match form {
        Form::Text => Zeroizing::new(match &grant.target {
            Target::Host { host, port, tls_port } => match port.or(*tls_port) {
                Some(port) if host.contains(':') => format!("[{host}]:{port}"),
                Some(port) => format!("{host}:{port}"),
                None => host.clone(),
            },
            Target::Internal { host, port, .. } => format!("{host}:{port}"),
            Target::Unix { path } => path.clone(),
            _ => return Err("a target of another kind".into()),
        }),
        Form::Nova => ShowAnswer::of(grant)?.to_json(Microversion::V2_99)?,
        Form::Websockify => websockify::to_json(&grant.target)?,
        Form::Libvirt => Answer {
            kind: match grant.console.protocol() {
                Protocol::Vnc => Kind::Vnc,
                Protocol::Spice => Kind::Spice,
                Protocol::Serial => Kind::Serial,
                other => return Err(format!("libvirt-console-proxy has no {other}").into()),
            },
            target: grant.target.clone(),
            insecure: false,
            password: None,
        }
        .to_json()?,
    })
}

/// A token, or the one in a URL.
fn presented(line: &str) -> std::result::Result<Secret, Refusal> {
    if !line.contains("://") {
        return Secret::presented(line.as_bytes());
    }
    let found = place::query(line).map_err(|_| Refusal::Malformed)?;
    if let Some(found) = found {
        return found.secret();
    }
    // noVNC has it one level deeper.
    let nested = line.split(['?', '&', '#']).find_map(|pair| pair.strip_prefix("path="));
    let nested = nested.ok_or(Refusal::Malformed)?;
    let inner = place::query(&format!("/?token={nested}"))
        .map_err(|_| Refusal::Malformed)?
        .ok_or(Refusal::Malformed)?;
    let path = std::str::from_utf8(inner.expose()).map_err(|_| Refusal::Malformed)?;
    place::query(path).ok().flatten().ok_or(Refusal::Malformed)?.secret()
}

/// Prints the inner reason: the caller of this tool is no peer.
fn refused(error: &dyn Error) -> Result<u8> {
    println!("refused: {error}");
    Ok(REFUSED)
}

/// All that an error tells: its text, and those of its sources that are not in it.
fn told(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        source = error.source();
    }
    told
}

/// The first line of standard input.
fn line() -> Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(LINE as usize));
    io::stdin().lock().take(LINE).read_line(&mut line)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned()))
}

fn print(text: &str) -> Result<u8> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(0)
}

fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixSeconds(since.map_or(0, |since| since.as_secs()))
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(bytes)
}

/// The key from its hexadecimal digits.
fn public_key(digits: &str) -> Result<[u8; 32]> {
    let bytes = base16ct::mixed::decode_vec(digits).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "--public-key: not 64 hexadecimal digits".into())
}
