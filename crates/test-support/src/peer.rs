//! A peer service that a test plays itself.

use std::net::Ipv4Addr;

use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// Serves `routes` for as long as the test's runtime lives; answers the URL for the service under test.
pub async fn serve_grpc(routes: Routes) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(
        Server::builder()
            .add_routes(routes)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))),
    );
    format!("http://{addr}")
}
