-- One database and one role for each service, both with the service's name; a role owns its database and reaches no
-- other. The image runs this once, on an empty data folder. A password that is not in the environment stops it.

\set ON_ERROR_STOP on

\getenv password AUTH_DATABASE_PASSWORD
CREATE ROLE auth LOGIN PASSWORD :'password';
CREATE DATABASE auth OWNER auth;
REVOKE ALL ON DATABASE auth FROM PUBLIC;
\unset password

\getenv password QUEUE_DATABASE_PASSWORD
CREATE ROLE queue LOGIN PASSWORD :'password';
CREATE DATABASE queue OWNER queue;
REVOKE ALL ON DATABASE queue FROM PUBLIC;
\unset password

\getenv password CONCERT_DATABASE_PASSWORD
CREATE ROLE concert LOGIN PASSWORD :'password';
CREATE DATABASE concert OWNER concert;
REVOKE ALL ON DATABASE concert FROM PUBLIC;
\unset password

\getenv password BOOKING_DATABASE_PASSWORD
CREATE ROLE booking LOGIN PASSWORD :'password';
CREATE DATABASE booking OWNER booking;
REVOKE ALL ON DATABASE booking FROM PUBLIC;
\unset password

\getenv password PAYMENT_DATABASE_PASSWORD
CREATE ROLE payment LOGIN PASSWORD :'password';
CREATE DATABASE payment OWNER payment;
REVOKE ALL ON DATABASE payment FROM PUBLIC;
