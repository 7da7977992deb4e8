-- Times in hot tables are milliseconds since the epoch (`_ms`); ids carry their own creation time (see gateway/ids.py).

CREATE TABLE node (                     -- running `gateway serve` processes, past and present
  id       int2 PRIMARY KEY,
  name     text NOT NULL UNIQUE,
  epoch    int4 NOT NULL,               -- rises with every start: a flight of an older epoch is an orphan
  until    timestamptz NOT NULL,        -- end of the lease; renewed while the process lives
  machine  text NOT NULL DEFAULT ''     -- the data folder that the process runs with: names of machines may be the same
);

CREATE TABLE link (                     -- ways out; the row outlives the settings file
  id       int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name     text NOT NULL UNIQUE,
  kind     text NOT NULL,
  has_receipts boolean NOT NULL DEFAULT true, -- whether its carrier is asked to tell what became of each text
  is_stopped boolean NOT NULL DEFAULT false,  -- an operator told it to rest; kept over restarts
  id_form  text                         -- learned: how the ids in its receipts differ from those in its responses
);

CREATE TABLE link_day (                 -- what was drawn of a link's daily cap; a row a day of its zone, kept for a month
  link     int4 NOT NULL REFERENCES link,
  day      date NOT NULL,
  sent     int8 NOT NULL,
  before   int8 NOT NULL DEFAULT 0,     -- what it was before the last portion, so that one statement tells the portion
  PRIMARY KEY (link, day)
) WITH (fillfactor = 50);

CREATE TABLE route (                    -- what a message waits for
  id       int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name     text NOT NULL UNIQUE,
  kind     text NOT NULL
);

CREATE TABLE route_link (               -- which links serve a route, as the settings last read had it
  route    int4 NOT NULL REFERENCES route,
  link     int4 NOT NULL REFERENCES link,
  weight   int4 NOT NULL,
  standby  int2 NOT NULL,
  PRIMARY KEY (route, link)
);

CREATE TABLE link_state (               -- what the node that runs a bind last said of it, for `gateway queue`
  link     int4 NOT NULL REFERENCES link,
  bind     int2 NOT NULL,
  node     int2 NOT NULL,
  state    text NOT NULL,
  since    timestamptz NOT NULL,
  error    text,
  next_try timestamptz,
  rate     real NOT NULL DEFAULT 0,     -- segments a second, lately
  figures  jsonb,                       -- what it has done: counts, round trips, last errors
  updated  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (link, bind)
);

CREATE TABLE trunk_state (              -- what each node that runs a trunk last said of it
  trunk    text NOT NULL,               -- its name in the settings
  node     int2 NOT NULL,
  state    text NOT NULL,
  since    timestamptz NOT NULL,
  error    text NOT NULL,
  figures  jsonb NOT NULL,              -- servers, registration, calls, last errors
  updated  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (trunk, node)
);

CREATE TABLE bind (                     -- leases: how many binds a carrier grants is per installation, not per node
  link     int4 NOT NULL REFERENCES link,
  index    int2 NOT NULL,
  node     int2 NOT NULL,
  epoch    int4 NOT NULL,
  until    timestamptz NOT NULL,
  PRIMARY KEY (link, index)
);

CREATE TABLE progress (                 -- how far jobs that walk a table have come
  name     text PRIMARY KEY,
  position int8 NOT NULL
);

CREATE TABLE virtual_time (             -- the rank last claimed: fair queueing must not run backwards over a restart
  route    int4 NOT NULL,
  lane     int2 NOT NULL,
  rank     int8 NOT NULL,
  PRIMARY KEY (route, lane)
) WITH (fillfactor = 50);

CREATE TABLE shop (
  id            int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  code          text NOT NULL UNIQUE,   -- the name the outside uses: `sample`
  name          text NOT NULL,
  main_phone    text NOT NULL,          -- E.164
  contact_email text NOT NULL,
  time_zone     text NOT NULL,
  support_until date,                   -- the last active day in the shop's zone; null: without end
  method        text,                   -- sms, email or null (sms once a number is assigned)
  is_held       boolean NOT NULL DEFAULT false,
  language      text,                   -- what it is spoken in; null: as the settings say
  voice         text,                   -- engine:voice; null: the engine's own choice
  engines       text[] NOT NULL DEFAULT '{}', -- the order in which they are tried; empty: as the settings say
  allowed       text[] NOT NULL DEFAULT '{}', -- engines on other machines that may have its texts
  lexicon       int4 NOT NULL DEFAULT 0, -- rises with every change of its lexicon
  created       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE lexicon (                  -- how words of a shop are said that are written oddly
  shop     int4 NOT NULL REFERENCES shop,
  written  text NOT NULL,
  spoken   text NOT NULL,
  PRIMARY KEY (shop, written)
);

CREATE TABLE api_key (
  hash     bytea PRIMARY KEY,           -- SHA-256 of the key: 256 random bits need no slow hash
  label    text NOT NULL UNIQUE,        -- the key's first characters, to name it by
  shop     int4 REFERENCES shop,        -- null: an admin key
  created  timestamptz NOT NULL DEFAULT now(),
  revoked  timestamptz
);

CREATE TABLE number_assignment (
  id       int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  number   text NOT NULL,               -- E.164, or the digits of a short code
  shop     int4 NOT NULL REFERENCES shop,
  route    int4 NOT NULL REFERENCES route,
  since    timestamptz NOT NULL DEFAULT now(),
  until    timestamptz,                 -- null: assigned now
  campaign text                         -- the 10DLC campaign that the number is registered for
);
CREATE UNIQUE INDEX number_assigned ON number_assignment (number) WHERE until IS NULL;
CREATE INDEX number_history ON number_assignment (number, since);

CREATE TABLE contact (                  -- a person's phone as ProfitSystem last described it
  shop       int4 NOT NULL,
  phone      text NOT NULL,
  kind       text,
  contact    text,
  name       text,
  zone       text,
  sms_alerts text,                      -- trimmed and case-folded; null: never told
  number     text,                      -- the shop's number that last talked with this phone
  PRIMARY KEY (shop, phone)
);

CREATE TABLE message (                  -- immutable
  id         int8 PRIMARY KEY,
  shop       int4 NOT NULL,
  route      int4 NOT NULL,
  rank       int8 NOT NULL,             -- in the queue at birth; 0: not ranked then
  place      int2 NOT NULL,             -- where it was put at birth (model.Place)
  channel    int2 NOT NULL,
  category   int2 NOT NULL,
  encoding   int2 NOT NULL,             -- SMPP data_coding, and how a long text is cut: gateway/dispatch/wording.py
  segments   int2 NOT NULL,
  due_ms     int8,
  expires_ms int8 NOT NULL,
  parent     int8,                      -- the reply or message that this one carries on
  sender     text NOT NULL,
  target     text NOT NULL,
  body       text NOT NULL,
  reference  text,
  source     text,                      -- who asked for it: `automation`, a person, ...
  reason     text                       -- why it was held or suppressed at birth
);
CREATE INDEX message_of_phone ON message (shop, target, id);
CREATE INDEX message_reference ON message (shop, reference) WHERE reference IS NOT NULL;
CREATE INDEX message_parent ON message (parent) WHERE parent IS NOT NULL;

CREATE TABLE queue (                    -- ready messages; insert and delete only
  route    int4 NOT NULL,
  rank     int8 NOT NULL,               -- lane << 60 | virtual start time
  id       int8 NOT NULL,
  shop     int4 NOT NULL,
  tries    int2 NOT NULL,
  pin      int4,                        -- > 0: the only link that may take it; < 0: the link that should not
  PRIMARY KEY (route, rank, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX queue_pinned ON queue (route, pin, rank, id) WHERE pin IS NOT NULL;

CREATE TABLE later (                    -- scheduled messages and retries
  due_ms   int8 NOT NULL,
  id       int8 NOT NULL,
  route    int4 NOT NULL,
  rank     int8 NOT NULL,               -- kept by a retry; 0: ranked when it becomes ready
  shop     int4 NOT NULL,
  tries    int2 NOT NULL,
  pin      int4,                        -- as in the queue
  PRIMARY KEY (due_ms, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX later_retry ON later (id) WHERE rank <> 0;

CREATE TABLE hold (                     -- messages that wait for a person or a condition
  id       int8 PRIMARY KEY,
  shop     int4 NOT NULL,
  route    int4 NOT NULL,
  phone    text NOT NULL,
  reason   text NOT NULL,
  until_ms int8,
  tries    int2 NOT NULL,
  pin      int4                         -- as in the queue
);
CREATE INDEX hold_shop ON hold (shop, reason, id);
CREATE INDEX hold_reason ON hold (reason, route, id);

CREATE TABLE flight (                   -- one row a claimed batch
  id       int8 PRIMARY KEY,
  node     int2 NOT NULL,
  epoch    int4 NOT NULL,
  route    int4 NOT NULL,
  link     int4 NOT NULL,
  ids      int8[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);

CREATE TABLE status (                   -- one row a segment that was answered; segment 0 for a message that never left
  id       int8 NOT NULL,
  segment  int2 NOT NULL,
  link     int4,
  state    int2 NOT NULL,
  tries    int2 NOT NULL,
  sent_ms  int8,
  done_ms  int8,
  carrier  text,                        -- the carrier's message id, normalised (protocols/sms/receipts.py)
  error    text,                        -- the peer's code and words
  PRIMARY KEY (id, segment)
) WITH (fillfactor = 70);
CREATE INDEX status_carrier ON status (link, carrier, id) WHERE carrier IS NOT NULL;

CREATE TABLE in_doubt (                 -- segments that only a receipt can settle
  link     int4 NOT NULL,
  target   text NOT NULL,
  id       int8 NOT NULL,
  segment  int2 NOT NULL,
  at_ms    int8 NOT NULL,
  PRIMARY KEY (link, target, id, segment)
);

CREATE TABLE awaited_receipt (          -- messages not yet sent, or only lately, at the age at which receipts are overdue
  due_ms   int8 NOT NULL,               -- when to look again
  id       int8 NOT NULL,
  since_ms int8 NOT NULL,               -- segments sent until then were looked at
  PRIMARY KEY (due_ms, id)
);

CREATE TABLE early_receipt (            -- receipts that match nothing yet
  id       int8 PRIMARY KEY,
  link     int4 NOT NULL,
  carrier  text NOT NULL,
  phone    text NOT NULL,
  state    int2 NOT NULL,               -- model.State, or 0 for an intermediate one
  word     text,
  error    text,
  at_ms    int8 NOT NULL
);
CREATE INDEX early_receipt_link ON early_receipt (link, id);

CREATE TABLE event (
  message  int8 NOT NULL,
  id       int8 NOT NULL,
  xact     xid8 NOT NULL DEFAULT pg_current_xact_id(),
  shop     int4 NOT NULL,
  kind     int2 NOT NULL,
  segment  int2,
  at_ms    int8 NOT NULL,
  detail   jsonb,
  PRIMARY KEY (message, id)
);

CREATE TABLE idempotency (
  shop        int4 NOT NULL,
  key         text NOT NULL,
  fingerprint bytea NOT NULL,
  answer      text NOT NULL,
  at_ms       int8 NOT NULL,
  PRIMARY KEY (shop, key)
);
CREATE INDEX idempotency_age ON idempotency (at_ms);

CREATE TABLE reply (                    -- MO texts, whole
  id       int8 PRIMARY KEY,
  shop     int4,                        -- null: unrouted, the number belongs to no shop
  link     int4 NOT NULL,
  number   text NOT NULL,
  phone    text NOT NULL,
  body     text NOT NULL,
  segments int2 NOT NULL,
  missing  int2[] NOT NULL DEFAULT '{}',
  xact     xid8 NOT NULL DEFAULT pg_current_xact_id()  -- ids are given out before the commit: readers go by this, then by id
);
CREATE INDEX reply_shop ON reply (shop, xact, id);
CREATE INDEX reply_all ON reply (xact, id);
CREATE INDEX reply_unrouted ON reply (id) WHERE shop IS NULL;

CREATE TABLE mo_part (                  -- segments of MO texts that are not whole yet, or were whole lately
  link      int4 NOT NULL,
  phone     text NOT NULL,
  number    text NOT NULL,
  reference int4 NOT NULL,
  total     int2 NOT NULL,
  part      int2 NOT NULL,
  digest    bytea NOT NULL,
  payload   bytea NOT NULL,
  coding    int2 NOT NULL,
  at_ms     int8 NOT NULL,
  reply     int8,                       -- the reply that this part went into
  PRIMARY KEY (phone, number, link, reference, total, part, digest)
);
CREATE INDEX mo_part_open ON mo_part (at_ms) WHERE reply IS NULL;
CREATE INDEX mo_part_done ON mo_part (reply) WHERE reply IS NOT NULL;

CREATE TABLE mo_seen (                  -- MO texts whose acknowledgement the carrier may not have, to know their copies
  id       int8 PRIMARY KEY,
  link     int4 NOT NULL,
  digest   bytea NOT NULL
);
CREATE INDEX mo_seen_link ON mo_seen (link, id);

CREATE TABLE esme (                     -- accounts of the programs and carriers that bind to us over SMPP
  id          int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  system_id   text NOT NULL,            -- at most 15 characters
  password    text NOT NULL,            -- scrypt, with its parameters and salt: gateway/store/passwords.py
  shop        int4 REFERENCES shop,     -- whose texts it sends; null: a carrier's
  link        text,                     -- the link that a carrier's binds serve
  allowed     text[] NOT NULL DEFAULT '{}', -- networks that it may bind from; none: any
  binds       int2 NOT NULL,            -- at the same time, on all nodes together
  "window"    int4 NOT NULL,            -- requests that may be unanswered on one bind, each way
  rate        real NOT NULL,            -- submissions a second on one node; 0: no limit
  category    int2 NOT NULL,            -- of its texts, unless service_type says otherwise (model.Category)
  is_latin1   boolean NOT NULL,         -- whether its data_coding 0 is Latin-1 instead of the GSM alphabet
  has_replies boolean NOT NULL,         -- whether texts to the shop's numbers go to it too
  outbind     text,                     -- HOST:PORT that we dial when it has no bind
  created     timestamptz NOT NULL DEFAULT now(),
  revoked     timestamptz,
  CHECK ((shop IS NULL) <> (link IS NULL))
);
CREATE UNIQUE INDEX esme_system_id ON esme (system_id) WHERE revoked IS NULL;
CREATE INDEX esme_shop ON esme (shop);

CREATE TABLE esme_bind (                -- binds that stand; a row counts while its node's lease runs
  esme     int4 NOT NULL REFERENCES esme,
  index    int2 NOT NULL,
  node     int2 NOT NULL,
  epoch    int4 NOT NULL,
  kind     int2 NOT NULL,               -- 1 receiver, 2 transmitter, 9 transceiver: the command_id of the bind
  address  text NOT NULL,
  since    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (esme, index)
);

CREATE TABLE esme_text (                -- messages whose ESME wants receipts, until it has the last one
  id          int8 PRIMARY KEY,         -- the message; written just before it
  esme        int4 NOT NULL,
  told        int8 NOT NULL,            -- the id that the ESME knows: of a submit_multi the same for all
  wanted      int2[] NOT NULL,          -- registered_delivery of each PDU that the text came in
  until_ms    int8 NOT NULL,            -- nothing is told of the message after that
  source      text NOT NULL,            -- addresses as the ESME wrote them
  source_ton  int2 NOT NULL,
  source_npi  int2 NOT NULL,
  dest        text NOT NULL,
  dest_ton    int2 NOT NULL,
  dest_npi    int2 NOT NULL
);
CREATE INDEX esme_text_told ON esme_text (told) WHERE told <> id;

CREATE TABLE esme_part (                -- parts of long texts from ESMEs that are not whole yet, or were a moment ago
  esme       int4 NOT NULL,
  source     text NOT NULL,
  dest       text NOT NULL,
  reference  int4 NOT NULL,
  total      int2 NOT NULL,
  part       int2 NOT NULL,
  text       int8 NOT NULL,             -- the message that they will be
  payload    bytea NOT NULL,
  coding     int2 NOT NULL,
  wanted     int2 NOT NULL,             -- registered_delivery
  addresses  int2[] NOT NULL,           -- TON and NPI of source and destination
  at_ms      int8 NOT NULL,
  done_node  int2,                      -- who had the whole accepted; null: it is not whole. Kept a while, as the ESME may
  done_epoch int4,                      -- not have heard
  PRIMARY KEY (esme, source, dest, reference, total, part)
);
CREATE INDEX esme_part_text ON esme_part (text);
CREATE INDEX esme_part_age ON esme_part (at_ms);

CREATE TABLE esme_outbox (              -- receipts and texts for ESMEs, kept until they acknowledge
  esme        int4 NOT NULL,
  id          int8 NOT NULL,            -- of the event or reply
  kind        int2 NOT NULL,            -- model.EventKind; 0: a reply
  subject     int8 NOT NULL,            -- the id that the ESME knows; of a reply its own
  at_ms       int8 NOT NULL,
  wanted      int2[],
  error       text,
  source      text,
  source_ton  int2,
  source_npi  int2,
  dest        text,
  dest_ton    int2,
  dest_npi    int2,
  PRIMARY KEY (esme, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);

-- Events are written where things happen, in a handful of places; what an ESME is to hear of them is put into its outbox
-- here, in the same transaction. Messages that no ESME asked about cost one look into an index.
CREATE FUNCTION esme_hears_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO esme_outbox (esme, id, kind, subject, at_ms, wanted, error,
                           source, source_ton, source_npi, dest, dest_ton, dest_npi)
  SELECT t.esme, e.id, e.kind, t.told, e.at_ms, t.wanted,
         coalesce((SELECT s.error FROM status s WHERE s.id = e.message AND s.error IS NOT NULL
                   ORDER BY s.id, s.segment LIMIT 1), e.detail->>'error', e.detail->>'reason'),
         t.source, t.source_ton, t.source_npi, t.dest, t.dest_ton, t.dest_npi
  FROM fresh e, LATERAL (SELECT * FROM esme_text t WHERE t.id = e.message LIMIT 1) t
  WHERE e.kind IN (1, 2, 3, 4, 5, 6, 15)
     OR (e.kind = 14 AND NOT coalesce((e.detail->>'is_ignored')::boolean, false))
  ON CONFLICT DO NOTHING;
  IF FOUND THEN
    DELETE FROM esme_text WHERE id = ANY (ARRAY(SELECT message FROM fresh WHERE kind IN (1, 2, 3, 4, 5, 6, 15)));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER esme_hears_event AFTER INSERT ON event REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION esme_hears_event();

CREATE FUNCTION esme_hears_reply() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO esme_outbox (esme, id, kind, subject, at_ms)
  SELECT e.id, r.id, 0, r.id, (extract(epoch FROM clock_timestamp()) * 1000)::int8
  FROM fresh r JOIN esme e ON e.shop = r.shop
  WHERE e.has_replies AND e.revoked IS NULL
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER esme_hears_reply AFTER INSERT ON reply REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION esme_hears_reply();
