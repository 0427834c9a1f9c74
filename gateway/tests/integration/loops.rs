//! An upstream that is the gateway itself: a request comes back a few times, and others do not notice.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Gateway, echo};

/// So often one request is taken, its end included.
const TAKEN: usize = 11;

/// A balancer that passes bytes on; where to is said later.
struct Balancer(TcpListener);

impl Balancer {
    async fn bind() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self(listener), address)
    }

    /// Passes on to whom this is, until the test ends.
    fn pass_on_to(self, address: SocketAddr) {
        tokio::spawn(async move {
            loop {
                let (mut front, _) = self.0.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut behind = TcpStream::connect(address).await.unwrap();
                    let _ = copy_bidirectional(&mut front, &mut behind).await;
                });
            }
        });
    }
}

/// A gateway with a route to itself, `/self`, by a balancer, and one to a service, `/service`.
async fn circle(server: &str, route: &str) -> Gateway {
    let (balancer, own) = Balancer::bind().await;
    let service = echo().await;
    let text = format!(
        "[server]\n{server}\n\n[upstreams.own]\nendpoints = ['{own}']\n\n\
         [upstreams.service]\nendpoints = ['{}']\n\n\
         [[routes]]\nname = 'self'\npath = '/self'\nupstream = 'own'\n{route}\n\n\
         [[routes]]\nname = 'service'\npath = '/service'\nupstream = 'service'\n",
        service.addr()
    );
    let gateway = Gateway::start(&text).await;
    balancer.pass_on_to(gateway.address);
    assert_eq!(gateway.get("/service").await.status, 200);
    gateway
}

#[tokio::test]
async fn a_request_that_goes_in_a_circle_comes_to_an_end() {
    for (server, route) in [
        ("", ""),
        // Each pass is one more element then.
        ("trusted_proxies = ['127.0.0.0/8']", ""),
        // The headers are written in another way.
        ("", "request_headers = { set = { x-edited = '1' } }"),
    ] {
        let gateway = circle(server, route).await;
        let answer = gateway.get("/self").await;
        assert_eq!(answer.status, 508, "{server} {route}");
        assert_eq!(answer.json()["code"], "request_loop", "as the last one was told, whatever the others are called");
        let records = gateway.records(TAKEN + 1).await;
        let refused = records.iter().filter(|record| record["code"] == "request_loop");
        assert_eq!(refused.count(), 1, "the last one, before any endpoint is asked");
        let in_circle = records.iter().filter(|record| record["status"] == 508);
        assert_eq!(in_circle.count(), TAKEN);
    }
}
