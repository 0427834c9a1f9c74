//! The mocks' topology file for a scenario's services.

use super::model::MockPart;

/// The file that `mocks --config` reads.
#[must_use]
pub fn topology(mocks: &[MockPart]) -> String {
    let mut text = String::from("# Written by `sim run`.\n");
    for mock in mocks {
        text += &format!("\n[services.{}]\nendpoints = {}\n", mock.name, mock.endpoints);
        if let Some(time) = &mock.service_time {
            text += &format!("service_time = {}\n", toml::Value::String(time.clone()));
        }
        if mock.servers > 0 {
            text += &format!("servers = {}\n", mock.servers);
        }
        if !mock.calls.is_empty() {
            let to = mock.calls.iter().cloned().map(toml::Value::String).collect();
            text += &format!("\n[[services.{}.calls]]\nto = {}\n", mock.name, toml::Value::Array(to));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mocks_read_it() {
        let mock = |name: &str, endpoints| MockPart {
            name: name.to_owned(),
            endpoints,
            service_time: None,
            servers: 0,
            calls: Vec::new(),
        };
        let calling = MockPart { calls: vec!["/users/7".to_owned()], ..mock("orders", 3) };
        let text = topology(&[mock("users", 1), calling]);
        let mocks = mocks::Builder::from_toml(&text).unwrap().launch().unwrap();
        assert_eq!((mocks.addrs().len(), mocks.addrs_of("orders").len()), (4, 3));
        assert_eq!(mocks.addrs_of("users"), mocks.addrs()[..1], "services keep the file's order");
    }
}
