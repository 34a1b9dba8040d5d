-- Waiting rooms, who was let in, and what must outlive Redis: numbers reserved, numbers called, pages taken.

-- One line per concert. Redis keeps the line itself; this row keeps what it may never contradict.
CREATE TABLE rooms (
    concert_id       uuid        PRIMARY KEY,
    capacity         integer     NOT NULL,
    admit_per_second integer     NOT NULL,
    -- Nobody is called before; absent = open.
    opens_at         timestamptz,
    -- What the room does once it has opened.
    mode             text        NOT NULL DEFAULT 'OPEN',
    -- Since when it is paused, and for how long in all it was before: its own clock is so far behind.
    paused_at        timestamptz,
    paused_ms        bigint      NOT NULL DEFAULT 0,
    -- Every number up to this one was called. Written before anybody is told.
    serving          bigint      NOT NULL DEFAULT 0,
    -- Every number up to this one was surely given to somebody.
    issued_to        bigint      NOT NULL DEFAULT 0,
    -- Redis gives numbers up to this one; it may have given them or not.
    reserved_to      bigint      NOT NULL DEFAULT 0,
    -- LOBBY: people gather and no number is given. DRAWING: the lobby is closed and nobody is called. LINE: neither.
    stage            text        NOT NULL DEFAULT 'LINE',
    -- Numbers up to this one are drawn among those who gathered; later ones are given in order of arrival.
    drawn_to         bigint      NOT NULL DEFAULT 0,
    -- Which filling of Redis is the valid one. A visit is admitted only under the epoch that counted it.
    epoch            bigint      NOT NULL DEFAULT 0,
    -- Turns that were missed, as Redis last told: it may have counted a few more.
    lapsed           bigint      NOT NULL DEFAULT 0,

    -- A room lets somebody in, and its count fits everywhere.
    CONSTRAINT rooms_capacity_is_bounded CHECK (capacity BETWEEN 1 AND 1000000),
    -- A room moves, and a tick of it stays small.
    CONSTRAINT rooms_pace_is_bounded CHECK (admit_per_second BETWEEN 1 AND 100000),
    -- Only the modes there are.
    CONSTRAINT rooms_mode_is_known CHECK (mode IN ('OPEN', 'PAUSED', 'DRAINING')),
    -- A paused room knows since when, and no other is paused.
    CONSTRAINT rooms_pause_has_a_beginning CHECK ((mode = 'PAUSED') = (paused_at IS NOT NULL)),
    -- A room's clock goes no faster than time.
    CONSTRAINT rooms_pauses_add_up CHECK (paused_ms >= 0),
    -- Turns are missed, never made good.
    CONSTRAINT rooms_lapses_are_counted CHECK (lapsed >= 0),
    -- Only given numbers are called, only reserved numbers are given.
    CONSTRAINT rooms_numbers_are_in_order CHECK (0 <= serving AND serving <= issued_to AND issued_to <= reserved_to),
    -- Only the stages there are.
    CONSTRAINT rooms_stage_is_known CHECK (stage IN ('LOBBY', 'DRAWING', 'LINE')),
    -- While people gather nobody has a number that would be before theirs.
    CONSTRAINT rooms_lobby_gives_no_numbers CHECK (stage <> 'LOBBY' OR reserved_to = 0),
    -- Nobody is called before everybody's number is known.
    CONSTRAINT rooms_draw_before_they_call CHECK (stage = 'LINE' OR serving = 0),
    -- Drawn numbers are given numbers.
    CONSTRAINT rooms_drawn_numbers_are_given CHECK (0 <= drawn_to AND drawn_to <= issued_to)
) WITH (fillfactor = 50);

-- The time by which a room's turns are called and missed: it stands still while the room is paused, so that a pause takes
-- nothing from anybody's turn.
CREATE FUNCTION room_clock(room rooms) RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT coalesce(room.paused_at, frontrow_now()) - make_interval(secs => room.paused_ms::double precision / 1000) $$;

-- The advisory lock of a room's admissions: those who are being let in share it until they are committed; a change of
-- settings, a new epoch and the settling of claims have it alone. Whoever wants it alone is waited for by those who come
-- later: locks of the room's row are shared past who waits, and a crowd would hold an operator's pause up for seconds.
CREATE FUNCTION admission_lock(of_concert uuid) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT hashtextextended('admissions of ' || of_concert::text, 0) $$;

-- The draw of a room that opens later: every step of it is kept before the next is taken, so that whoever goes on after a
-- crash comes to the same order. A draw is never made anew. The room's stage follows it: LOBBY while GATHERING, LINE once
-- OPEN, DRAWING between.
CREATE TABLE draws (
    concert_id       uuid        PRIMARY KEY REFERENCES rooms,
    state            text        NOT NULL DEFAULT 'GATHERING',
    -- Made with the room, shown to nobody before DRAWN; its hash is published from the beginning.
    secret           bytea       NOT NULL,
    commitment       bytea       NOT NULL,
    -- What receipts are signed and salted with, never shown; and the published half of it.
    receipt_secret   bytea       NOT NULL,
    receipt_key      bytea       NOT NULL,
    -- The announced round of a public beacon and when it comes; absent without a beacon.
    beacon_chain     text,
    beacon_round     bigint,
    beacon_at        timestamptz,
    -- How many gathered.
    count            bigint      NOT NULL DEFAULT 0,
    -- Over all of them; and the roots of its chunks, from which every proof is made.
    root             bytea,
    chunk_roots      bytea,
    sealed_at        timestamptz,
    beacon_value     bytea,
    -- Why the beacon has no say.
    operator_trusted text,
    seed             bytea,

    -- Only the states of the machine.
    CONSTRAINT draws_state_is_known CHECK (state IN ('GATHERING', 'CLOSED', 'SEALED', 'DRAWN', 'OPEN')),
    -- What is published is what was committed to.
    CONSTRAINT draws_commit_to_their_secret CHECK (length(secret) = 32 AND commitment = sha256(secret)),
    -- 32 bytes sign, 32 salt.
    CONSTRAINT draws_receipt_keys_are_whole CHECK (length(receipt_secret) = 64 AND length(receipt_key) = 32),
    -- Only the reasons there are.
    CONSTRAINT draws_trust_has_a_reason CHECK (
        operator_trusted IN ('NO_BEACON', 'BEACON_UNAVAILABLE', 'ROOT_TOO_LATE')
    ),
    -- A round is announced whole or not at all.
    CONSTRAINT draws_beacon_is_whole CHECK (
        (beacon_round IS NULL) = (beacon_chain IS NULL) AND (beacon_round IS NULL) = (beacon_at IS NULL)
    ),
    -- The permutation orders so many.
    CONSTRAINT draws_count_is_bounded CHECK (count BETWEEN 0 AND 4294967296),
    -- The root is there from SEALED on.
    CONSTRAINT draws_are_sealed_with_a_root CHECK (
        (state IN ('SEALED', 'DRAWN', 'OPEN')) = (root IS NOT NULL AND chunk_roots IS NOT NULL AND sealed_at IS NOT NULL)
    ),
    -- The seed is there from DRAWN on, and with it either the beacon's value or why it has none.
    CONSTRAINT draws_are_drawn_with_a_seed CHECK (
        CASE WHEN state IN ('DRAWN', 'OPEN')
            THEN seed IS NOT NULL AND (beacon_value IS NULL) = (operator_trusted IS NOT NULL)
            ELSE seed IS NULL AND beacon_value IS NULL AND operator_trusted IS NULL
        END
    )
);
-- The draws that go on.
CREATE INDEX draws_unfinished ON draws (concert_id) WHERE state <> 'OPEN';

-- Who gathered, in order of arrival without a gap. A row is written before its receipt is given, and never deleted.
CREATE TABLE lobby (
    concert_id  uuid        NOT NULL,
    index       bigint      NOT NULL,
    user_id     uuid        NOT NULL,
    -- Stands for the user in what is published.
    commitment  bytea       NOT NULL,
    -- Given up; who comes back before the lobby closes takes the same place.
    left_at     timestamptz,
    -- The number of one who left is over, and the line knows.
    passed_over boolean     NOT NULL DEFAULT false,

    PRIMARY KEY (concert_id, index),
    -- Only where a draw is made.
    CONSTRAINT lobby_is_of_a_draw FOREIGN KEY (concert_id) REFERENCES draws,
    -- Promise 13: nobody is drawn twice.
    CONSTRAINT lobby_user_gathers_once UNIQUE (concert_id, user_id),
    -- The order of arrival begins at 0.
    CONSTRAINT lobby_index_is_positive CHECK (index >= 0),
    -- A SHA-256.
    CONSTRAINT lobby_commitment_is_whole CHECK (length(commitment) = 32),
    -- Only who left is passed over.
    CONSTRAINT lobby_passes_over_who_left CHECK (left_at IS NOT NULL OR NOT passed_over)
);
-- Whose numbers are still to be passed over.
CREATE INDEX lobby_left ON lobby (concert_id, index) WHERE left_at IS NOT NULL AND NOT passed_over;

-- One admitted stay of one user. A place that was given up before its turn leaves a row too, EXPIRED and never
-- admitted, so that its number stays over whatever happens to Redis.
CREATE TABLE visits (
    visit_id         uuid        PRIMARY KEY,
    concert_id       uuid        NOT NULL REFERENCES rooms,
    user_id          uuid        NOT NULL,
    number           bigint      NOT NULL,
    state            text        NOT NULL,
    admitted_at      timestamptz,
    -- When the page ends; it never moves.
    page_ends_at     timestamptz,
    -- A hold is being made: until then the sweep spares the visit.
    hold_lease_until timestamptz,
    ended_at         timestamptz,
    version          bigint      NOT NULL DEFAULT 1,

    -- A number is admitted once, or given up once: the two exclude each other here.
    CONSTRAINT visits_number_is_used_once UNIQUE (concert_id, number),
    -- Only the states of the machine.
    CONSTRAINT visits_state_is_known CHECK (state IN ('PAGE', 'PAYMENT', 'COMPLETED', 'EXPIRED')),
    -- Numbers begin at 1.
    CONSTRAINT visits_number_is_positive CHECK (number >= 1),
    -- Only a place that was given up was never admitted; who is admitted has a page that ends later.
    CONSTRAINT visits_are_admitted_unless_given_up CHECK (
        CASE WHEN admitted_at IS NULL
            THEN state = 'EXPIRED' AND page_ends_at IS NULL
            ELSE page_ends_at IS NOT NULL AND page_ends_at > admitted_at
        END
    ),
    -- What is over says since when, what is not does not.
    CONSTRAINT visits_end_with_their_state CHECK ((state IN ('COMPLETED', 'EXPIRED')) = (ended_at IS NOT NULL)),
    -- Only a page can be spared by the sweep.
    CONSTRAINT visits_lease_is_of_a_page CHECK (hold_lease_until IS NULL OR state = 'PAGE')
) WITH (fillfactor = 80);

-- Promise 13: one live visit per user and concert.
CREATE UNIQUE INDEX visits_user_has_one_live ON visits (concert_id, user_id) WHERE state IN ('PAGE', 'PAYMENT');
-- The sweep looks here.
CREATE INDEX visits_page_ends ON visits (page_ends_at) WHERE state = 'PAGE';
-- Counting and listing who is on a page.
CREATE INDEX visits_on_page ON visits (concert_id, number) WHERE state = 'PAGE';
-- Counting what became of those who were let in, without their rows.
CREATE INDEX visits_let_in ON visits (concert_id, admitted_at) INCLUDE (state) WHERE admitted_at IS NOT NULL;

-- When numbers were called, as ranges, by their room's clock: who does not come is judged by it, also when Redis has forgotten.
-- Ranges older than any late window are deleted.
CREATE TABLE calls (
    concert_id   uuid        NOT NULL REFERENCES rooms,
    after_number bigint      NOT NULL,
    to_number    bigint      NOT NULL,
    called_at    timestamptz NOT NULL,

    PRIMARY KEY (concert_id, to_number),
    -- A call calls somebody.
    CONSTRAINT calls_are_not_empty CHECK (after_number < to_number)
);
CREATE INDEX calls_by_age ON calls (called_at);

-- Turns that go on although their numbers were called long ago: who comes in time and finds no place stays first, also
-- when Redis has forgotten. By their room's clock. Those older than any late window are deleted.
CREATE TABLE kept_turns (
    concert_id uuid        NOT NULL REFERENCES rooms,
    number     bigint      NOT NULL,
    -- When the user came last, give or take a part of the claim window.
    kept_at    timestamptz NOT NULL,

    PRIMARY KEY (concert_id, number),
    -- Numbers begin at 1.
    CONSTRAINT kept_turns_number_is_positive CHECK (number >= 1)
);
CREATE INDEX kept_turns_by_age ON kept_turns (kept_at);

-- Numbers that a lost Redis may have given. The line passes over them without keeping places; who holds one comes in
-- as a late comer.
CREATE TABLE doubtful_numbers (
    concert_id   uuid   NOT NULL REFERENCES rooms,
    after_number bigint NOT NULL,
    to_number    bigint NOT NULL,

    PRIMARY KEY (concert_id, to_number),
    -- A range holds something.
    CONSTRAINT doubtful_numbers_are_not_empty CHECK (after_number < to_number)
);
