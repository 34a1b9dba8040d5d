//! Further replicas of a service that runs.

use std::net::{Ipv4Addr, SocketAddr};

use super::{Node, System};
use crate::error::Result;
use crate::topology::Role;

impl System {
    /// Starts a further replica of a service, on the same stores and with the same secrets, and waits until it is ready.
    /// From then on it goes by `name` wherever a service is named. `env` goes over what the service has.
    pub async fn start_replica(
        &mut self,
        service: &str,
        name: &'static str,
        env: &[(&str, String)],
    ) -> Result<()> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let first = self.node(service)?;
        let mut replica = Node {
            name,
            service: first.service,
            program: first.program.clone(),
            env: first.env.clone(),
            health: (local(self.home.port(&format!("{name}-admin"))?), first.health.1),
            grpc_addr: None,
            database_url: first.database_url.clone(),
            process: None,
        };
        replica.set_env("ADMIN_ADDR", &replica.health.0.to_string());
        if first.grpc_addr.is_some() {
            let addr = local(self.home.port(&format!("{name}-grpc"))?);
            replica.grpc_addr = Some(addr);
            replica.set_env("GRPC_ADDR", &addr.to_string());
        }
        if first.service.role == Role::Edge {
            let addr = local(self.home.port(&format!("{name}-http"))?);
            replica.set_env("HTTP_ADDR", &addr.to_string());
        }
        for (variable, value) in env {
            replica.set_env(variable, value);
        }
        self.nodes.insert(name, replica);
        self.start_service(name).await
    }
}
