-- The port through which every deadline is decided: Postgres' time, which tests can step.
-- In production the step is zero and nothing ever writes it.
CREATE TABLE IF NOT EXISTS clock_step (
    single_row boolean  PRIMARY KEY DEFAULT true CONSTRAINT clock_step_is_one_row CHECK (single_row),
    step       interval NOT NULL DEFAULT '0'
);
INSERT INTO clock_step DEFAULT VALUES ON CONFLICT DO NOTHING;

-- In PL/pgSQL, which keeps the plan of its statement; a function in SQL is planned in every statement that calls it.
CREATE OR REPLACE FUNCTION frontrow_now() RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $$
DECLARE
    stepped interval;
BEGIN
    SELECT step INTO stepped FROM clock_step;
    RETURN statement_timestamp() + stepped;
END
$$;
