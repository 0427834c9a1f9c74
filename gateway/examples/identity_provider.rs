//! A provider of identity of the program's own: session ids, which its own table knows.
//!
//! `cargo run --example identity_provider -- http://127.0.0.1:9001` serves on 127.0.0.1:8080 as `gateway run` does.

use std::collections::HashMap;
use std::time::Duration;

use gateway::prelude::*;

/// Who has which session. A real one would ask a database, and say `Denied::Unavailable` where it does not answer.
struct Sessions(HashMap<&'static str, (&'static str, &'static [&'static str])>);

impl IdentityProvider for Sessions {
    async fn identify(&self, credential: &str) -> Result<Granted, Denied> {
        let (subject, scopes) = self.0.get(credential).ok_or(Denied::Invalid)?;
        let granted = Granted::to(*subject).claim("tenant", "acme").good_for(Duration::from_secs(10));
        Ok(scopes.iter().fold(granted, |granted, scope| granted.scope(*scope)))
    }
}

/// The gateway: `upstream` is told who asks, and does not see the session.
pub(crate) fn program(upstream: &str, listen: &str) -> Builder {
    let sessions: HashMap<_, (_, &[_])> =
        HashMap::from([("s-1", ("ada", &["orders:read"][..])), ("s-2", ("bob", &[][..]))]);
    let text = format!(
        r#"
        [admin]
        address = ""

        [[listeners]]
        address = "{listen}"

        [telemetry.access_log]
        output = "off"

        [identity]
        claims = {{ "x-auth-tenant" = "tenant" }}

        [identity.providers.sessions]
        kind = "custom"
        name = "sessions"
        header = "x-session"

        [[routes]]
        path = "/orders/{{*rest}}"
        upstream = "{upstream}"
        auth = {{ providers = ["sessions"], scopes = ["orders:read"] }}
        "#
    );
    Gateway::builder().config_text(text).identity("sessions", Sessions(sessions))
}

#[tokio::main]
#[allow(dead_code, reason = "the test that runs this example calls `program`")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upstream = std::env::args().nth(1).ok_or("the upstream's URL is needed")?;
    Ok(program(&upstream, "127.0.0.1:8080").run().await?)
}
