"""What makes each schema version of the one before."""

MIGRATIONS = (
    """
CREATE TABLE waiting (object_id TEXT PRIMARY KEY, record TEXT NOT NULL, since REAL NOT NULL);
CREATE TABLE objects (
    object_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    model_set TEXT NOT NULL,
    last_mjd REAL,
    first_flagged_mjd REAL
);
CREATE TABLE scores (
    score_id INTEGER PRIMARY KEY,
    object_id TEXT NOT NULL,
    scored_at REAL NOT NULL,
    last_mjd REAL,
    n_det INTEGER,
    model_set TEXT NOT NULL,
    classification TEXT NOT NULL,
    score REAL NOT NULL,
    modalities TEXT NOT NULL
);
CREATE INDEX scores_of_object ON scores (object_id, score_id);
CREATE TABLE outbox (
    object_id TEXT PRIMARY KEY,
    annotation TEXT NOT NULL,
    score REAL NOT NULL,
    queued_at REAL NOT NULL,
    sent_at REAL,
    verified_at REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try_at REAL NOT NULL DEFAULT 0,
    failure TEXT
);
CREATE INDEX outbox_waiting ON outbox (score) WHERE sent_at IS NULL;
CREATE TABLE positions (source TEXT PRIMARY KEY, position TEXT NOT NULL);
CREATE TABLE calls (called_at REAL NOT NULL, endpoint TEXT NOT NULL);
CREATE INDEX calls_by_time ON calls (called_at);
CREATE TABLE tns (object_id TEXT PRIMARY KEY, name TEXT, type TEXT, looked_up_at REAL NOT NULL);
CREATE TABLE passes (
    pass_id INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,
    ended_at REAL,
    outcome TEXT,
    counts TEXT
);
CREATE TABLE refused (
    refused_id INTEGER PRIMARY KEY,
    refused_at REAL NOT NULL,
    object_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    record TEXT NOT NULL
);
""",
    "ALTER TABLE objects ADD COLUMN numbers TEXT",
    """
CREATE TABLE drift (
    night INTEGER NOT NULL,
    model_set TEXT NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (night, model_set)
);
""",
    """
CREATE TABLE announced (
    object_id TEXT PRIMARY KEY,
    score REAL NOT NULL,
    modalities TEXT NOT NULL,
    model_set TEXT NOT NULL,
    score_id INTEGER NOT NULL,
    announced_at REAL NOT NULL
);
CREATE TABLE to_announce (object_id TEXT PRIMARY KEY, score_id INTEGER NOT NULL);
CREATE INDEX scores_by_time ON scores (model_set, scored_at);
CREATE INDEX outbox_anomalies ON outbox (sent_at) WHERE json_extract(annotation, '$.classification') = 'anomaly'
""",
    """
ALTER TABLE scores ADD COLUMN explanation TEXT;
ALTER TABLE scores ADD COLUMN reasons TEXT;
CREATE TABLE evidence (
    object_id TEXT PRIMARY KEY,
    score_id INTEGER NOT NULL,
    transient TEXT NOT NULL,
    stamps BLOB
);
CREATE TABLE posted (
    object_id TEXT PRIMARY KEY,
    score REAL NOT NULL,
    modalities TEXT NOT NULL,
    posted_at REAL NOT NULL
);
CREATE TABLE verdicts (
    verdict_id INTEGER PRIMARY KEY,
    object_id TEXT NOT NULL,
    verdict TEXT NOT NULL,
    person TEXT NOT NULL,
    given_at REAL NOT NULL,
    note TEXT NOT NULL,
    undone_at REAL,
    undone_by TEXT
);
CREATE INDEX verdicts_of_object ON verdicts (object_id, verdict_id)
""",
    "ALTER TABLE evidence ADD COLUMN model_scores TEXT",
)
"""What makes each schema version out of the one before; a ledger is brought to the newest when it is opened."""
