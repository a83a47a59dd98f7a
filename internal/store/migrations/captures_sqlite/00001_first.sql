-- Conventions of every table:
--   no           a number that this database gave: short in the rows and indexes that carry it
--   ids          BLOB, the 16 bytes of core's 32 hex digits
--   at, *_at     BIGINT, microseconds since 1970 UTC
--   *day         BIGINT, days since 1970-01-01 UTC
--   outcome      0 fine, 1 failed, 2 client failed: core.Capture
-- There are no foreign keys: each would cost a search for every capture. One writer keeps all tables in
-- the same transaction, and reads find every number through sources, where the project is.

-- +goose Up

-- An agent that has captures.
CREATE TABLE sources (
    no         INTEGER NOT NULL PRIMARY KEY,
    project_id BLOB    NOT NULL,
    agent_id   BLOB    NOT NULL,
    first_day  BIGINT  NOT NULL, -- the earliest day that has captures
    UNIQUE (project_id, agent_id)
);
CREATE INDEX sources_by_first_day ON sources (first_day);

-- A session of an agent, with what was captured in it.
CREATE TABLE sessions (
    no            INTEGER  NOT NULL PRIMARY KEY,
    id            BLOB     NOT NULL,
    source        BIGINT   NOT NULL,
    day           BIGINT   NOT NULL, -- the day of its first capture
    several_days  SMALLINT NOT NULL, -- 1: it has captures of other days too, and its days are in session_days
    captures      BIGINT   NOT NULL,
    errors        BIGINT   NOT NULL,
    client_errors BIGINT   NOT NULL,
    first_at      BIGINT   NOT NULL,
    last_at       BIGINT   NOT NULL,
    UNIQUE (id, source)
);

-- The days of the sessions that have captures of several days; most have not. For counting sessions.
CREATE TABLE session_days (
    source   BIGINT NOT NULL,
    day      BIGINT NOT NULL,
    session  BIGINT NOT NULL,
    captures BIGINT NOT NULL,
    PRIMARY KEY (source, day, session)
) WITHOUT ROWID;

-- A path that an agent has called. It may be thousands of characters long, so it is found by a hash.
CREATE TABLE paths (
    no     INTEGER NOT NULL PRIMARY KEY,
    source BIGINT  NOT NULL,
    hash   BLOB    NOT NULL, -- the first 16 bytes of SHA-256
    path   BLOB    NOT NULL, -- text; as bytes, so that what is not UTF-8 comes back as it was
    UNIQUE (source, hash)
);

-- The long texts come last, so that reading the other columns never touches them. They are one column,
-- because every column costs something in every insert (package store says how they are packed).
CREATE TABLE captures (
    no             INTEGER          NOT NULL PRIMARY KEY,
    source         BIGINT           NOT NULL,
    session        BIGINT           NOT NULL,
    path           BIGINT           NOT NULL, -- where it is counted: its own path, or core.OtherPaths
    day            BIGINT           NOT NULL,
    at             BIGINT           NOT NULL,
    id             BLOB             NOT NULL,
    latency        DOUBLE PRECISION NOT NULL, -- milliseconds
    outcome        SMALLINT         NOT NULL,
    named          SMALLINT         NOT NULL, -- 1: the reporter chose the id
    via            TEXT             NOT NULL,
    method         TEXT             NOT NULL,
    status         BIGINT           NOT NULL,
    received_at    BIGINT           NOT NULL,
    request_bytes  BIGINT           NOT NULL,
    response_bytes BIGINT           NOT NULL,
    short_texts    BLOB,                      -- error, content types, and the path if it is counted under another
    long_texts     BLOB                       -- headers, bodies, parameters, properties, metadata
);
CREATE INDEX captures_by_session ON captures (session, at, id);
CREATE INDEX captures_by_latency ON captures (source, day, latency);
CREATE UNIQUE INDEX captures_named ON captures (source, id) WHERE named = 1;
CREATE INDEX captures_failed ON captures (path, at, id) WHERE outcome = 1;

-- The tables below count the captures. They change in the transaction that changes the captures.

CREATE TABLE days (
    source         BIGINT           NOT NULL,
    day            BIGINT           NOT NULL,
    captures       BIGINT           NOT NULL,
    errors         BIGINT           NOT NULL,
    client_errors  BIGINT           NOT NULL,
    sessions       BIGINT           NOT NULL, -- those that have captures of this day only
    paths          BIGINT           NOT NULL, -- how many different ones calls has
    request_bytes  BIGINT           NOT NULL, -- at most core.MaxSummedBytes, as the next
    response_bytes BIGINT           NOT NULL,
    latency        DOUBLE PRECISION NOT NULL, -- milliseconds, the sum
    max_latency    DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (source, day)
) WITHOUT ROWID;

-- How many captures have which latency, roughly: enough to know where in captures_by_latency to look.
CREATE TABLE latencies (
    source    BIGINT NOT NULL,
    day       BIGINT NOT NULL,
    histogram BLOB   NOT NULL,
    PRIMARY KEY (source, day)
);

CREATE TABLE calls (
    source        BIGINT NOT NULL,
    day           BIGINT NOT NULL,
    path          BIGINT NOT NULL,
    method        TEXT   NOT NULL,
    status        BIGINT NOT NULL,
    captures      BIGINT NOT NULL,
    errors        BIGINT NOT NULL,
    client_errors BIGINT NOT NULL,
    PRIMARY KEY (source, day, path, method, status)
) WITHOUT ROWID;
CREATE INDEX calls_by_path ON calls (path);
