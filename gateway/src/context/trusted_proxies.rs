//! Which peers are proxies of ours (`[server] trusted_proxies`), compiled to masks and compares.

use std::net::IpAddr;

use ipnet::IpNet;

/// A set of networks. The empty set costs one branch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl TrustedProxies {
    /// Compiles the networks.
    pub fn new(networks: &[IpNet]) -> Self {
        let mut set = Self::default();
        for network in networks {
            match network {
                IpNet::V4(net) => set.v4.push((net.network().to_bits(), net.netmask().to_bits())),
                IpNet::V6(net) => set.v6.push((net.network().to_bits(), net.netmask().to_bits())),
            }
        }
        set
    }

    /// Whether nobody is trusted.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether this address belongs to a trusted network. An IPv4 address that came in IPv6 clothes
    /// (`::ffff:192.0.2.1`) counts as IPv4.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        if self.is_empty() {
            return false;
        }
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.iter().any(|(net, mask)| v4.to_bits() & mask == *net),
            IpAddr::V6(v6) => self.v6.iter().any(|(net, mask)| v6.to_bits() & mask == *net),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let set = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap(), "fd00::1/16".parse().unwrap()]);
        for (address, expected) in [
            ("10.1.2.3", true),
            ("11.0.0.0", false),
            ("::ffff:10.9.9.9", true),
            ("fd00:1::", true),
            ("fd01::", false),
            ("::1", false),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), expected, "{address}");
        }
        assert!(!TrustedProxies::default().contains("10.0.0.1".parse().unwrap()));
        assert!(TrustedProxies::new(&["0.0.0.0/0".parse().unwrap()]).contains("1.2.3.4".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn it_agrees_with_ipnet(
            net in any::<u32>(), bits in 0_u8..=32, address in any::<u32>(), near in any::<bool>(),
        ) {
            let network = IpNet::new(std::net::Ipv4Addr::from_bits(net).into(), bits).unwrap();
            let address = if near { net ^ (address >> bits.min(31)) } else { address };
            let address = IpAddr::from(std::net::Ipv4Addr::from_bits(address));
            prop_assert_eq!(TrustedProxies::new(&[network]).contains(address), network.contains(&address));
        }
    }
}
