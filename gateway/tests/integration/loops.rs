//! An upstream that is the gateway itself: a request comes back a few times, and others do not notice.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Gateway, echo, eventually};

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

/// A gateway whose upstream `own` is itself, with these routes.
async fn turned_back(routes: &str) -> Gateway {
    let (balancer, own) = Balancer::bind().await;
    let gateway = Gateway::start(&format!("[upstreams.own]\nendpoints = ['{own}']\n\n{routes}\n")).await;
    balancer.pass_on_to(gateway.address);
    gateway
}

#[tokio::test]
async fn an_aggregate_that_leads_to_itself_ends_before_it_has_grown() {
    let part = |name: &str| format!("[[aggregates.parts]]\nname = '{name}'\nupstream = 'own'\npath = '/l/{name}'\n");
    let parts = ["1", "2", "3"].map(part).concat();
    let gateway = turned_back(&format!("[[aggregates]]\nname = 'all'\npath = '/l/{{id}}'\n{parts}")).await;
    gateway.get("/l/0").await;
    // Three of the first, and three of each of these, which are refused.
    let records = gateway.records(13).await;
    let refused = records.iter().filter(|record| record["code"] == "request_loop");
    assert_eq!((records.len(), refused.count()), (13, 9));
    gateway.at_rest().await;
    assert_eq!(gateway.records(13).await.len(), 13, "nothing comes behind them");
}

#[tokio::test]
async fn a_batch_that_leads_to_itself_ends_at_its_second_pass() {
    let batch = "[[batches]]\nname = 'items'\npath = '/items/{id}'\nupstream = 'own'\nwindow = '1ms'\n\
                 request = { method = 'GET', path = '/items/{ids}' }\nresponse = { items = '/items', key = '/id' }\n";
    let gateway = turned_back(batch).await;
    gateway.get("/items/1").await;
    let records = gateway.records(3).await;
    let refused = records.iter().filter(|record| record["code"] == "request_loop");
    assert_eq!((records.len(), refused.count()), (3, 1));
}

#[tokio::test]
async fn what_goes_in_a_circle_is_copied_no_more() {
    let shadow = echo().await;
    let shadowed = format!(
        "[upstreams.shadow]\nendpoints = ['{}']\n\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'own'\n\
         mirror = {{ upstream = 'shadow' }}\n",
        shadow.addr()
    );
    let gateway = turned_back(&shadowed).await;
    assert_eq!(gateway.get("/a").await.status, 508);
    eventually("the first passes are copied", || shadow.counters().requests == 2).await;
    gateway.at_rest().await;
    assert_eq!(shadow.counters().requests, 2, "and no other");
}
