//! Chains of services behind the gateway, each of which checks the passport by itself and passes it on as its own proof
//! (security.md, I): who asked at the edge is known, and proven, at the end of eight hops.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway::jws::{Algorithm, KeySet, Signer, verify};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Client, Gateway, Issuer, now};

const LONGEST: usize = 8;

/// What a service of the chain is.
struct Service {
    name: String,
    /// The gateway's public keys.
    keys: KeySet,
    /// Where the gateway is, and the path of the next service; `None` at the end.
    next: Option<String>,
    gateway: OnceLock<SocketAddr>,
}

impl Service {
    /// Whom a passport is of, if it holds and is for this service.
    fn subject(&self, passport: &str) -> Option<String> {
        let verified = verify(passport.as_bytes(), &self.keys, &[Algorithm::EdDsa], 8192).ok()?;
        let claims: Value = serde_json::from_slice(&verified.payload).ok()?;
        let holds = claims["iss"] == "gateway" && claims["aud"] == *self.name && claims["exp"].as_i64()? > now();
        claims["sub"].as_str().filter(|_| holds).map(str::to_owned)
    }

    /// What it answers: its name and whom it served, and what the next one says.
    async fn answer(&self, passport: &str) -> (u16, String) {
        let Some(subject) = self.subject(passport) else { return (401, format!("{} trusts nobody", self.name)) };
        let own = format!("{}:{subject}", self.name);
        let Some(next) = &self.next else { return (200, own) };
        let mut client = Client::connect(*self.gateway.get().unwrap()).await;
        let request = format!(
            "GET {next} HTTP/1.1\r\nhost: a\r\nx-auth-subject: root\r\nauthorization: Bearer {passport}\r\n\r\n"
        );
        let answer = client.ask(request).await;
        (answer.status, format!("{own} {}", String::from_utf8_lossy(&answer.body)))
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut passport, mut line) = (String::new(), String::new());
            loop {
                line.clear();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                let Some((name, value)) = line.split_once(':') else {
                    if line == "\r\n" {
                        break;
                    }
                    continue;
                };
                if name.eq_ignore_ascii_case("x-auth-passport") {
                    value.trim().clone_into(&mut passport);
                }
            }
            let (status, body) = self.answer(&passport).await;
            let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// A gateway in front of so many services in a row, and who signs tokens of the outer world.
async fn chain(length: usize) -> (Gateway, Issuer) {
    let der = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passport.pem");
    std::fs::write(&file, &pem).unwrap();
    let set = json!({ "keys": [Signer::from_pem(&pem).unwrap()[0].jwk()] });
    let (issuer, mut services) = (Issuer::new("k1"), Vec::new());
    let mut text = format!("[identity]\npassport = {{ key = '{}' }}\n{}", file.display(), issuer.provider(""));
    let names: Vec<String> = (1..=length).map(|hop| format!("'s{hop}'")).collect();
    text += &format!(
        "[identity.providers.hops]\nkind = 'jwt'\nissuer = 'gateway'\naudiences = [{}]\nalgorithms = ['EdDSA']\n\
         typ = ['passport+jwt']\njwks = {{ inline = '{set}' }}\n",
        names.join(", ")
    );
    for hop in 1..=length {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Arc::new(Service {
            name: format!("s{hop}"),
            keys: KeySet::from_json(&set).unwrap().0,
            next: (hop < length).then(|| format!("/s{}", hop + 1)),
            gateway: OnceLock::new(),
        });
        // The first is for the world; each other one for the service before it alone.
        let auth = match hop {
            1 => "{ providers = ['main'] }".to_owned(),
            _ => format!("{{ providers = ['hops'], claims = {{ aud = 's{}' }} }}", hop - 1),
        };
        text += &format!(
            "[upstreams.s{hop}]\nendpoints = ['{}']\n[[routes]]\nname = 's{hop}'\npath = '/s{hop}'\n\
             upstream = 's{hop}'\nauth = {auth}\n",
            listener.local_addr().unwrap()
        );
        let accepting = Arc::clone(&service);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&accepting).serve(stream));
            }
        });
        services.push(service);
    }
    let gateway = Gateway::start(&text).await;
    services.iter().for_each(|service| service.gateway.set(gateway.address).unwrap());
    (gateway, issuer)
}

fn request(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-auth-passport: forged\r\nauthorization: Bearer {token}\r\n\r\n")
}

#[tokio::test]
async fn who_asks_is_proven_at_every_hop_of_chains_of_one_to_eight() {
    for length in 1..=LONGEST {
        let (gateway, issuer) = chain(length).await;
        for subject in ["ada", "bob"] {
            let token = issuer.token(&json!({ "sub": subject }));
            let answer = gateway.ask(request("/s1", &token)).await;
            let path: Vec<String> = (1..=length).map(|hop| format!("s{hop}:{subject}")).collect();
            assert_eq!((answer.status, String::from_utf8_lossy(&answer.body).into_owned()), (200, path.join(" ")));
        }
    }
}

#[tokio::test]
async fn no_hop_takes_what_was_meant_for_another() {
    let (gateway, issuer) = chain(3).await;
    let token = issuer.token(&json!({}));
    for inner in ["/s2", "/s3"] {
        assert_eq!(gateway.ask(request(inner, &token)).await.status, 401, "an outer token opens no inner route");
    }
    let forged = issuer.sign(
        &json!({ "alg": "ES256", "kid": "k1", "typ": "passport+jwt" }).to_string(),
        &json!({ "iss": "gateway", "aud": "s1", "sub": "root", "exp": now() + 30 }).to_string(),
    );
    assert_eq!(gateway.ask(request("/s2", &forged)).await.status, 401, "nor one that another key signed");
}
