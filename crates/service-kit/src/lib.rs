//! What every Frontrow service does alike: configuration, telemetry, health, gRPC, drain.
