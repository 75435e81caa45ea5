// Package store opens the database that holds the installation's durable
// records, and keeps the promises that every room relies on:
//
//   - One folder of migrations serves both engines (SQLite on one machine,
//     PostgreSQL on many). Files in migrations/ are written in the common part
//     of SQL: TEXT, BIGINT, BOOLEAN, BYTEA, TIMESTAMP; no engine's own syntax.
//     Number ranges belong to their owners: 0001 store, 0100 interview, 0200
//     agreements, 0300 transcript, 0400 kiosk, 0500 signaling, 0600 recorder, 0700 retention,
//     0800 viewing.
//   - What is written once stays: a migration that inserts a table's name into
//     append_only (with the columns that are frozen, or an empty string for all
//     of them) gets triggers that refuse UPDATE of these and every DELETE.
//   - Writers that race are told so: CompareAndSet changes a row only at the
//     version that was read, and answers ErrConflict otherwise.
//   - Time that decides (leases, expiry) is the database's: Clock and Now.
//   - Hashed or signed text is stored as TEXT, never as a type that rewrites it.
//
// Transactions are bun's own: functions that write take a bun.IDB, so that the
// caller decides whether they run inside a transaction (RunInTx nests).
package store
