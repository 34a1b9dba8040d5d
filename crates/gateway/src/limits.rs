//! How often places in line may be asked for: by one user, and from one address.
//!
//! Counted here, in memory: a count that replicas shared would cost every join a call, and a join is cheap. So each gateway
//! counts what it sees itself, and forgets it when it stops. What is counted is asking, whether it gives a new place or
//! the one that there is.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use service_kit::problem::Problem;
use tokio_util::sync::CancellationToken;
use vocabulary::{ProblemCode, UserId};

use crate::problem::ApiProblem;

/// Who has asked little has nothing to be remembered for after seconds, so what is kept is what came in between.
const FORGET_EVERY: Duration = Duration::from_secs(5);
/// What one customer of a provider has to choose addresses from (RFC 6177).
const IPV6_NETWORK: u128 = u128::MAX << 64;

/// How many joins a minute; 0 = any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinLimitsConfig {
    /// By one user.
    pub per_user: u32,
    /// From one IPv4 address, or one /64 network of IPv6.
    pub per_address: u32,
}

/// What joins were asked for lately.
pub(crate) struct JoinLimits<C: Clock = DefaultClock> {
    users: Option<Limiter<UserId, C>>,
    addresses: Option<Limiter<IpAddr, C>>,
}

impl<C: Clock + Clone + Default> JoinLimits<C> {
    pub(crate) fn new(config: JoinLimitsConfig) -> Self {
        Self::by_clock(config, &C::default())
    }
}

impl<C: Clock + Clone> JoinLimits<C> {
    fn by_clock(config: JoinLimitsConfig, clock: &C) -> Self {
        Self {
            users: Limiter::new("user", config.per_user, clock),
            addresses: Limiter::new("address", config.per_address, clock),
        }
    }

    /// Counts a join by a user.
    pub(crate) fn by_user(&self, user: UserId) -> Result<(), ApiProblem> {
        self.users.as_ref().map_or(Ok(()), |users| users.count(&user))
    }

    /// Counts a join from an address.
    pub(crate) fn by_address(&self, client: IpAddr) -> Result<(), ApiProblem> {
        let network = match client.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK).into(),
            address @ IpAddr::V4(_) => address,
        };
        let addresses = self.addresses.as_ref();
        addresses.map_or(Ok(()), |addresses| addresses.count(&network))
    }

    /// Forgets whom nothing is counted against any more, until `stop`.
    pub(crate) async fn keep_small(&self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(FORGET_EVERY))
            .await
            .is_some()
        {
            self.forget();
        }
    }

    fn forget(&self) {
        self.users.iter().for_each(Limiter::forget);
        self.addresses.iter().for_each(Limiter::forget);
    }
}

/// One count a key.
struct Limiter<K: Hash + Eq + Clone, C: Clock> {
    name: &'static str,
    limiter: RateLimiter<K, DashMapStateStore<K>, C, NoOpMiddleware<C::Instant>>,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Limiter<K, C> {
    fn new(name: &'static str, per_minute: u32, clock: &C) -> Option<Self> {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute)?);
        Some(Self {
            name,
            limiter: RateLimiter::dashmap_with_clock(quota, clock.clone()),
        })
    }

    fn count(&self, key: &K) -> Result<(), ApiProblem> {
        self.limiter.check_key(key).map_err(|refused| {
            metrics::counter!("gateway_joins_refused_total", "limit" => self.name).increment(1);
            let detail = format!("Too many joins of this {} in a minute", self.name);
            let problem = Problem::new(ProblemCode::TooManyRequests, detail).with("limit", self.name);
            problem
                .retry_after(refused.wait_time_from(self.limiter.clock().now()))
                .into()
        })
    }

    fn forget(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits(per_user: u32, per_address: u32) -> (JoinLimits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let config = JoinLimitsConfig {
            per_user,
            per_address,
        };
        (JoinLimits::by_clock(config, &clock), clock)
    }

    fn wait(refused: Result<(), ApiProblem>) -> Duration {
        let problem = refused.unwrap_err().0;
        assert_eq!(problem.code, ProblemCode::TooManyRequests);
        problem.retry_after.unwrap()
    }

    #[test]
    fn a_minutes_joins_may_come_at_once_and_the_next_when_its_time_has_come() {
        let (limits, clock) = limits(30, 0);
        let (user, other) = (UserId::new(), UserId::new());
        for _ in 0..30 {
            limits.by_user(user).unwrap();
        }
        assert_eq!(wait(limits.by_user(user)), SECOND * 2);
        limits.by_user(other).unwrap();
        clock.advance(SECOND);
        // Asking too early costs nothing.
        assert_eq!(wait(limits.by_user(user)), SECOND);
        clock.advance(SECOND);
        limits.by_user(user).unwrap();
        assert_eq!(wait(limits.by_user(user)), SECOND * 2);
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let (limits, _) = limits(0, 1);
        let from = |address: &str| limits.by_address(address.parse().unwrap());
        from("2001:db8:0:1::1").unwrap();
        wait(from("2001:db8:0:1:ffff::2"));
        from("2001:db8:0:2::1").unwrap();
        from("192.0.2.1").unwrap();
        wait(from("::ffff:192.0.2.1"));
        from("192.0.2.2").unwrap();
    }

    #[test]
    fn a_limit_of_0_is_none() {
        let (limits, _) = limits(0, 0);
        let user = UserId::new();
        for _ in 0..10_000 {
            limits.by_user(user).unwrap();
            limits.by_address([192, 0, 2, 1].into()).unwrap();
        }
    }

    #[test]
    fn who_asked_little_is_forgotten_and_who_asked_too_much_is_not() {
        let (limits, clock) = limits(30, 600);
        let busy = UserId::new();
        for _ in 0..30 {
            limits.by_user(busy).unwrap();
        }
        for host in 0..10_000_u32 {
            limits.by_user(UserId::new()).unwrap();
            limits.by_address(IpAddr::V4(host.into())).unwrap();
        }
        clock.advance(FORGET_EVERY);
        limits.forget();
        let kept = |limits: &JoinLimits<_>| {
            let users = limits.users.as_ref().unwrap().limiter.len();
            (users, limits.addresses.as_ref().unwrap().limiter.len())
        };
        assert_eq!(kept(&limits), (1, 0));
        for _ in 0..2 {
            limits.by_user(busy).unwrap();
        }
        wait(limits.by_user(busy));
        clock.advance(SECOND * 65);
        limits.forget();
        assert_eq!(kept(&limits), (0, 0));
    }
}
