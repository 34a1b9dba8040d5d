//! The gRPC contracts of all Frontrow services, generated from proto/.
