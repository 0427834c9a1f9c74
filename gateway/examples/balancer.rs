//! A balancer of the program's own: endpoints of this zone first, as long as they have room.
//!
//! `cargo run --example balancer -- 127.0.0.1:9001 127.0.0.1:9002` serves on 127.0.0.1:8080 as `gateway run` does; the
//! first address is the near one.

use gateway::prelude::*;

/// Endpoints that are near, by their addresses, and how many requests each of them may have in flight.
struct Near {
    addresses: Vec<String>,
    room: u32,
}

impl BalancePolicy for Near {
    fn pick(&self, candidates: &Candidates<'_>) -> Option<usize> {
        let is_near = |place: &usize| self.addresses.iter().any(|near| near == candidates.address(*place));
        let has_room = |place: &usize| candidates.in_flight(*place) < self.room;
        let near = candidates.eligible().filter(is_near).filter(has_room);
        // The one with the fewest. Where none has room, the gateway's own policy picks among all.
        near.min_by_key(|place| candidates.in_flight(*place))
    }
}

/// The gateway: requests go to `near`, and to `far` when that is busy or does not answer.
pub(crate) fn program(near: &str, far: &str, listen: &str) -> Builder {
    let text = format!(
        r#"
        [admin]
        address = ""

        [[listeners]]
        address = "{listen}"

        [telemetry.access_log]
        output = "off"

        [upstreams.service]
        endpoints = [{{ address = "{far}" }}, {{ address = "{near}" }}]
        balance = {{ policy = "custom", name = "near" }}

        [[routes]]
        path = "/{{*rest}}"
        upstream = "service"
        "#
    );
    Gateway::builder().config_text(text).balancer("near", Near { addresses: vec![near.to_owned()], room: 2 })
}

#[tokio::main]
#[allow(dead_code, reason = "the test that runs this example calls `program`")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut addresses = std::env::args().skip(1);
    let (Some(near), Some(far)) = (addresses.next(), addresses.next()) else {
        return Err("two addresses are needed".into());
    };
    Ok(program(&near, &far, "127.0.0.1:8080").run().await?)
}
