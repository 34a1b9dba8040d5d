//! The address that a request comes from: of the connection, or, behind proxies that are trusted, as they say.
//!
//! Every proxy appends whom it was called by. What stands to the left of the first address that no trusted proxy
//! vouches for was written by the client, and is not read.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;
use vocabulary::ProblemCode;

use crate::problem::ApiProblem;
use crate::state::App;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Networks whose proxies say whom they were called by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::default());
        }
        let networks = text.split(',').map(|network| network.trim().parse());
        let networks: Result<_, ipnet::AddrParseError> = networks.collect();
        networks
            .map(Self)
            .map_err(|_| "expected none, or networks like 10.0.0.0/8, with commas between")
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let networks: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&networks.join(","))
    }
}

/// The header that trusted proxies write. Only one is read: the other would be the client's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl FromStr for ProxyHeader {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err("expected x-forwarded-for or forwarded"),
        }
    }
}

impl fmt::Display for ProxyHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        })
    }
}

/// Which proxies are trusted, and where they say whom they were called by.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    /// Where they are.
    pub networks: Networks,
    /// What they write.
    pub header: ProxyHeader,
}

impl TrustedProxies {
    /// The last address on the way here that is no trusted proxy's.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let name = match self.header {
            ProxyHeader::XForwardedFor => X_FORWARDED_FOR,
            ProxyHeader::Forwarded => header::FORWARDED,
        };
        let lines = headers.get_all(name).iter().rev();
        let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        let mut client = peer.to_canonical();
        for hop in hops {
            if !self.networks.contain(client) {
                break;
            }
            let caller = match self.header {
                ProxyHeader::XForwardedFor => address(hop),
                ProxyHeader::Forwarded => forwarded_for(hop),
            };
            // A proxy that does not say whom it was called by is as far as one can see.
            let Some(caller) = caller else { break };
            client = caller.to_canonical();
        }
        client
    }
}

/// An address with or without a port, an IPv6 one in brackets or not.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse()
        .ok()
        .or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// The `for` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs
        .into_iter()
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(node.trim().trim_matches('"'))
}

/// The address that a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub IpAddr);

impl FromRequestParts<App> for ClientAddress {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiProblem> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let ConnectInfo(peer) = peer.ok_or(ProblemCode::Internal)?;
        Ok(Self(app.trusted_proxies.client(peer.ip(), &parts.headers)))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn client(header: ProxyHeader, peer: &str, lines: &[&str]) -> String {
        let proxies = TrustedProxies {
            networks: "10.0.0.0/8, fd00::/8".parse().unwrap(),
            header,
        };
        let name = match header {
            ProxyHeader::XForwardedFor => X_FORWARDED_FOR,
            ProxyHeader::Forwarded => header::FORWARDED,
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name.clone(), line.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[rstest]
    #[case::nobody_between("192.0.2.1", &[], "192.0.2.1")]
    #[case::a_client_that_claims_to_be_another("192.0.2.1", &["203.0.113.9"], "192.0.2.1")]
    #[case::one_proxy("10.0.0.1", &["192.0.2.1"], "192.0.2.1")]
    #[case::one_proxy_over_ipv6("fd00::1", &["2001:db8::1"], "2001:db8::1")]
    #[case::a_mapped_proxy("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1")]
    #[case::two_proxies("10.0.0.1", &["192.0.2.1, 10.0.0.2"], "192.0.2.1")]
    #[case::what_a_client_wrote_before_the_proxy("10.0.0.1", &["203.0.113.9, 10.9.9.9, 192.0.2.1"], "192.0.2.1")]
    #[case::what_a_client_wrote_on_a_line_of_its_own("10.0.0.1", &["203.0.113.9", "192.0.2.1, 10.0.0.2"], "192.0.2.1")]
    #[case::a_port("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1")]
    #[case::a_bracketed_address_with_a_port("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1")]
    #[case::a_proxy_that_does_not_know("10.0.0.1", &["192.0.2.1, unknown"], "10.0.0.1")]
    #[case::a_proxy_that_says_nothing("10.0.0.1", &[], "10.0.0.1")]
    #[case::proxies_all_the_way("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3")]
    fn x_forwarded_for_is_read_from_the_right(
        #[case] peer: &str,
        #[case] lines: &[&str],
        #[case] expected: &str,
    ) {
        assert_eq!(client(ProxyHeader::XForwardedFor, peer, lines), expected);
    }

    #[rstest]
    #[case::plain("10.0.0.1", &["for=192.0.2.1"], "192.0.2.1")]
    #[case::with_all_its_parts("10.0.0.1", &["For=203.0.113.9, proto=https;for=\"[2001:db8::1]:4711\";by=10.0.0.1"], "2001:db8::1")]
    #[case::hidden("10.0.0.1", &["for=192.0.2.1, for=_gazonk"], "10.0.0.1")]
    #[case::an_open_quote_of_the_client("10.0.0.1", &["for=\"203.0.113.9, for=192.0.2.1"], "192.0.2.1")]
    #[case::untrusted("192.0.2.1", &["for=203.0.113.9"], "192.0.2.1")]
    fn forwarded_is_read_from_the_right(#[case] peer: &str, #[case] lines: &[&str], #[case] expected: &str) {
        assert_eq!(client(ProxyHeader::Forwarded, peer, lines), expected);
    }

    #[test]
    fn only_the_header_that_the_proxies_write_is_read() {
        let proxies = TrustedProxies {
            networks: "10.0.0.0/8".parse().unwrap(),
            header: ProxyHeader::Forwarded,
        };
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, "203.0.113.9".parse().unwrap());
        headers.insert(header::FORWARDED, "for=192.0.2.1".parse().unwrap());
        let client = proxies.client("10.0.0.1".parse().unwrap(), &headers);
        assert_eq!(client.to_string(), "192.0.2.1");
    }

    #[test]
    fn networks_are_none_or_listed() {
        assert_eq!("none".parse(), Ok(Networks::default()));
        let two = "10.0.0.0/8, fd00::/8".parse::<Networks>().unwrap();
        assert_eq!(two.to_string(), "10.0.0.0/8,fd00::/8");
        for wrong in ["", "10.0.0.1", "10.0.0.0/33", "proxy.example"] {
            assert!(wrong.parse::<Networks>().is_err(), "{wrong}");
        }
    }
}
